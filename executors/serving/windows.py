"""What a server measures of itself, put together by window and appended as signals.

Quality is the share of right answers among labels that arrived in the window, however late: the
answers to the last requests are remembered by id.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from executors.serving.models import Prediction, Rows
from executors.tasks.context import Origin

_REMEMBERED = 50_000
"""Requests whose answers are kept for labels that arrive late."""
_LATENCIES_MAX = 100_000
_ROWS_MAX = 20_000


class Teller(Protocol):
    """Who is told what a server measured: its task, or the engine beyond a cluster."""

    @property
    def pipeline(self) -> str:
        """The pipeline whose model serves."""
        ...

    def signal(
        self,
        origin: Origin,
        name: str,
        value: float,
        *,
        unit: str = "",
        shape: str = "gauge",
        weight: float = 1.0,
    ) -> None:
        """Take a measured value."""
        ...


@dataclass(slots=True)
class _Window:
    requests: int = 0
    errors: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    batches: list[Rows] = field(default_factory=list)
    rows: int = 0
    labels: int = 0
    right: int = 0


class Windows:
    """Counts what happens and says it once a window. Used by one thread."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._window = _Window()
        self._answers: OrderedDict[str, list[int]] = OrderedDict()

    def answered(self, request_id: str, found: Prediction, latency_ms: float) -> None:
        """Count a request that was answered; its id lets a label find it later."""
        window = self._window
        window.requests += 1
        if len(window.latencies_ms) < _LATENCIES_MAX:
            window.latencies_ms.append(latency_ms)
        if window.rows < _ROWS_MAX:
            window.batches.append(found.rows)
            window.rows += len(found.rows)
        self._answers[request_id] = found.labels.tolist()
        if len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)

    def failed(self) -> None:
        """Count a request that was not answered."""
        self._window.requests += 1
        self._window.errors += 1

    def label(self, request_id: str, labels: Sequence[int]) -> bool:
        """Compare labels with what was answered; false when the request is not remembered.

        A request with several rows takes a label for each; more or fewer count as not matching.
        """
        answers = self._answers.get(request_id)
        if answers is None or len(answers) != len(labels):
            return False
        self._window.labels += len(labels)
        self._window.right += sum(a == b for a, b in zip(answers, labels, strict=True))
        return True

    def flush(self, features: Sequence[str], *, is_whole: bool = True) -> None:
        """Append the signals of the window that ends now, and begin the next.

        is_whole: whether it was as long as the others; else its count of requests says nothing.
        """
        window, self._window = self._window, _Window()
        pipeline = self._teller.pipeline
        labels = {"model": pipeline, "pipeline": pipeline}
        origin = Origin("serving", f"model:{pipeline}", labels)
        signal = self._teller.signal
        if is_whole:
            signal(origin, "requests", window.requests, shape="count")
        if window.requests:
            share = window.errors / window.requests
            signal(origin, "errors_share", share, shape="share", weight=window.requests)
        if window.latencies_ms:
            count = len(window.latencies_ms)
            p99 = sorted(window.latencies_ms)[math.ceil(0.99 * count) - 1]
            signal(origin, "latency_ms_p99", p99, unit="ms", weight=count)
        if window.labels:
            share = window.right / window.labels
            signal(origin, "quality", share, shape="share", weight=window.labels)
        if window.batches:
            self._flush_features(np.vstack(window.batches), features, labels)

    def _flush_features(self, rows: Rows, features: Sequence[str], labels: dict[str, str]) -> None:
        """Append middle and mean of every feature; a model of another width just came in."""
        if rows.shape[1] != len(features):
            return
        for index, name in enumerate(features):
            there = rows[~np.isnan(rows[:, index]), index]
            if not len(there):
                continue
            origin = Origin(
                "serving", f"feature:{self._teller.pipeline}/{name}", {**labels, "feature": name}
            )
            weight = len(there)
            self._teller.signal(origin, "feature_median", float(np.median(there)), weight=weight)
            self._teller.signal(origin, "feature_mean", float(there.mean()), weight=weight)
