"""Quantiles around a median, made from its own past errors and widened where they fell short.

Per series and window of horizons, a quantile is that of the errors known so far, in units of the
series' daily change (split conformal prediction; Lei et al., 2018), with recent errors counting
more and the errors of all series standing in for a few days of a series' own. The width is then
multiplied by a factor that follows what was really covered (adaptive conformal inference; Gibbs
and Candes, 2021; on the logarithm of the width, so that it stays positive and forecasts far ahead,
which are judged late, do not swing).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from forecasting.series.panel import DAY, WEEK, Index, Mask, Vector
from forecasting.series.walk import Walk

WINDOW_ENDS = (DAY, 3 * DAY, WEEK)
"""Last horizon of each window but the last, which has no end."""
_MIDDLES = (DAY / 2, 2 * DAY, 5 * DAY, 10.5 * DAY)
"""Of the windows: errors grow with the root of the time, until those of a window are known."""
_SHARED_DAYS = 10.0
"""How many days of its own errors those of all series count for."""
_LEAST_LOG, _MOST_LOG = -2.0, 0.8
_LEAST_SHARE = 0.1
"""Of the long-run daily change: below this a quiet fortnight does not shrink a width."""
_MEDIAN = 0.5
_ATOMS = 99
_ASSUMED = np.asarray([NormalDist(0.0, 1.5).inv_cdf(k / 20) for k in range(1, 20)])
"""Errors before any are known, in daily changes; their weight is that of a fraction of a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pace:
    """How fast a window forgets errors, and moves its width after what was covered.

    wider: how much faster widths grow than shrink; a quantile that is missed costs more. memory:
    share of the long-run daily change in the unit of errors, the rest is that of two weeks.
    """

    half_life_days: float
    gain: float
    wider: float
    memory: float


