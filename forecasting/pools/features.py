"""What is known at an hour about each hour to come: seasonal lags and recent levels.

One row stands for a series, an origin (index of the first hour to forecast) and a horizon (1 is
the origin's own hour). Lags are counted from the target by whole days and weeks, as many as it
takes to lie before the origin, so that one model serves every horizon. All values are centred by
the mean of the last week and divided by the mean change from day to day, which makes rows of
large and small pools comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]

DAY = 24
WEEK = 168
_LAG_DAYS = 6
_SCALE_HOURS = 336
LEAST_SCALE = 1e-6
"""Beside the daily change: a series that never changes has a scale to divide by."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Features of m rows with what is needed to read a prediction back.

    features: (m, k); day_ago, week_ago: (m,) the latest seasonal value before the origin;
    three_days: (m,) mean of the latest three days at the target's hour; scale: (m,).
    """

    features: Vector
    day_ago: Vector
    week_ago: Vector
    three_days: Vector
    scale: Vector


def filled(values: Sequence[float]) -> Vector:
    """Return a series with each gap filled by the day before, or the first known value."""
    known = np.asarray(values, dtype=np.float64).copy()
    gaps = np.flatnonzero(np.isnan(known))
    if len(gaps):
        first = known[np.flatnonzero(~np.isnan(known))[0]]
        for gap in gaps:
            known[gap] = known[gap - DAY] if gap >= DAY else first
    return known


def rows(values: Vector, origins: Index, horizons: Index) -> Rows:
    """Return the rows of a series without gaps for pairs of origin (at least 1) and horizon."""
    target = origins + horizons - 1
    back_days = DAY * -(-horizons // DAY)
    back_weeks = WEEK * -(-horizons // WEEK)
    days = [_at(values, target - back_days - DAY * lag) for lag in range(_LAG_DAYS)]
    week_ago = _at(values, target - back_weeks)
    level = _Means(values)
    changes = np.abs(values - _at(values, np.arange(len(values)) - DAY))
    last = values[origins - 1]
    centre = level.mean(origins, WEEK)
    scale = _scale(values, changes, origins)
    levels = [
        *days,
        week_ago,
        _at(values, target - back_weeks - WEEK),
        _at(values, target - back_weeks - 1),
        _at(values, target - back_weeks - 2),
        last,
        *(level.mean(origins, hours) for hours in (3, DAY, 2 * DAY)),
        level.mean(origins - WEEK, WEEK),
    ]
    changed = [last - _at(values, origins - 1 - DAY), last - _at(values, origins - 1 - WEEK)]
    columns = [(column - centre) / scale for column in levels] + [c / scale for c in changed]
    columns += [horizons.astype(np.float64), (horizons % DAY).astype(np.float64)]
    day_ago = np.where(np.isnan(days[0]), last, days[0])
    recent = np.stack([day_ago, *days[1:3]])
    return Rows(
        features=np.stack(columns, axis=1),
        day_ago=day_ago,
        week_ago=np.where(np.isnan(week_ago), day_ago, week_ago),
        three_days=np.nanmean(recent, axis=0),
        scale=scale,
    )


def _scale(values: Vector, changes: Vector, origins: Index) -> Vector:
    """Return (m,) the mean change from day to day; in the first day the spread of its hours."""
    known = _Means(np.isfinite(changes).astype(np.float64)).mean(origins, _SCALE_HOURS)
    summed = _Means(np.nan_to_num(changes)).mean(origins, _SCALE_HOURS)
    centred = values - values.mean()
    mean = _Means(centred).mean(origins, DAY)
    spread = np.sqrt(np.maximum(_Means(centred**2).mean(origins, DAY) - mean**2, 0.0))
    changed = np.divide(summed, known, out=spread, where=known > 0)
    return np.asarray(changed + LEAST_SCALE, dtype=np.float64)


def _at(values: Vector, index: Index) -> Vector:
    """Return values at an index, NaN before the series begins."""
    return np.where(index >= 0, values[np.maximum(index, 0)], np.nan)


class _Means:
    """Means of the hours before an origin in constant time each."""

    def __init__(self, values: Vector) -> None:
        self._sums = np.concatenate([[0.0], np.cumsum(values)])

    def mean(self, ends: Index, hours: int) -> Vector:
        """Return the mean of `hours` values before each end, of fewer where there are fewer."""
        ends = np.maximum(ends, 1)
        starts = np.maximum(ends - hours, 0)
        return np.asarray((self._sums[ends] - self._sums[starts]) / (ends - starts))
