"""Memory of a task that has run never or seldom: other tasks lend what varies little among them.

A person's preset says how much a task was thought to need. Over all tasks with runs, the ratio of
need to preset has a spread between tasks and a smaller one between runs of one task. A new task
starts with the first; each own run says which task it is, and the second remains (partial pooling,
Gelman and Hill, 2007, chapter 12). The width of the quantiles is conformal: each known task is
forecast as if it were new, with as many own runs as the new one has, and the errors of all give
the offsets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.model.errors import InvalidInputError
from engine.model.profiles import QUANTILE_LEVELS, Quantiles
from forecasting.conformal import rising
from forecasting.profiles import ranges

Vector = NDArray[np.float64]

_FEWEST_TASKS = 3
_DRAWS = 24
"""Orders in which the runs of each known task are taken as its first ones."""
_LEAST_WIDTH = 0.02
_LEAST = 1e-6
_FOR_NORMAL = 1.48
"""A normal distribution's standard deviation over its median absolute deviation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRuns:
    """A task with the need that was stated for it, and what its runs needed, in one unit."""

    preset: float
    needs: tuple[float, ...]


class ColdStart:
    """Quantiles for tasks with few runs, learned from tasks with many.

    Args:
        tasks: At least three known tasks with a run each.
        seed: Of the order in which their runs are taken.

    Raises:
        InvalidInputError: There are too few tasks, or a need cannot be.
    """

    def __init__(self, tasks: Sequence[TaskRuns], *, seed: int) -> None:
        known = [task for task in tasks if task.needs]
        faults = ranges.too_few(len(known), _FEWEST_TASKS, "tasks with runs")
        for place, task in enumerate(known):
            for need in (task.preset, *task.needs):
                faults += ranges.memory_gib(need, place)
        if faults:
            raise InvalidInputError("runs of known tasks", faults)
        self._seed = seed
        self._ratios = [np.array([_ratio(n, task.preset) for n in task.needs]) for task in known]
        self._centre = float(np.median([np.median(ratios) for ratios in self._ratios]))
        between = [float(np.median(ratios)) - self._centre for ratios in self._ratios]
        self._among = float(np.median(np.abs(between))) * _FOR_NORMAL + _LEAST_WIDTH
        spreads = [float(np.std(ratios, ddof=1)) for ratios in self._ratios if len(ratios) > 1]
        self._within = max(float(np.median(spreads or [self._among])), _LEAST_WIDTH)
        self._scores: dict[int, Vector] = {}

    def quantiles(self, preset: float, needs: Sequence[float]) -> Quantiles:
        """Return what the next run of a task needs.

        Args:
            preset: What was stated for it.
            needs: Of its own runs so far, any number.
        """
        own = np.array([_ratio(need, preset) for need in needs])
        centre, width = self._told(own)
        scores = self._errors(len(own))
        count = len(scores)
        ranks = [min(math.ceil((count + 1) * level), count) for level in QUANTILE_LEVELS]
        values = [centre + width * float(scores[rank - 1]) for rank in ranks]
        return rising([max(preset, _LEAST) * math.exp(min(value, 40.0)) for value in values])

    def _told(self, own: Vector) -> tuple[float, float]:
        """Return the centre of the next ratio and its width: own runs, pulled to all tasks'."""
        among, within = self._among, self._within
        if not len(own):
            return self._centre, among
        count = len(own)
        pull = within**2 / (within**2 + count * among**2)
        centre = (1.0 - pull) * float(own.mean()) + pull * self._centre
        squares = float(((own - own.mean()) ** 2).sum()) + within**2
        return centre, math.sqrt(squares / count) + _LEAST_WIDTH

    def _errors(self, count: int) -> Vector:
        """Return sorted errors in widths: known tasks, each as if it had only `count` runs."""
        if count not in self._scores:
            random = np.random.default_rng(self._seed)
            found = []
            for ratios in self._ratios:
                if len(ratios) <= count:
                    continue
                for _ in range(_DRAWS):
                    order = random.permutation(len(ratios))
                    centre, width = self._told(ratios[order[:count]])
                    found.append((ratios[order[count]] - centre) / width)
            self._scores[count] = np.sort(np.array(found or [0.0]))
        return self._scores[count]


def _ratio(need: float, preset: float) -> float:
    """Return the logarithm of need over preset."""
    return math.log(max(need, _LEAST) / max(preset, _LEAST))
