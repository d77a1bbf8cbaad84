"""Measured values of subjects at times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Layer(StrEnum):
    """Where a signal is measured."""

    MACHINE = "machine"
    ETL = "etl"
    FEATURES = "features"
    TRAINING = "training"
    SERVING = "serving"
    PLAN = "plan"


class Shape(StrEnum):
    """How the values of a signal are distributed, which decides the test it gets."""

    GAUGE = "gauge"
    """A level; tested robustly against its own past at the same hour."""
    COUNT = "count"
    """How many in a window; tested as a rate."""
    SHARE = "share"
    """A fraction of `weight` trials; tested as a proportion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One measured value.

    name: what was measured with its unit last (`memory_gib`, `rows`, `feature_median`,
        `latency_ms_p99`, `requests`, `errors_share`, `quality`).
    subject: what it was measured of, as `KIND:NAME` (`cluster:eu-1`, `task:heart/etl`,
        `feature:heart/chol`, `model:heart`).
    labels: what it shares with other signals (pipeline, task, cluster, pool, provider, region,
        feature, model).
    weight: number of trials or rows behind the value, where that matters.
    """

    name: str
    layer: Layer
    subject: str
    at: float
    value: float
    unit: str = ""
    shape: Shape = Shape.GAUGE
    weight: float = 1.0
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def series(self) -> str:
        """Name of the series this value belongs to."""
        return f"{self.subject}|{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Season:
    """What a series was in one season (a day): what later ones are held against.

    number: of the season, counted from 1970; since: the first one that counts, where the series
        settled at another level since.
    slots: number of each slot of the season (an hour), with a few values that stand for all of it,
        in order of size.
    """

    series: str
    number: int
    expires_at: float
    slots: tuple[tuple[int, tuple[float, ...]], ...]
    since: int = 0
