"""One median from many methods: those that did well lately count most.

For each series, each origin and each day ahead, the weight of a candidate falls exponentially
with its recent loss in units of the best one's (the exponentially weighted forecaster with
forgetting; Cesa-Bianchi and Lugosi, 2006, chapters 2 and 11). Candidates are the methods and a
few means and medians of them. Only targets before the origin count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from forecasting.series.panel import DAY, Index, Vector
from forecasting.series.walk import SMOOTHING, TREES, Walk

_STEEPNESS = 18.0
"""A candidate whose loss is 10 % above the best has a sixth of its weight."""
_HALF_LIVES = (14 * DAY, 28 * DAY)
"""Of losses in hours: a day ahead, and further; the latter are known late and vary more."""
_PRIOR_DAYS = 0.5
"""How many days of its own losses the mean over all series counts for."""
_LEAST = 1e-12

_PAIRED = (
    SMOOTHING,
    "last day",
    "mean of three days",
    "week's profile",
    "last value",
    "last day's mean",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Combined:
    """Medians (o, n, h) of a walk, and the final weights by candidate for the first day (n,)."""

    medians: Vector
    weights: Mapping[str, Vector]


def combine(walked: Walk) -> Combined:
    """Return the weighted median of each origin, series and hour."""
    found = candidates(walked.members)
    losses = _daily_losses(walked, found)
    ends = _ends(walked)
    medians = np.empty_like(walked.actual)
    stacked = list(found.values())
    first = list(found).index(TREES)
    weights = np.empty((0, 0))
    for place, origin in enumerate(walked.origins):
        near, far = (
            _weights(losses, ends, int(origin), days, half_life, first)
            for days, half_life in zip(_days(walked.hours), _HALF_LIVES, strict=True)
        )
        medians[place, :, :DAY] = _weighted(stacked, near, place, slice(0, DAY))
        medians[place, :, DAY:] = _weighted(stacked, far, place, slice(DAY, None))
        weights = near
    return Combined(medians=medians, weights={name: weights[row] for row, name in enumerate(found)})


def candidates(members: Mapping[str, Vector]) -> dict[str, Vector]:
    """Return the methods, the mean of trees with each, and two medians."""
    found = dict(members)
    trees = members[TREES]
    for name in (name for name in _PAIRED if name in members):
        found[f"mean of {TREES} and {name}"] = (trees + members[name]) / 2
    found["mean of last day and last value"] = (members["last day"] + members["last value"]) / 2
    few = [trees, members["last day"], members["mean of three days"]]
    found["median of three"] = np.median(np.stack(few), axis=0)
    more = [*few, members["last day's mean"], members["week's profile"]]
    found["median of five"] = np.median(np.stack(more), axis=0)
    return found


def _days(hours: int) -> tuple[range, range]:
    """Return the days whose losses make weights: the first for itself, all for the others.

    The first day is among the latter because it is judged at once: after a shift the days further
    ahead learn from it what they would see a week later.
    """
    count = -(-hours // DAY)
    return range(1), range(count)


def _daily_losses(walked: Walk, found: Mapping[str, Vector]) -> Vector:
    """Return (candidates, o, n, days) mean errors of each day ahead, scaled; NaN where unknown."""
    starts = range(0, walked.hours, DAY)
    known = ~np.isnan(walked.actual)
    counts = np.stack([known[..., s : s + DAY].sum(axis=-1) for s in starts], axis=-1)
    losses = np.empty((len(found), *counts.shape))
    for row, values in enumerate(found.values()):
        errors = np.nan_to_num(np.abs(values - walked.actual))
        sums = np.stack([errors[..., s : s + DAY].sum(axis=-1) for s in starts], axis=-1)
        losses[row] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    scale = np.maximum(walked.scale, _LEAST)
    return losses / scale[None, :, :, None]


def _ends(walked: Walk) -> Index:
    """Return (o, days): the hour from which on a day ahead is known as a whole."""
    ahead = np.minimum(np.arange(DAY, walked.hours + DAY, DAY), walked.hours)
    return np.asarray(walked.origins[:, None] + ahead[None, :], dtype=np.int64)


def _weights(
    losses: Vector, ends: Index, origin: int, days: range, half_life: int, first: int
) -> Vector:
    """Return (candidates, n) weights at an origin, which add up to 1.

    Before any loss is known the candidate `first` counts alone: a mean of all would err in ways
    that the later ones do not, and widths are made of those errors.
    """
    inside = slice(days.start, days.stop)
    age = origin - ends[:, inside]
    worth = np.where(age >= 0, 0.5 ** (np.maximum(age, 0) / half_life), 0.0)[None, :, None, :]
    block = losses[:, :, :, inside]
    known = ~np.isnan(block)
    count = (worth * known).sum(axis=(1, 3)) / max(len(days), 1)
    total = (worth * np.nan_to_num(block)).sum(axis=(1, 3)) / max(len(days), 1)
    own = total / np.maximum(count, _LEAST)
    # A constant series has errors of next to nothing in a scale of nothing: they count alike.
    own = (own + _LEAST) / (own.min(axis=0) + _LEAST)
    told = count[0] > 0
    if not told.any():
        alone = np.zeros_like(own)
        alone[first] = 1.0
        return np.asarray(alone, dtype=np.float64)
    everyone = own[:, told].mean(axis=1, keepdims=True)
    shared = (own * count + everyone * _PRIOR_DAYS) / (count + _PRIOR_DAYS)
    weights = np.exp(-_STEEPNESS * (shared / shared.min(axis=0) - 1.0))
    return np.asarray(weights / weights.sum(axis=0), dtype=np.float64)


def _weighted(stacked: list[Vector], weights: Vector, place: int, ahead: slice) -> Vector:
    """Return (n, hours) weighted means of the candidates at an origin.

    Distances to the first are added up, so that what all agree on stays as it is to the last bit.
    """
    first = stacked[0][place, :, ahead]
    moved: Vector = np.asarray(
        sum(
            weight[:, None] * (values[place, :, ahead] - first)
            for weight, values in zip(weights, stacked, strict=True)
        )
    )
    return np.asarray(first + moved, dtype=np.float64)
