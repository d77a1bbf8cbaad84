"""Own runs, like runs, trends and presets: point forecasts that need a few lines each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.model.profiles import Method
from forecasting import networks
from forecasting.methods.question import Answer, Index, Mask, Question
from forecasting.presets import Quantity
from forecasting.runs import Vector

_NEIGHBOURS = 8
_NEAR = 0.1
_RIDGE = 1.0
_FEWEST_FOR_REGRESSION = 3
_FEWEST_FOR_TREND = 3
_RECENT = 2


def own_runs(asked: Question) -> Answer:
    """Forecast by the median of runs of the same task."""
    groups = asked.past.group
    left_out = _each_test(
        asked,
        lambda row, rows: _median(asked.ratios[rows[groups[rows] == groups[row]]]),
    )
    return Answer(Method.OWN_RUNS, _median(asked.ratios[asked.past.own]), left_out)


def recent_runs(asked: Question) -> Answer:
    """Forecast by the mean of the last two runs of the same task, which follow it as it changes.

    A test is told by runs that ended before it.
    """
    groups = asked.past.group

    def latest(row: int, rows: Index) -> float:
        before = rows[(groups[rows] == groups[row]) & (asked.ended[rows] < asked.ended[row])]
        order = before[np.argsort(asked.ended[before], kind="stable")]
        return _mean(asked.ratios[order[-_RECENT:]])

    left_out = _each_test(asked, latest)
    return Answer(Method.RECENT_RUNS, _mean(asked.ratios[asked.own[-_RECENT:]]), left_out)


def own_trend(asked: Question) -> Answer:
    """Forecast by a line over the size of the input through runs of the same task."""
    groups, sizes = asked.past.group, asked.past.features[:, 0]

    def through(row: int, rows: Index) -> float:
        same = rows[groups[rows] == groups[row]]
        return _trend(sizes[same], asked.ratios[same], float(sizes[row]))

    left_out = _each_test(asked, through)
    own = asked.own
    ratio = _trend(sizes[own], asked.ratios[own], float(asked.past.target[0]))
    return Answer(Method.OWN_TREND, ratio, left_out)


def like_runs(asked: Question) -> Answer:
    """Forecast by the nearest runs, weighted by nearness."""
    between = asked.past.between
    left_out = _each_test(
        asked, lambda row, rows: _nearest_mean(between[row, rows], asked.ratios[rows])
    )
    return Answer(Method.LIKE_RUNS, _nearest_mean(asked.past.distance, asked.ratios), left_out)


def regression(asked: Question) -> Answer:
    """Forecast by ridge regression on sizes and model families."""
    features = asked.past.features

    def left(row: int, rows: Index) -> float:
        return _ridge(features[rows], asked.ratios[rows], features[row])

    ratio = _ridge(features, asked.ratios, asked.past.target)
    return Answer(Method.REGRESSION, ratio, _each_test(asked, left))


def presets(asked: Question) -> Answer:
    """Forecast by the preset alone; of a network that is stated it is what its tensors take."""
    left_out = np.zeros(len(asked.tested))
    attributes = asked.past.attributes
    if asked.quantity is not Quantity.GPU_MEMORY or not networks.is_stated(attributes):
        return Answer(Method.PRESET, 0.0, left_out)
    spread = networks.REPLAY_SPREAD if networks.is_replayed(attributes) else None
    return Answer(Method.ANALYTIC, 0.0, left_out, spread=spread)


def _each_test(asked: Question, told: Callable[[int, Index], float]) -> Vector:
    """Return what a method says of each test, given the row of the test and those that speak."""
    return np.array(
        [
            told(int(row), _rows(mask)) if mask.any() else np.nan
            for row, mask in zip(asked.tested, asked.speaks, strict=True)
        ],
        dtype=np.float64,
    )


def _rows(mask: Mask) -> Index:
    return np.flatnonzero(mask).astype(np.int64)


def _median(values: Vector) -> float:
    """Return the median; NaN of nothing."""
    return float(np.median(values)) if len(values) else np.nan


def _mean(values: Vector) -> float:
    """Return the mean; NaN of nothing."""
    return float(values.mean()) if len(values) else np.nan


def _nearest_mean(distance: Vector, ratios: Vector) -> float:
    """Return the mean of the nearest ratios, weighted by the inverse square of distance."""
    nearest = np.argsort(distance, kind="stable")[:_NEIGHBOURS]
    weights = (_NEAR + distance[nearest]) ** -2.0
    return float(np.average(ratios[nearest], weights=weights))


def _trend(sizes: Vector, ratios: Vector, size: float) -> float:
    """Return a ridge line at a size; NaN where the sizes do not differ."""
    if len(sizes) < _FEWEST_FOR_TREND or np.ptp(sizes) <= 0.0:
        return np.nan
    centre = sizes.mean()
    spread = float(((sizes - centre) ** 2).sum())
    slope = float(((sizes - centre) * ratios).sum()) / (spread + _RIDGE / len(sizes))
    return float(ratios.mean() + slope * (size - centre))


def _ridge(features: Vector, ratios: Vector, at: Vector) -> float:
    """Return ridge regression at a row of features; NaN from fewer than three runs."""
    if len(ratios) < _FEWEST_FOR_REGRESSION:
        return np.nan
    centre = features.mean(axis=0)
    design = features - centre
    level = ratios.mean()
    penalty = _RIDGE * np.eye(design.shape[1])
    weights = np.linalg.solve(design.T @ design + penalty, design.T @ (ratios - level))
    return float(level + (at - centre) @ weights)