_NEAR = _Pace(half_life_days=14.0, gain=0.15, wider=1.2, memory=0.5)
_FAR = _Pace(half_life_days=30.0, gain=0.3, wider=1.5, memory=0.0)
"""Beyond the first window misses are seen late and come in rows, so widths move further."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Banded:
    """Quantiles (o, n, h, levels) of a walk; tested: (o, h), whether errors were known."""

    quantiles: Vector
    tested: Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class _Errors:
    """Scaled errors (o, n, h) of a window; origins and horizons tell when each was known."""

    scaled: Vector
    origins: Index
    hours: Index
    pace: _Pace


def band(walked: Walk, medians: Vector, levels: Sequence[float]) -> Banded:
    """Return the quantiles at rising levels of every origin, each from what it could know."""
    windows = np.digitize(np.arange(1, walked.hours + 1), WINDOW_ENDS, right=True)
    quantiles = np.empty((*medians.shape, len(levels)))
    tested = np.zeros((len(walked.origins), walked.hours), dtype=bool)
    nearer: Vector | None = None
    for window in np.unique(windows):
        hours = np.flatnonzero(windows == window)
        pace = _NEAR if window == windows[0] else _FAR
        unit = _unit(walked, pace.memory)
        errors = _Errors(
            scaled=_scaled(walked.actual[:, :, hours] - medians[:, :, hours], unit),
            origins=walked.origins,
            hours=hours,
            pace=pace,
        )
        offsets, told = _offsets(errors, levels)
        if nearer is not None:
            wider = np.sqrt(_MIDDLES[window] / _MIDDLES[window - 1])
            offsets = np.where(told[:, None, None], offsets, nearer * wider)
        nearer = offsets
        quantiles[:, :, hours] = (
            medians[:, :, hours, None] + unit[:, :, None, None] * offsets[:, :, None, :]
        )
        tested[:, hours] = told[:, None]
    return Banded(quantiles=np.maximum(_sorted(quantiles, levels, medians), 0.0), tested=tested)


def _unit(walked: Walk, memory: float) -> Vector:
    """Return (o, n) daily changes, between those of two weeks and of the origins so far."""
    count = np.arange(1, len(walked.origins) + 1)[:, None]
    long_run = np.cumsum(walked.scale, axis=0) / count
    recent = np.maximum(walked.scale, _LEAST_SHARE * long_run)
    return np.asarray(recent ** (1.0 - memory) * long_run**memory, dtype=np.float64)


def _scaled(errors: Vector, unit: Vector) -> Vector:
    """Return (o, n, h) errors in a unit; 0 where there is none, as for a constant series."""
    measured = (unit > 0)[:, :, None]
    scaled = errors / np.where(unit > 0, unit, 1.0)[:, :, None]
    return np.where(measured | np.isnan(scaled), scaled, 0.0)


def _offsets(errors: _Errors, levels: Sequence[float]) -> tuple[Vector, Mask]:
    """Return (o, n, levels) offsets of a window, and at which origins an error was known."""
    count = errors.scaled.shape[1]
    found = np.zeros((len(errors.origins), count, len(levels)))
    told = np.zeros(len(errors.origins), dtype=bool)
    logs = np.zeros((count, len(levels)))
    before = -1
    for place, origin in enumerate(errors.origins):
        ends = errors.origins[:, None] + errors.hours[None, :]
        known = ends < origin
        told[place] = known.any()
        logs = _followed(logs, errors, found, known & (ends >= before), levels)
        found[place] = _conformal(errors, known, int(origin), levels) * np.exp(logs)
        before = int(origin)
    return found, told


def _followed(
    logs: Vector, errors: _Errors, stated: Vector, fresh: Mask, levels: Sequence[float]
) -> Vector:
    """Return the logarithms of the width factors after what became known since the last origin."""
    places, hours = np.nonzero(fresh)
    if not len(places):
        return logs
    scaled = errors.scaled[places, :, hours]
    known = ~np.isnan(scaled)
    count = known.sum(axis=0)
    under = (scaled[:, :, None] <= stated[places]) & known[:, :, None]
    share = under.sum(axis=0) / np.maximum(count, 1)[:, None]
    asked = np.asarray(levels)
    missed = np.where(asked >= _MEDIAN, asked - share, share - asked)
    step = errors.pace.gain * missed * np.where(missed > 0, errors.pace.wider, 1.0)
    moved = np.clip(logs + step, _LEAST_LOG, _MOST_LOG)
    return np.where((count > 0)[:, None] & (asked != _MEDIAN), moved, logs)


def _conformal(errors: _Errors, known: Mask, origin: int, levels: Sequence[float]) -> Vector:
    """Return (n, levels) quantiles of the errors known at an origin; 0 at the median."""
    places, hours = np.nonzero(known)
    count = errors.scaled.shape[1]
    own = errors.scaled[places, :, hours].T if len(places) else np.empty((count, 0))
    ends = errors.origins[places] + errors.hours[hours]
    worth = 0.5 ** ((origin - ends) / (DAY * errors.pace.half_life_days))
    days = _effective_days(ends, origin, errors.pace.half_life_days)
    weights = np.where(np.isnan(own), 0.0, worth[None, :])
    sums = weights.sum(axis=1, keepdims=True)
    share = sums / max(float(worth.sum()), 1e-12)
    own_days = days * share
    weights = np.where(sums > 0, weights / np.maximum(sums, 1e-12), 0.0) * own_days
    shared = _atoms(own, weights)
    shared_days = _SHARED_DAYS if len(shared) else 0.0
    assumed = np.full_like(own_days, 1.0 / (1.0 + float(own_days.sum())))
    values = np.concatenate([np.nan_to_num(own), np.tile(shared, (count, 1))], axis=1)
    values = np.concatenate([values, np.tile(_ASSUMED, (count, 1))], axis=1)
    parts = [
        weights,
        np.full((count, len(shared)), shared_days / max(len(shared), 1)),
        np.repeat(assumed / len(_ASSUMED), len(_ASSUMED), axis=1),
    ]
    found = _weighted_quantiles(values, np.concatenate(parts, axis=1), levels)
    asked = np.asarray(levels)
    found = np.where(asked > _MEDIAN, np.maximum(found, 0.0), np.minimum(found, 0.0))
    return np.where(asked == _MEDIAN, 0.0, found)


def _effective_days(ends: Index, origin: int, half_life_days: float) -> float:
    """Return how many days of errors there are, older ones counting less."""
    days = np.unique((origin - ends) // DAY)
    return float((0.5 ** (days / half_life_days)).sum())


def _atoms(values: Vector, weights: Vector) -> Vector:
    """Return values that share the weight of all errors alike; none where nothing is known."""
    used = weights > 0
    if not used.any():
        return np.empty(0)
    levels = (np.arange(_ATOMS) + 0.5) / _ATOMS
    found = _weighted_quantiles(values[used][None, :], weights[used][None, :], levels)
    return np.asarray(found[0], dtype=np.float64)


def _weighted_quantiles(
    values: Vector, weights: Vector, levels: Sequence[float] | Vector
) -> Vector:
    """Return (n, levels): the least value of each row at or under which a share of weight lies."""
    order = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    reached = np.cumsum(np.take_along_axis(weights, order, axis=1), axis=1)
    last = values.shape[1] - 1
    found = np.empty((len(values), len(levels)))
    for column, level in enumerate(levels):
        needed = level * reached[:, -1:] - 1e-12
        place = np.minimum((reached < needed).sum(axis=1), last)
        found[:, column] = ordered[np.arange(len(values)), place]
    return found


def _sorted(quantiles: Vector, levels: Sequence[float], medians: Vector) -> Vector:
    """Return quantiles that do not cross: each is moved away from the median where it must."""
    asked = np.asarray(levels)
    above = np.flatnonzero(asked >= _MEDIAN)
    below = np.flatnonzero(asked < _MEDIAN)[::-1]
    found = quantiles.copy()
    found[..., above] = np.maximum.accumulate(
        np.maximum(quantiles[..., above], medians[..., None]), axis=-1
    )
    found[..., below] = np.minimum.accumulate(
        np.minimum(quantiles[..., below], medians[..., None]), axis=-1
    )
    return found
