"""Numbers of the gateway as a page for Prometheus (text format 0.0.4)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from executors.serving.gateway.table import Table
from executors.serving.v2.metrics import Histogram, head, histogram_lines, labels


@dataclass(slots=True)
class Metrics:
    """What the gateway counts, by model; of unknown models without the name."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, Histogram] = field(default_factory=dict)

    def count(self, model: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self.answers[model, str(status)] += 1
        self.seconds.setdefault(model, Histogram()).add(seconds)

    def page(self, table: Table, *, open_requests: int, waiting: int) -> str:
        """Return the page."""
        name = "berth_gateway_answers_total"
        lines = head(name, "counter", "Answers by HTTP status.")
        for (model, status), count in sorted(self.answers.items()):
            lines.append(f"{name}{labels(model=model, status=status)} {count}")
        both = (
            ("retries", "Requests sent again to a server, the same or another.", self.retries),
            ("waits", "Requests that waited for a model to serve again.", self.waits),
        )
        for word, said, counts in both:
            name = f"berth_gateway_{word}_total"
            lines += head(name, "counter", said)
            lines += [f"{name}{labels(model=m)} {count}" for m, count in sorted(counts.items())]
        lines += histogram_lines("berth_gateway_seconds", "Time to the answer.", self.seconds)
        simple = (
            ("open_requests", "gauge", "Requests that are being answered.", open_requests),
            ("waiting", "gauge", "Requests that wait for a model to serve.", waiting),
            ("moves_total", "counter", "Models whose servers changed.", table.moves),
            ("refreshes_total", "counter", "Answers of the engine about servers.", table.refreshes),
            ("refresh_failures_total", "counter", "Times it did not answer.", table.failures),
        )
        for word, kind, said, value in simple:
            lines += head(f"berth_gateway_{word}", kind, said)
            lines.append(f"berth_gateway_{word} {value}")
        return "\n".join(lines) + "\n"
