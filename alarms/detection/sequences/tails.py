"""How often a value so large came before: learned tails, in constant memory.

Only the largest values so far are kept. Above the smallest of them the tail is a power
(Hill 1975, for distances, which may be heavy-tailed), which is exponential in the logarithm, or
exponential (for cumulative sums, whose tail is so where the increments have a mean below zero,
Lundberg's bound).
"""

from __future__ import annotations

import bisect
import math
from enum import Enum

MOST_SURPRISE = 30.0
"""Smaller probabilities than 1e-30 say nothing more."""
DECADE = math.log(10)
TINY = 1e-300
"""Logarithms are taken of no less."""
LEAST_INDEX = 1e-3
"""A power tail whose largest values are all equal still has some width."""


class Shape(Enum):
    """How a tail falls."""

    POWER = "power"
    EXPONENTIAL = "exponential"


class Tail:
    """The largest values of a statistic that is not negative, and the number of all.

    kept: how many are kept; least: values needed before anything is surprising.
    """

    __slots__ = ("_edge", "_is_power", "_kept", "_largest", "_least", "_sum", "count")

    def __init__(self, shape: Shape, *, kept: int, least: int) -> None:
        self._is_power = shape is Shape.POWER
        self._kept = kept
        self._least = least
        # Logarithms where the tail is a power, so that both shapes are exponential here.
        self._largest: list[float] = []
        self._sum = 0.0
        self._edge = -1.0
        self.count = 0

    @property
    def is_ready(self) -> bool:
        """Whether enough values were seen."""
        return self.count >= self._least

    def observe(self, value: float) -> float:
        """Return the surprise of a value, -log10 of its probability, then learn it.

        A value among the ordinary ones has surprise 0.
        """
        self.count += 1
        if value <= self._edge:
            return 0.0
        largest = self._largest
        place = math.log(max(value, TINY)) if self._is_power else value
        surprise = 0.0
        if len(largest) == self._kept:
            if self.count > self._least:
                beyond = math.log10(self._kept) if self._is_bare else self._decades(place)
                surprise = min(MOST_SURPRISE, self._ordinary(self.count - 1) + beyond)
            self._sum -= largest.pop(0)
        bisect.insort(largest, place)
        self._sum += place
        if len(largest) == self._kept:
            self._edge = math.exp(largest[0]) if self._is_power else largest[0]
        return surprise

    def reach(self, surprise: float) -> float:
        """Return the value that has this surprise; infinite before enough values were seen."""
        if len(self._largest) < self._kept or not self.is_ready:
            return math.inf
        decades = max(0.0, surprise - self._ordinary(self.count))
        place = self._largest[0] + decades * DECADE * self._mean_excess()
        return math.exp(min(place, -math.log(TINY))) if self._is_power else place

    @property
    def _is_bare(self) -> bool:
        """Whether even the values kept are zero, so that they have no shape."""
        return self._is_power and self._edge <= TINY * 2

    def _ordinary(self, count: int) -> float:
        """Return the surprise of the smallest value kept."""
        return max(0.0, math.log10(count / self._kept))

    def _mean_excess(self) -> float:
        """Return how far the larger values kept are above the smallest one, on average."""
        edge = self._largest[0]
        mean = (self._sum - self._kept * edge) / (self._kept - 1)
        if self._is_power:
            return max(0.0, mean) + LEAST_INDEX
        return max(mean, 1e-6 * abs(edge), 1e-9)

    def _decades(self, place: float) -> float:
        """Return how many decades rarer a place is than the smallest one kept."""
        return max(0.0, place - self._largest[0]) / self._mean_excess() / DECADE
