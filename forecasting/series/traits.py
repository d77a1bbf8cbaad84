"""What tells how far a forecast may err: how a series has changed, and how far methods differ.

All traits are logarithms of ratios to the series' mean daily change before the origin, so that
large and small series compare and a change of units changes none of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from forecasting.series.panel import DAY, WEEK, Vector

DISAGREEING = ("last day", "week's profile", "last week", "last value", "trees")
"""Methods whose distance from the median is a trait."""
_COMPARED = ("last day", "week's profile", "last week", "mean of three days", "trees")
_DAYS = 14
_WEEK_DAYS = 21
_FEW_DAYS = 5
_MONTH = 28 * DAY
_LEAST_RATIO = 1e-3
_LEAST_DISTANCE = 0.05
_MOST = 6.0


def traits(
    before: Vector, unit: Vector, medians: Vector, members: Mapping[str, Vector]
) -> NDArray[np.float32]:
    """Return (n, h, k) traits of the forecasts from one origin.

    Args:
        before: (n, hours) values before the origin without inner gaps, NaN before a series begins.
        unit: (n,) mean daily changes; 0 for a constant series, whose traits mean nothing.
        medians: (n, h) forecasts.
        members: Method to (n, h) forecasts: those of `DISAGREEING` and the mean of three days.
    """
    horizons = medians.shape[1]
    divisor = np.where(unit > 0, unit, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        by_hour = _by_hour(before)
        by_series = _by_series(before)
        highest, lowest = (
            find(before[:, -WEEK:], axis=1)[:, None] for find in (np.nanmax, np.nanmin)
        )
    days = -(-horizons // DAY)
    columns = [
        *(_ratio(np.tile(each, days)[:, :horizons], divisor) for each in by_hour),
        *(np.broadcast_to(_ratio(each[:, None], divisor), medians.shape) for each in by_series),
        *(_distance(members[name] - medians, divisor) for name in DISAGREEING),
        _distance(np.std(np.stack([members[name] for name in _COMPARED]), axis=0), divisor),
        _distance(highest - medians, divisor),
        _distance(lowest - medians, divisor),
        _ratio(np.abs(medians), divisor),
        np.broadcast_to(np.log(np.arange(1.0, horizons + 1.0)), medians.shape),
        np.broadcast_to(np.arange(horizons) >= DAY, medians.shape),
    ]
    return np.stack(columns, axis=2).astype(np.float32)


def _by_hour(before: Vector) -> list[Vector]:
    """Return (n, 24) sizes of changes at each hour of the day, the origin's own first."""
    daily = _days(np.abs(_changes(before, DAY)), _DAYS)
    weekly = _days(np.abs(_changes(before, WEEK)), _WEEK_DAYS)
    mean = np.nanmean(daily, axis=1)
    smooth = (np.roll(mean, 1, axis=1) + mean + np.roll(mean, -1, axis=1)) / 3
    return [
        mean,
        np.nanmax(daily, axis=1),
        smooth,
        np.nanmean(daily[:, -_FEW_DAYS:], axis=1),
        np.nanmean(weekly, axis=1),
    ]


def _by_series(before: Vector) -> list[Vector]:
    """Return (n,) sizes of changes from day to day, week to week and hour to hour."""
    signed = _changes(before, DAY)
    daily, weekly = np.abs(signed), np.abs(_changes(before, WEEK))
    hourly = np.abs(_changes(before[:, -WEEK:], 1))
    lately, month = slice(-_DAYS * DAY, None), slice(-_MONTH, None)
    return [
        *(np.nanmean(daily[:, -hours:], axis=1) for hours in (DAY, 3 * DAY, daily.shape[1])),
        np.nanmean(weekly[:, lately], axis=1),
        np.nanmean(weekly, axis=1),
        np.sqrt(np.nanmean(signed[:, lately] ** 2, axis=1)),
        np.sqrt(np.nanmean(signed**2, axis=1)),
        *(np.nanquantile(daily[:, month], level, axis=1) for level in (0.5, 0.9, 0.975)),
        np.nanquantile(daily, 0.99, axis=1),
        np.nanmean(hourly, axis=1),
    ]


def _changes(before: Vector, lag: int) -> Vector:
    """Return (n, hours) changes over a lag, NaN where the earlier value is not known."""
    changes = np.full_like(before, np.nan)
    changes[:, lag:] = before[:, lag:] - before[:, :-lag]
    return changes


def _days(changes: Vector, days: int) -> Vector:
    """Return (n, days, 24) of the latest days, NaN for those before the first hour."""
    latest = changes[:, -days * DAY :]
    whole = np.full((len(changes), days * DAY), np.nan)
    whole[:, days * DAY - latest.shape[1] :] = latest
    return np.asarray(whole.reshape(len(changes), days, DAY), dtype=np.float64)


def _ratio(sizes: Vector, divisor: Vector) -> Vector:
    """Return logarithms of sizes (n, h) in units (n,), 0 where a size is not known."""
    found = np.log(np.maximum(sizes / divisor[:, None], _LEAST_RATIO))
    return np.asarray(np.clip(np.nan_to_num(found), -_MOST, _MOST), dtype=np.float64)


def _distance(far: Vector, divisor: Vector) -> Vector:
    """Return logarithms of distances (n, h); below a twentieth of a unit they are alike."""
    found = np.log(np.abs(far) / divisor[:, None] + _LEAST_DISTANCE)
    return np.asarray(np.clip(np.nan_to_num(found), -_MOST, _MOST), dtype=np.float64)
