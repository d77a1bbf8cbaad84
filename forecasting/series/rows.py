"""What is known at an hour about each hour to come: seasonal lags and recent levels.

One row stands for a series, an origin (the first hour to forecast) and a horizon (1 is the
origin's own hour). Lags count back from the target by whole days and weeks, as many as it takes
to lie before the origin, so that one model serves every horizon. All levels are centred by the
mean of the last week and divided by a unit that the caller names, so that rows of large and
small series compare, and a change of units changes no feature.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasting.series.panel import DAY, WEEK, Index, Known, Vector

_LAG_DAYS = 7
_LAG_WEEKS = 3
_LEAST_SHARE = 1e-9
"""Of a level: changes smaller than this are rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """m rows: what models read, and what the simple methods forecast.

    levels: (m, k) centred levels; horizons: (m,). scale: (m,) mean change from day to day, 0 for
    a constant series; level: (m,) mean of the last week. day_ago, week_ago, three_days,
    week_profile, last, last_day: (m,) forecasts by the latest day and week, the mean of the
    latest three and seven days at the target's hour, the last value, and the last day's mean.
    """

    levels: Vector
    horizons: Index
    scale: Vector
    level: Vector
    day_ago: Vector
    week_ago: Vector
    three_days: Vector
    week_profile: Vector
    last: Vector
    last_day: Vector

    def features(self, unit: Vector) -> NDArray[np.float32]:
        """Return (m, k + 2) features in a unit of one value a row; a unit of 0 makes them 0."""
        divisor = np.where(unit > 0, unit, 1.0)[:, None]
        scaled = np.where(unit[:, None] > 0, self.levels / divisor, 0.0)
        calendar = np.stack([self.horizons, self.horizons % DAY], axis=1)
        return np.concatenate([scaled, calendar], axis=1).astype(np.float32)


def rows(known: Known, series: Index, origins: Index, horizons: Index) -> Rows:
    """Return the rows of triples of series, origin (after the series began) and horizon."""
    target = origins + horizons - 1
    day = target - DAY * -(-horizons // DAY)
    week = target - WEEK * -(-horizons // WEEK)
    days = np.stack([known.at(series, day - DAY * lag) for lag in range(_LAG_DAYS)])
    weeks = [known.at(series, week - WEEK * lag) for lag in range(_LAG_WEEKS)]
    last = known.at(series, origins - 1)
    level = known.mean(series, origins, WEEK)
    last_day = known.mean(series, origins, DAY)
    profile = _mean_of_known(days, level)
    around = [
        known.at(series, week - 1),
        known.at(series, week - 2),
        known.at(series, np.minimum(week + 1, origins - 1)),
        known.at(series, day - 1),
        known.at(series, np.minimum(day + 1, origins - 1)),
    ]
    levels = [
        *days[:-1],
        *weeks,
        *around,
        last,
        known.mean(series, origins, 3),
        last_day,
        known.mean(series, origins, 2 * DAY),
        known.mean(series, origins - WEEK, WEEK),
        known.mean(series, origins - 2 * WEEK, 2 * WEEK),
        profile,
    ]
    spreads = [known.spread(series, origins, DAY), known.spread(series, origins, WEEK)]
    changes = [last - known.at(series, origins - 1 - lag) for lag in (DAY, WEEK)]
    columns = [*(column - level for column in levels), *spreads, *changes]
    day_ago = np.where(np.isnan(days[0]), last, days[0])
    scale = known.change(series, origins)
    return Rows(
        levels=np.stack(columns, axis=1),
        horizons=horizons,
        scale=np.where(scale > _LEAST_SHARE * level, scale, 0.0),
        level=level,
        day_ago=day_ago,
        week_ago=np.where(np.isnan(weeks[0]), day_ago, weeks[0]),
        three_days=_mean_of_known(days[:3], last),
        week_profile=profile,
        last=last,
        last_day=last_day,
    )


def grid(series: Index, origins: Index, horizons: Index) -> tuple[Index, Index, Index]:
    """Return every triple of the three, in this order, as three flat arrays."""
    found = np.meshgrid(series, origins, horizons, indexing="ij")
    first, second, third = (np.asarray(part.ravel(), dtype=np.int64) for part in found)
    return first, second, third


def _mean_of_known(values: Vector, otherwise: Vector) -> Vector:
    """Return the mean over the first axis of what is known; `otherwise` where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        mean = np.nanmean(values, axis=0)
    return np.where(np.isnan(mean), otherwise, mean)
