"""What the store says of a stretch of the story: requests, failures and quality of the model."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.model.signals import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """From when to when something lasted, in seconds since the epoch."""

    name: str
    began_at: float
    ended_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of the summary; source: the record it was read from, where its value is no id."""

    value: str | int | float
    source: str = ""


def figures(
    signals: Callable[[str, float], Sequence[Signal]], model: str, stretch: Stretch
) -> dict[str, Figure]:
    """Return by name what the stored windows of a model add up to over a stretch.

    signals: returns the stored signals of a series after an instant. A window counts where it
    ended, and labels where they arrived, so that both ends of a stretch are off by a window.
    """

    def windows(signal: str) -> tuple[list[Signal], str]:
        series = f"model:{model}|{signal}"
        found = [s for s in signals(series, stretch.began_at) if s.at <= stretch.ended_at]
        return found, f"{series}, {_clock(stretch.began_at)} to {_clock(stretch.ended_at)}"

    requests, of_requests = windows("requests")
    errors, of_errors = windows("errors_share")
    quality, of_quality = windows("quality")
    sent = round(sum(s.value for s in requests))
    failed = round(sum(s.value * s.weight for s in errors))
    told = {
        f"{stretch.name}: requests": Figure(value=sent, source=of_requests),
        f"{stretch.name}: requests failed": Figure(value=failed, source=of_errors),
    }
    labels = sum(s.weight for s in quality)
    if labels:
        share = round(sum(s.value * s.weight for s in quality) / labels, 3)
        told[f"{stretch.name}: quality"] = Figure(value=share, source=of_quality)
    return told


def _clock(instant: float) -> str:
    return time.strftime("%H:%M:%SZ", time.gmtime(instant))
