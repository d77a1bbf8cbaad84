"""Memory of a task's first try and of its retries, so that little is wasted in expectation.

Several point forecasts (`candidates`), each with errors counted as a share of the forecast or in
units of memory, are made for every run before it starts. For each, the offset that would have
wasted least (`waste`) makes a policy. All policies speak for the next run, weighed by what each has
wasted so far: a mean of several varies less than the one that happened to lead, and fails less
often than its parts. A retry takes the step that costs least among the needs seen above what
failed.

One sizer serves one kind of task. `first_try` and `update` take about a millisecond.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from engine.model.errors import InvalidInputError
from forecasting.profiles import ranges
from forecasting.profiles.candidates import LEFT_OUT, POINTS
from forecasting.profiles.waste import Errors, Offset, best_offset, cost_of, with_tail

Vector = NDArray[np.float64]

_MOST_RUNS = 1_000
"""Later runs push the earliest out."""
_FEWEST = 4
_LEAST_GB = 1e-6
_LEAST_HOURS = 1e-7
_MOST_FAILING = 0.2
"""Of one policy, unless told; together they fail far less often. Below it, waste decides."""
_GROWTH = 2.0
_POWER = 8.0
"""A policy that wasted a tenth more than the best has half of its weight."""


class Scale(StrEnum):
    """In what errors are counted."""

    SHARE = "share"
    ABSOLUTE = "absolute"


@dataclass(frozen=True, slots=True)
class Choice:
    """What speaks loudest for a first try: its policy, its waste so far, how often it failed."""

    method: str
    scale: Scale
    wasted: float
    failed: int
    tested: int


_POLICIES = tuple((name, scale) for name in POINTS for scale in Scale)


class MemorySizer:
    """Sizes the memory of one kind of task, in GB or any other unit.

    Args:
        default_gb: First try before anything has run.
        most_failing: Largest share of first tries that a policy may expect to fail.
    """

    def __init__(self, *, default_gb: float = 4.0, most_failing: float = _MOST_FAILING) -> None:
        self._default = default_gb
        self._most_failing = most_failing
        self._sizes: list[float] = []
        self._needs: list[float] = []
        self._hours: list[float] = []
        self._points: list[list[float]] = []
        self._wasted = np.zeros(len(_POLICIES))
        self._failed = np.zeros(len(_POLICIES), dtype=np.int64)
        self._tested = 0
        self._offsets: list[Offset] | None = None

    def first_try(self, size: float) -> float:
        """Return the memory to hold for a run with an input of this size (any unit, from 0)."""
        if len(self._needs) < _FEWEST:
            return 1.5 * max(self._needs) if self._needs else self._default
        spoken = float(self._weights() @ self._tries(self._point(size)))
        return max(spoken, _LEAST_GB)

    def next_try(self, failed_gb: float) -> float:
        """Return what to hold after so much was too little: at most the largest need seen."""
        above = np.array([need for need in self._needs if need > failed_gb])
        if not len(above):
            return _GROWTH * failed_gb
        most = float(above.max())
        hours = np.array(
            [h for n, h in zip(self._needs, self._hours, strict=True) if n > failed_gb]
        )
        errors = Errors(np.zeros(len(above)), np.ones(len(above)), above, hours)
        return best_offset(errors, retry=most, most_failing=0.5).scales

    def update(self, size: float, memory_gb: float, hours: float) -> None:
        """Learn what a run needed.

        Raises:
            InvalidInputError: A value is negative, missing or beyond what can be.
        """
        place = len(self._needs)
        faults = ranges.memory_gib(memory_gb, place) + ranges.seconds(hours * 3_600.0, place)
        faults += ranges.finite("size", size, place)
        if faults:
            raise InvalidInputError("run of a task", faults)
        need, hours = max(memory_gb, _LEAST_GB), max(hours, _LEAST_HOURS)
        points = self._point(size)
        if place >= _FEWEST:
            tries = self._tries(points)
            most = max(self._needs)
            for policy, held in enumerate(tries):
                retry = most if most > held else _GROWTH * held
                self._wasted[policy] += cost_of(float(held), need, hours, retry=retry)
                self._failed[policy] += held < need
            self._tested += 1
        self._sizes.append(_log(size))
        self._needs.append(need)
        self._hours.append(hours)
        self._points.append(points)
        for kept in (self._sizes, self._needs, self._hours, self._points):
            del kept[:-_MOST_RUNS]
        self._offsets = None

    def choice(self) -> Choice | None:
        """Return the policy that has wasted least; None before there were runs to test on."""
        if not self._tested:
            return None
        best = int(np.argmin(self._wasted))
        method, scale = _POLICIES[best]
        return Choice(
            method, scale, float(self._wasted[best]), int(self._failed[best]), self._tested
        )

    def _point(self, size: float) -> list[float]:
        """Return every candidate's forecast; what is known of nothing is the default."""
        if not self._needs:
            return [self._default] * len(POINTS)
        sizes = np.array(self._sizes)
        memory = np.log(np.array(self._needs))
        at = _log(size)
        return [max(point(sizes, memory, at), _LEAST_GB) for point in POINTS.values()]

    def _tries(self, points: list[float]) -> Vector:
        """Return the first try of every policy."""
        if self._offsets is None:
            self._offsets = [self._offset(*policy) for policy in _POLICIES]
        places = list(POINTS)
        held = []
        for (name, scale), offset in zip(_POLICIES, self._offsets, strict=True):
            point = points[places.index(name)]
            width = point if scale is Scale.SHARE else 1.0
            held.append(max(point + offset.scales * width, _LEAST_GB))
        return np.array(held)

    def _offset(self, name: str, scale: Scale) -> Offset:
        """Return the offset of a policy from the runs that it forecast."""
        # The very first forecasts were made from next to nothing.
        first = min(_FEWEST, len(self._needs) // 2)
        if name in LEFT_OUT:
            memory = np.log(np.array(self._needs))
            told = np.maximum(LEFT_OUT[name](np.array(self._sizes), memory), _LEAST_GB)
            points = told[first:]
        else:
            place = list(POINTS).index(name)
            points = np.array([told[place] for told in self._points[first:]])
        needs, hours = np.array(self._needs[first:]), np.array(self._hours[first:])
        scales = points if scale is Scale.SHARE else np.ones_like(points)
        errors = with_tail(Errors(points, scales, needs, hours))
        return best_offset(
            errors, retry=max(self._needs), most_failing=max(self._most_failing, 1.5 / len(needs))
        )

    def _weights(self) -> Vector:
        """Return how loud each policy speaks: the power of its waste so far over the least."""
        wasted = self._wasted + _LEAST_HOURS * _LEAST_GB
        weights = (wasted.min() / wasted) ** _POWER
        return np.asarray(weights / weights.sum(), dtype=np.float64)


def _log(size: float) -> float:
    """Return the logarithm of a size, with nothing at a small one."""
    return math.log(max(size, 1e-9))
