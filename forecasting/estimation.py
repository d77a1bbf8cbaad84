"""One quantity of one task from past runs: four methods, the best on held-out runs taken.

Every method forecasts the logarithm of the ratio between what was measured and the preset, so
that runs of other sizes can speak for this one. Each run is forecast from all others (leave one
out); the method with the least loss on the runs nearest to the task is taken, and its residuals
give the quantiles. The loss is what an error costs: pinball loss of the stated quantiles for
times and rates, memory wasted (with the failed try, when too little was held) for memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.model.profiles import QUANTILE_LEVELS, Method, Quantiles
from forecasting import conformal
from forecasting.presets import Quantity, preset
from forecasting.runs import Past, Vector

_FLOOR = 1e-3
"""Measured zeros count as this much, for their logarithm."""
_NEIGHBOURS = 8
_NEAR = 0.1
_RIDGE = 1.0
_FEWEST_FOR_REGRESSION = 3
_OWN_TESTS = 4
"""So many own runs are a test of their own; with fewer, like runs are tested on too."""
_MOST_TESTS = 30
_RETRY_FACTOR = 1.5
"""What the next attempt holds after it ran out of memory."""
_LEAST_HELD = 0.01
"""Bounds how often a try is repeated with more."""
_MEMORY = frozenset({Quantity.MEMORY, Quantity.GPU_MEMORY})
_PRIOR_SPREAD = {
    Method.OWN_RUNS: 0.15,
    Method.LIKE_RUNS: 0.35,
    Method.REGRESSION: 0.35,
    Method.PRESET: 0.5,
}
"""Standard deviation of the log ratio before there is evidence, in order of trust."""
_SPREAD_SHARE = {Quantity.CPU: 0.2, Quantity.MEMORY: 0.4, Quantity.GPU_MEMORY: 0.4}
"""What varies less than time gets so much of the spread above."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Quantiles of one quantity with how well its method did on held-out runs.

    error: mean absolute percentage error of the median; coverage: share at or under P95; both
        None without runs to test on.
    """

    method: Method
    quantiles: Quantiles
    error: float | None
    coverage: float | None
    tested: int


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A method's log ratio for the task, and for each run from the others (NaN: no forecast)."""

    method: Method
    ratio: float
    left_out: Vector


@dataclass(frozen=True, slots=True)
class _Test:
    """A candidate's loss, error and coverage on its residuals."""

    loss: float
    error: float
    coverage: float


def estimate(past: Past, quantity: Quantity) -> Estimate:
    """Return the quantiles of a quantity of the task that `past` was gathered for."""
    kinds = [record.kind for record in past.records]
    presets = [
        preset(kind, record.attributes)[quantity]
        for kind, record in zip(kinds, past.records, strict=True)
    ]
    measured = [float(getattr(record, quantity.value)) for record in past.records]
    ratios = _logs(measured) - _logs(presets)
    base = math.log(max(_preset_of_target(past, quantity), _FLOOR))
    tested = _held_out(past)
    best, residuals, test = _choose(_candidates(past, ratios), ratios, tested, quantity)
    spread = _spread(best.method, quantity)
    offsets = conformal.offsets(residuals, spread)
    values = [math.exp(base + best.ratio + offset) for offset in offsets]
    return Estimate(
        method=best.method,
        quantiles=conformal.rising(values),
        error=None if test is None else test.error,
        coverage=None if test is None else test.coverage,
        tested=len(residuals),
    )


def _spread(method: Method, quantity: Quantity) -> float:
    """Return the standard deviation of a quantity's log ratio before there is evidence."""
    return _PRIOR_SPREAD[method] * _SPREAD_SHARE.get(quantity, 1.0)


def _preset_of_target(past: Past, quantity: Quantity) -> float:
    """Return the preset of the task itself."""
    return preset(past.kind, past.attributes)[quantity]


def _logs(values: Sequence[float]) -> Vector:
    """Return natural logarithms, with zeros lifted to the floor."""
    return np.log(np.maximum(np.asarray(values, dtype=np.float64), _FLOOR))


def _held_out(past: Past) -> NDArray[np.int64]:
    """Return the runs to test on: own ones when there are enough, else the nearest."""
    own = np.flatnonzero(past.own)
    chosen = own if len(own) >= _OWN_TESTS else np.arange(len(past.records))
    return np.asarray(chosen[:_MOST_TESTS], dtype=np.int64)


def _candidates(past: Past, ratios: Vector) -> list[_Candidate]:
    """Return every method that can speak for the task, in order of trust."""
    found: list[_Candidate] = []
    if past.own.any():
        found.append(_own_runs(past, ratios))
    if len(past.records):
        found.append(_like_runs(past, ratios))
    if len(past.records) >= _FEWEST_FOR_REGRESSION:
        found.append(_regression(past, ratios))
    found.append(_Candidate(Method.PRESET, 0.0, np.zeros_like(ratios)))
    return found


