"""What to hold after a task ran out of memory: the steps that cost least in expectation.

The runs of a task that ended give, for each of a few point forecasts (`profiles.candidates`), how
far needs lay from what was forecast for them before they ran. Those errors around the forecast of
this run, as far as they lie above what has failed, are its possible needs. The forecasts whose
errors scatter least among runs that also needed more speak together. Holding the value v costs v if
it is enough, else v and the best that follows: solved backwards over the possible needs (as the
first allocation of Tovar et al., TPDS 2018, but for a whole ladder and given what has failed).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasting.profiles.candidates import POINTS

Vector = NDArray[np.float64]

_FEWEST = 4
"""The very first forecasts were made from next to nothing."""
_SPEAKERS = 3
_FEWEST_ABOVE = 3
_BELOW_WEIGHT = 0.15
"""Of errors of runs that would not have failed: they say less of one that did."""
_LEAST_SCATTER = 1e-3
_MARGIN = 1e-4
_LEAST = 1e-6
_GROWTH = 1.5
_BEYOND = 0.05
"""Probability that a run needs more than anything that is known of it."""
_MOST_RUNS = 400
_LOST = 20.0
"""What a run is worth that its last try loses, in the memory that it is expected to hold."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One step: what to hold, how likely it is enough, and the memory expected until success.

    expected: sum of what this attempt and those after it hold.
    """

    memory: float
    success: float
    expected: float


class Needs:
    """What runs of one task needed, in the order in which they ended (memory in any unit)."""

    def __init__(self, *, most_runs: int = _MOST_RUNS) -> None:
        self._most_runs = most_runs
        self._sizes: list[float] = []
        self._needs: list[float] = []
        self._points: list[list[float]] = []

    def __len__(self) -> int:
        """Return how many runs are known."""
        return len(self._needs)

    def update(self, size: float, memory: float) -> None:
        """Learn what a run needed whose input has this size (any unit, from 0)."""
        need = max(memory, _LEAST)
        self._points.append(self._forecasts(size) if self._needs else [need] * len(POINTS))
        self._sizes.append(_log(size))
        self._needs.append(need)
        for kept in (self._sizes, self._needs, self._points):
            del kept[: -self._most_runs]

    def rung(
        self, size: float, failed: float, *, most: float = math.inf, is_last: bool = False
    ) -> Rung:
        """Return the next step for a run of which `failed` was too little.

        Args:
            size: Of its input.
            failed: The most that it has held so far.
            most: The most that any machine can give.
            is_last: Whether no further try follows, so that falling short loses the run.
        """
        values, weights = self._possible(size, failed)
        if not len(values):
            held = min(_GROWTH * failed, most)
            return Rung(memory=held, success=0.5, expected=2.0 * held)
        return _cheapest(values, weights, failed, most, is_last=is_last)

    def _possible(self, size: float, failed: float) -> tuple[Vector, Vector]:
        """Return possible needs above what failed, with their weights."""
        if len(self._needs) <= _FEWEST:
            above = np.array([need for need in self._needs if need > failed])
            return above, np.ones(len(above))
        needs = np.array(self._needs[_FEWEST:])
        errors = np.log(needs)[:, None] - np.log(np.array(self._points[_FEWEST:]))
        above = needs > failed
        chosen = above if above.sum() >= _FEWEST_ABOVE else needs >= np.median(needs)
        centre = np.median(errors[chosen], axis=0)
        scatter = np.abs(errors[chosen] - centre).mean(axis=0)
        said = np.log(np.array(self._forecasts(size)))
        counts = np.where(above, 1.0, _BELOW_WEIGHT)
        speakers = np.argsort(scatter, kind="stable")[:_SPEAKERS]
        values = np.concatenate([np.exp(said[one] + errors[:, one]) for one in speakers])
        weights = np.concatenate([counts / (scatter[one] + _LEAST_SCATTER) for one in speakers])
        kept = values > failed * (1.0 + _MARGIN)
        return values[kept], weights[kept]

    def _forecasts(self, size: float) -> list[float]:
        """Return every point forecast from the runs known so far."""
        sizes, memory = np.array(self._sizes), np.log(np.array(self._needs))
        at = _log(size)
        return [max(point(sizes, memory, at), _LEAST) for point in POINTS.values()]


def _cheapest(
    values: Vector, weights: Vector, failed: float, most: float, *, is_last: bool
) -> Rung:
    """Return the first step of the ladder of least expected cost over possible needs."""
    order = np.argsort(values, kind="stable")
    needs, shares = values[order] * (1.0 + _MARGIN), weights[order] / weights.sum()
    # Something that was never seen: half as much again as the largest, rarely.
    needs = np.append(needs, _GROWTH * max(float(needs[-1]), failed))
    shares = np.append(shares * (1.0 - _BEYOND), _BEYOND)
    after = np.append(np.cumsum(shares[::-1])[::-1], 0.0)
    costs = np.zeros(len(needs) + 1)
    first = 0
    for place in range(len(needs) - 1, -1, -1):
        tried = needs[place:] + after[place + 1 :] / after[place] * costs[place + 1 :]
        best = int(np.argmin(tried))
        costs[place], first = float(tried[best]), place + best
    if is_last:
        short = _LOST * float(needs @ shares)
        first = int(np.argmin(needs + after[1:] * short))
    held = min(float(needs[first]), most)
    enough = float(shares[needs <= held * (1.0 + 1e-12)].sum())
    return Rung(memory=held, success=enough, expected=float(costs[0]))


def _log(size: float) -> float:
    """Return the logarithm of a size, with nothing at a small one."""
    return math.log(max(size, 1e-9))
