"""Past forecasts of several methods from one origin after another, and what they were worth.

At each origin only errors of targets before that origin are known; from them come the quantiles
there (split conformal, per window of horizons, errors in units of the series' daily change).
Between the middles of two windows the quantiles go over linearly from one to the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.model.profiles import QUANTILE_LEVELS
from forecasting import conformal
from forecasting.pools.features import DAY, WEEK, Index, Mask, Vector

WINDOW_ENDS = (DAY, 3 * DAY, WEEK)
"""Last horizon of each window but the last, which has no end."""
_MIDDLES = (DAY / 2, 2 * DAY, 5 * DAY, 10.5 * DAY)
_FEWEST_ERRORS = 20
_WORST = 1_000.0
"""Bounds the ratio to a naive forecast that happens to be exact."""
_PRIOR_SPREAD = 1.0
"""Standard deviation of an error before any is known, in daily changes."""


@dataclass(frozen=True, slots=True)
class Past:
    """Past forecasts: m pairs of origin and horizon whose actual value is known.

    medians: method to its (m,) forecasts; naive: (m,) the seasonal naive's; scale: (m,).
    """

    origins: Index
    horizons: Index
    actual: Vector
    naive: Vector
    scale: Vector
    medians: Mapping[str, Vector]

    def errors(self, method: str) -> Vector:
        """Return actual minus forecast of each pair, in units of the scale."""
        return (self.actual - self.medians[method]) / self.scale


@dataclass(frozen=True, slots=True)
class Honesty:
    """What quantiles made from earlier errors did: scaled error, and share covered by level."""

    mase: float
    coverage: Mapping[str, float]


def join(parts: Sequence[Past]) -> Past:
    """Return several blocks of past forecasts as one."""
    return Past(
        origins=np.concatenate([part.origins for part in parts]),
        horizons=np.concatenate([part.horizons for part in parts]),
        actual=np.concatenate([part.actual for part in parts]),
        naive=np.concatenate([part.naive for part in parts]),
        scale=np.concatenate([part.scale for part in parts]),
        medians={
            method: np.concatenate([part.medians[method] for part in parts])
            for method in parts[0].medians
        },
    )


def window_of(horizons: Index) -> Index:
    """Return the number of the window that each horizon lies in."""
    return np.digitize(horizons, WINDOW_ENDS, right=True).astype(np.int64)


def choose(past: Past, hours: int) -> tuple[str, ...]:
    """Return the method for each window that horizons up to `hours` reach.

    The one with the least pinball loss of honest quantiles; where there are too few errors for
    that, the one chosen for the window before, or the least mean error in the first.
    """
    last = int(window_of(np.array([hours]))[0])
    chosen: list[str] = []
    for window in range(last + 1):
        inside = window_of(past.horizons) == window
        losses = {
            method: loss
            for method in past.medians
            if (loss := _honest_loss(past, method, inside)) is not None
        }
        if losses:
            chosen.append(min(losses, key=lambda method: losses[method]))
        else:
            chosen.append(chosen[-1] if chosen else _least_error(past))
    return tuple(chosen)


def quantiles(
    past: Past,
    methods: Sequence[str],
    medians: Mapping[str, Vector],
    horizons: Index,
    scale: Vector,
) -> Vector:
    """Return (m, 5) quantiles at `QUANTILE_LEVELS` of m horizons after all of `past`."""
    offsets = [_offsets(past, methods, window) for window in range(len(methods))]
    return _blend(methods, medians, horizons, scale, offsets)


def honesty(past: Past, methods: Sequence[str]) -> Honesty:
    """Return what the chosen methods' quantiles did at origins that had enough errors."""
    error = naive = 0.0
    covered = np.zeros(len(QUANTILE_LEVELS))
    count = 0
    windows = window_of(past.horizons)
    for origin in _scored(past.origins):
        before = _before(past, int(origin))
        enough = [
            int((windows[before] == window).sum()) >= _FEWEST_ERRORS
            for window in range(len(methods))
        ]
        usable = enough.index(False) if False in enough else len(enough)
        at = (past.origins == origin) & (windows < usable)
        if not at.any():
            continue
        known = _subset(past, before)
        offsets = [_offsets(known, methods, window) for window in range(usable)]
        medians = {method: past.medians[method][at] for method in methods[:usable]}
        stated = _blend(methods[:usable], medians, past.horizons[at], past.scale[at], offsets)
        actual = past.actual[at]
        error += float(np.abs(stated[:, 0] - actual).sum())
        naive += float(np.abs(past.naive[at] - actual).sum())
        covered += (actual[:, None] <= stated).sum(axis=0)
        count += len(actual)
    if not count:
        median = past.medians[methods[0]]
        own = float(np.abs(past.actual - median).sum())
        return Honesty(_ratio(own, float(np.abs(past.actual - past.naive).sum())), {})
    shares = {
        f"{level:.2f}": float(share)
        for level, share in zip(QUANTILE_LEVELS, covered / count, strict=True)
    }
    return Honesty(_ratio(error, naive), shares)