def _own_runs(past: Past, ratios: Vector) -> _Candidate:
    """Forecast by the median of runs of the same task."""
    left_out = np.full_like(ratios, np.nan)
    for index, group in enumerate(past.group):
        others = past.group == group
        others[index] = False
        if others.any():
            left_out[index] = np.median(ratios[others])
    return _Candidate(Method.OWN_RUNS, float(np.median(ratios[past.own])), left_out)


def _like_runs(past: Past, ratios: Vector) -> _Candidate:
    """Forecast by the nearest runs, weighted by nearness."""
    left_out = np.full_like(ratios, np.nan)
    for index in range(len(ratios)):
        others = np.delete(np.arange(len(ratios)), index)
        if len(others):
            left_out[index] = _nearest_mean(past.between[index, others], ratios[others])
    return _Candidate(Method.LIKE_RUNS, _nearest_mean(past.distance, ratios), left_out)


def _nearest_mean(distance: Vector, ratios: Vector) -> float:
    """Return the mean of the nearest ratios, weighted by the inverse square of distance."""
    nearest = np.argsort(distance, kind="stable")[:_NEIGHBOURS]
    weights = (_NEAR + distance[nearest]) ** -2.0
    return float(np.average(ratios[nearest], weights=weights))


def _regression(past: Past, ratios: Vector) -> _Candidate:
    """Forecast by ridge regression on sizes and model families.

    Leave-one-out residuals have a closed form: e / (1 - h), with h the leverage.
    """
    centre = past.features.mean(axis=0)
    ones = np.ones((len(ratios), 1))
    design = np.hstack([ones, past.features - centre])
    penalty = _RIDGE * np.eye(design.shape[1])
    penalty[0, 0] = 0.0
    inverse = np.linalg.inv(design.T @ design + penalty)
    weights = inverse @ design.T @ ratios
    leverage = np.einsum("ij,jk,ik->i", design, inverse, design)
    residuals = (ratios - design @ weights) / np.maximum(1.0 - leverage, 1e-6)
    ratio = float(weights[0] + (past.target - centre) @ weights[1:])
    return _Candidate(Method.REGRESSION, ratio, np.asarray(ratios - residuals, dtype=np.float64))


def _choose(
    candidates: Sequence[_Candidate],
    ratios: Vector,
    tested: NDArray[np.int64],
    quantity: Quantity,
) -> tuple[_Candidate, list[float], _Test | None]:
    """Return the candidate with the least loss, its residuals and its test.

    One that has no forecast for half of the tested runs is not compared. When fewer than two
    runs can be tested, the most trusted one is taken.
    """
    best: tuple[_Candidate, list[float], _Test] | None = None
    for candidate in candidates:
        known = tested[np.isfinite(candidate.left_out[tested])]
        if len(known) < max(2, (len(tested) + 1) // 2):
            continue
        residuals = [float(r) for r in ratios[known] - candidate.left_out[known]]
        test = _back_test(residuals, candidate.method, quantity)
        if best is None or test.loss < best[2].loss:
            best = (candidate, residuals, test)
    return (candidates[0], [], None) if best is None else best


def _back_test(residuals: Sequence[float], method: Method, quantity: Quantity) -> _Test:
    """Forecast each residual's quantiles from the other residuals and score them."""
    memory = quantity in _MEMORY
    spread = _spread(method, quantity)
    loss = error = covered = 0.0
    for index, actual in enumerate(residuals):
        others = [*residuals[:index], *residuals[index + 1 :]]
        offsets = conformal.offsets(others, spread)
        # All is relative to the actual value, so that short runs count as much as long ones.
        shares = [math.exp(offset - actual) for offset in offsets]
        loss += _waste(shares[3]) if memory else _pinball(shares)
        error += abs(shares[0] - 1.0)
        covered += shares[3] >= 1.0
    count = len(residuals)
    return _Test(loss=loss / count, error=error / count, coverage=covered / count)


def _pinball(shares: Sequence[float]) -> float:
    """Return the mean pinball loss of quantiles given as shares of the actual value."""
    return sum(
        max(level * (1.0 - share), (level - 1.0) * (1.0 - share))
        for level, share in zip(QUANTILE_LEVELS, shares, strict=True)
    ) / len(shares)


def _waste(share: float) -> float:
    """Return memory wasted as a share of what was needed, when `share` of it was held.

    Too little held is lost as a whole, as often as it takes; so is what is held above the need.
    """
    wasted = 0.0
    held = max(share, _LEAST_HELD)
    while held < 1.0:
        wasted += held
        held *= _RETRY_FACTOR
    return wasted + held - 1.0
