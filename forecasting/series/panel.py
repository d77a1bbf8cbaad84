"""Many hourly series on one clock, and what is known of each before an hour.

A panel is the input of everything in this folder. `Known` holds its values without inner gaps and
running sums, so that levels and scales at any hour cost the same; `forecasting.series.rows` reads
features from it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.model.errors import Fault, InvalidInputError

Vector = NDArray[np.float64]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]

HOUR_SECONDS = 3_600.0
DAY = 24
WEEK = 168
SCALE_HOURS = 336
MOST_FAULTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Hourly series that end at the same hour.

    names: one a series, no two alike; values: (n, hours), NaN where unknown, and before a series
    begins. starts_at: instant of the first column, in seconds since 1970.
    """

    names: tuple[str, ...]
    values: Vector
    starts_at: float = 0.0

    def until(self, hours: int) -> Panel:
        """Return the first `hours` hours."""
        return dataclasses.replace(self, values=self.values[:, :hours])


def panel(
    named: Sequence[tuple[str, Sequence[float]]], *, starts_at: float = 0.0, source: str = "demand"
) -> Panel:
    """Return series as a panel; shorter ones end with the longest and begin later.

    Args:
        named: Names with hourly values, NaN where unknown.
        starts_at: Instant of the longest series' first value.
        source: Of the values, for messages.

    Raises:
        InvalidInputError: with every fault (the first 20): no series, two of one name, a series
            without a known value, a value that is negative or not finite.
    """
    faults = _faults(named)
    if faults:
        raise InvalidInputError(source, faults[:MOST_FAULTS])
    hours = max(len(values) for _, values in named)
    joined = np.full((len(named), hours), np.nan)
    for row, (_, values) in zip(joined, named, strict=True):
        row[hours - len(values) :] = values
    return Panel(names=tuple(name for name, _ in named), values=joined, starts_at=starts_at)


def _faults(named: Sequence[tuple[str, Sequence[float]]]) -> list[Fault]:
    """Return what makes series unfit to be forecast."""
    if not named:
        return [Fault(code="C001", message="there is no series", fix="give at least one")]
    faults: list[Fault] = []
    seen: set[str] = set()
    for name, values in named:
        if name in seen:
            message = f"two series are named {name!r}"
            faults.append(Fault(code="C002", message=message, path=name, fix="rename one"))
        seen.add(name)
        faults.extend(_wrong_values(name, np.asarray(values, dtype=np.float64)))
    return faults


def _wrong_values(name: str, values: Vector) -> list[Fault]:
    """Return the first value that cannot be demand, or that there is none."""
    known = values[~np.isnan(values)]
    if not len(known):
        message = f"{name!r} has no known value"
        return [Fault(code="C005", message=message, path=name, fix="add past hours")]
    wrong = known[(known < 0) | np.isinf(known)]
    if not len(wrong):
        return []
    message = f"{name!r} has a demand of {float(wrong[0])!r}; it must be finite and at least 0"
    return [Fault(code="C004", message=message, path=name, fix="correct or empty this hour")]


class Known:
    """A panel without inner gaps, with running sums of values, squares and daily changes.

    A gap is filled with the day before, or with the last known value where there is none; only
    what lies before the gap is used, so that nothing later is seen. `begins` is (n,): the first
    known hour of each series.
    """

    def __init__(self, values: Vector) -> None:
        self.actual = values
        self.values = filled(values)
        self.begins: Index = np.argmax(~np.isnan(self.values), axis=1).astype(np.int64)
        self._sums = _running(self.values)
        self._squares = _running(self.values**2)
        changes = np.full_like(self.values, np.nan)
        changes[:, DAY:] = np.abs(self.values[:, DAY:] - self.values[:, :-DAY])
        self._changes = _running(changes)

    @property
    def hours(self) -> int:
        """Number of hours."""
        return int(self.values.shape[1])

    def at(self, series: Index, hours: Index) -> Vector:
        """Return values, NaN before a series begins."""
        return np.where(hours >= 0, self.values[series, np.maximum(hours, 0)], np.nan)

    def mean(self, series: Index, ends: Index, hours: int) -> Vector:
        """Return the mean of the hours before each end, of fewer where fewer are known."""
        return _mean(self._sums, series, ends, hours)

    def spread(self, series: Index, ends: Index, hours: int) -> Vector:
        """Return the standard deviation of the hours before each end."""
        squares = _mean(self._squares, series, ends, hours)
        return np.sqrt(np.maximum(squares - self.mean(series, ends, hours) ** 2, 0.0))

    def change(self, series: Index, ends: Index, hours: int = SCALE_HOURS) -> Vector:
        """Return the mean change from day to day before each end; 0 where none is known."""
        return np.nan_to_num(_mean(self._changes, series, ends, hours))


def filled(values: Vector) -> Vector:
    """Return (n, hours) values with inner and last gaps filled from what lies before them."""
    known = values.copy()
    begun = np.zeros(len(known), dtype=bool)
    gaps = np.isnan(known)
    for hour in range(known.shape[1]):
        missing = gaps[:, hour] & begun
        if missing.any():
            before = known[missing, hour - DAY] if hour >= DAY else np.full(missing.sum(), np.nan)
            known[missing, hour] = np.where(np.isnan(before), known[missing, hour - 1], before)
        begun |= ~gaps[:, hour]
    return known


def _running(values: Vector) -> tuple[Vector, Vector]:
    """Return running sums and counts of known values, each with a leading zero."""
    zero = np.zeros((len(values), 1))
    sums = np.concatenate([zero, np.cumsum(np.nan_to_num(values), axis=1)], axis=1)
    counts = np.concatenate([zero, np.cumsum(~np.isnan(values), axis=1)], axis=1)
    return sums, counts


def _mean(running: tuple[Vector, Vector], series: Index, ends: Index, hours: int) -> Vector:
    """Return means of windows that end before each end; NaN where nothing is known."""
    sums, counts = running
    ends = np.maximum(ends, 0)
    starts = np.maximum(ends - hours, 0)
    count = counts[series, ends] - counts[series, starts]
    total = sums[series, ends] - sums[series, starts]
    return np.where(count > 0, total / np.maximum(count, 1.0), math.nan)