def _scored(origins: Index) -> Index:
    """Return the origins that count: the first third know much less than tonight's does."""
    distinct = np.unique(origins)
    return distinct[len(distinct) // 3 :]


def _ratio(error: float, naive: float) -> float:
    """Return the error in units of the naive one; 1 when both are nothing."""
    if naive <= 0:
        return 1.0 if error <= 0 else _WORST
    return min(error / naive, _WORST)


def _before(past: Past, origin: int) -> Mask:
    """Return which pairs' targets were known at an origin."""
    return past.origins + past.horizons - 1 < origin


def _subset(past: Past, kept: Mask) -> Past:
    """Return some of the pairs."""
    return Past(
        origins=past.origins[kept],
        horizons=past.horizons[kept],
        actual=past.actual[kept],
        naive=past.naive[kept],
        scale=past.scale[kept],
        medians={method: values[kept] for method, values in past.medians.items()},
    )


def _honest_loss(past: Past, method: str, inside: Mask) -> float | None:
    """Return the mean pinball loss in a window; None when no origin had enough errors."""
    errors = past.errors(method)
    loss, count = 0.0, 0
    levels = np.asarray(QUANTILE_LEVELS)
    for origin in _scored(past.origins[inside]):
        earlier = inside & _before(past, int(origin))
        known = errors[earlier]
        at = inside & (past.origins == origin)
        if len(known) < _FEWEST_ERRORS:
            continue
        offsets = _conformal(known, past, earlier)
        above = (errors[at][:, None] - offsets) * past.scale[at][:, None]
        loss += float(np.maximum(levels * above, (levels - 1.0) * above).sum())
        count += int(at.sum())
    return loss / count if count else None


def _least_error(past: Past) -> str:
    """Return the method with the least mean absolute error of all pairs."""
    return min(past.medians, key=lambda method: float(np.abs(past.errors(method)).sum()))


def _offsets(past: Past, methods: Sequence[str], window: int) -> Vector:
    """Return the (5,) offsets of a window, widened from a nearer one where errors are few."""
    windows = window_of(past.horizons)
    errors = past.errors(methods[window])
    inside = windows == window
    known = errors[inside]
    if len(known) < _FEWEST_ERRORS and window:
        wider = math.sqrt(_MIDDLES[window] / _MIDDLES[window - 1])
        return _offsets(past, methods, window - 1) * wider
    return _conformal(known, past, inside)


def _conformal(known: Vector, past: Past, kept: Mask) -> Vector:
    """Return the (5,) offsets of errors; those of one day count as one.

    The median keeps the method's own forecast: to shift it by the past bias made it worse on
    every pool of the example data, because levels change and come back.
    """
    days = len(np.unique((past.origins + past.horizons - 1)[kept] // DAY))
    found = conformal.offsets(np.sort(known).tolist(), _PRIOR_SPREAD, independent=days)
    return np.asarray([0.0, *(max(offset, 0.0) for offset in found[1:])], dtype=np.float64)


def _blend(
    methods: Sequence[str],
    medians: Mapping[str, Vector],
    horizons: Index,
    scale: Vector,
    offsets: Sequence[Vector],
) -> Vector:
    """Return (m, 5) quantiles that go over linearly between the middles of the windows."""
    stated = [
        medians[method][:, None] + scale[:, None] * offset
        for method, offset in zip(methods, offsets, strict=True)
    ]
    place = np.interp(horizons, _MIDDLES[: len(methods)], np.arange(len(methods)))
    weights = [np.maximum(0.0, 1.0 - np.abs(place - window)) for window in range(len(methods))]
    blended = np.zeros_like(stated[0])
    for weight, values in zip(weights, stated, strict=True):
        blended += weight[:, None] * values
    return blended
