"""Numbers of the server as a page for Prometheus (text format 0.0.4)."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from executors.serving.runtime.shelf import Shelf

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_NANO = 1e9
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@dataclass(slots=True)
class Histogram:
    """Counts of times by upper bound; the last count is for times above all bounds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(_BOUNDS_SECONDS) + 1))
    total_seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Count a time."""
        self.counts[bisect.bisect_left(_BOUNDS_SECONDS, seconds)] += 1
        self.total_seconds += seconds


@dataclass(slots=True)
class Metrics:
    """What the server counts: answers by model and status, and how long those of a model took.

    Statuses of requests to unknown models are counted without the name, which anybody can choose.
    """

    answers: dict[tuple[str, int], int] = field(default_factory=dict)
    latencies: dict[str, Histogram] = field(default_factory=dict)

    def count(self, model: str, status: int, seconds: float) -> None:
        """Count an answer."""
        key = (model, status)
        self.answers[key] = self.answers.get(key, 0) + 1
        histogram = self.latencies.get(model)
        if histogram is None:
            histogram = self.latencies.setdefault(model, Histogram())
        histogram.add(seconds)

    def page(self, shelf: Shelf, *, open_requests: int) -> str:
        """Return the page."""
        lines = [*self._answers(), *self._latencies(), *_models(shelf)]
        lines += head("berth_open_requests", "gauge", "Requests that are being answered.")
        lines.append(f"berth_open_requests {open_requests}")
        lines += head("berth_model_swaps_total", "counter", "Swaps and rollbacks since the start.")
        lines.append(f"berth_model_swaps_total {shelf.swaps}")
        return "\n".join(lines) + "\n"

    def _answers(self) -> Iterator[str]:
        yield from head("berth_inference_answers_total", "counter", "Answers by HTTP status.")
        for (model, status), count in sorted(self.answers.items()):
            own = labels(model=model, status=str(status))
            yield f"berth_inference_answers_total{own} {count}"

    def _latencies(self) -> list[str]:
        said = "Time from a request's head to its answer."
        return histogram_lines("berth_inference_seconds", said, self.latencies)


def histogram_lines(name: str, said: str, histograms: Mapping[str, Histogram]) -> list[str]:
    """Return histograms by model as the format has them."""
    lines = head(name, "histogram", said)
    for model, histogram in sorted(histograms.items()):
        below = 0
        for bound, count in zip((*_BOUNDS_SECONDS, "+Inf"), histogram.counts, strict=True):
            below += count
            lines.append(f"{name}_bucket{labels(model=model, le=str(bound))} {below}")
        lines.append(f"{name}_sum{labels(model=model)} {histogram.total_seconds:.9g}")
        lines.append(f"{name}_count{labels(model=model)} {below}")
    return lines


def _models(shelf: Shelf) -> Iterator[str]:
    """Yield what each version did."""
    versions = [
        (slot.name, servable) for slot in shelf.slots.values() for servable in slot.current.versions
    ]
    rows = "berth_inference_rows_total"
    runs = "berth_inference_runs_total"
    queue = "berth_inference_queue_seconds_total"
    waiting = "berth_inference_waiting"
    yield from head(rows, "counter", "Rows answered.")
    for name, each in versions:
        own = labels(model=name, version=each.version)
        yield f"{rows}{own} {each.batcher.statistics.inference_count}"
    yield from head(runs, "counter", "Runs of the model; fewer than requests when they share.")
    for name, each in versions:
        own = labels(model=name, version=each.version)
        yield f"{runs}{own} {each.batcher.statistics.execution_count}"
    yield from head(queue, "counter", "Time that requests waited for their run.")
    for name, each in versions:
        own = labels(model=name, version=each.version)
        yield f"{queue}{own} {each.batcher.statistics.queue_ns / _NANO:.9g}"
    yield from head(waiting, "gauge", "Requests in the queue.")
    for name, each in versions:
        yield f"{waiting}{labels(model=name, version=each.version)} {each.batcher.waiting}"
    shadows = "berth_shadow_answers_total"
    yield from head(shadows, "counter", "Answers of the shadow, compared with those given.")
    for slot in shelf.slots.values():
        for result in ("equal", "different", "failed"):
            own = labels(model=slot.name, result=result)
            yield f"{shadows}{own} {getattr(slot.shadows, result)}"


def head(name: str, kind: str, said: str) -> list[str]:
    """Return the lines before a metric."""
    return [f"# HELP {name} {said}", f"# TYPE {name} {kind}"]


def labels(**given: str) -> str:
    """Return labels as the format has them."""
    inside = ",".join(f'{key}="{value.translate(_ESCAPES)}"' for key, value in given.items())
    return f"{{{inside}}}"
