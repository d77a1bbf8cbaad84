"""How often a value so large came before: learned tails, in constant memory.

Only the largest values so far are kept. Above the smallest of them the tail is a power
(Hill 1975, for distances, which may be heavy-tailed) or exponential (for cumulative sums, whose
tail is exponential where the increments have a mean below zero, Lundberg's bound).
"""

from __future__ import annotations

import bisect
import math
from abc import ABC, abstractmethod

LEAST_INDEX = 1e-3
"""A tail whose largest values are all equal still has some width."""
MOST_SURPRISE = 30.0
"""Smaller probabilities than 1e-30 say nothing more."""


class Tail(ABC):
    """The largest values of a statistic that is not negative, and the number of all.

    kept: how many are kept; least: values needed before anything is surprising.
    """

    __slots__ = ("_edge", "_kept", "_largest", "_least", "count")

    def __init__(self, kept: int, least: int) -> None:
        self._kept = kept
        self._least = least
        self._largest: list[float] = []
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
        surprise = 0.0
        if len(largest) == self._kept:
            if self.count > self._least:
                surprise = self._surprise(value)
            del largest[0]
        bisect.insort(largest, value)
        if len(largest) == self._kept:
            self._edge = largest[0]
        return surprise

    def _surprise(self, value: float) -> float:
        ordinary = math.log10((self.count - 1) / self._kept)
        return min(MOST_SURPRISE, max(0.0, ordinary) + self._decades(value))

    def reach(self, surprise: float) -> float:
        """Return the value that has this surprise; infinite before enough values were seen."""
        if len(self._largest) < self._kept or not self.is_ready:
            return math.inf
        beyond = surprise - max(0.0, math.log10(self.count / self._kept))
        return self._value(max(0.0, beyond))

    @abstractmethod
    def _decades(self, value: float) -> float:
        """Return how many decades rarer a value is than the smallest one kept."""

    @abstractmethod
    def _value(self, decades: float) -> float:
        """Return the value that is so many decades rarer than the smallest one kept."""


class PowerTail(Tail):
    """A tail that falls as a power of the value."""

    __slots__ = ()

    def _index(self) -> float:
        """Return Hill's estimate of the tail index, the reciprocal of the power."""
        edge, *above = self._largest
        return sum(math.log(value / edge) for value in above) / len(above) + LEAST_INDEX

    def _decades(self, value: float) -> float:
        if self._edge <= 0:
            return math.log10(self._kept)
        return math.log10(value / self._edge) / self._index()

    def _value(self, decades: float) -> float:
        return self._edge * 10 ** min(300.0, decades * self._index()) if self._edge > 0 else 0.0


class ExponentialTail(Tail):
    """A tail that falls exponentially."""

    __slots__ = ()

    def _mean_excess(self) -> float:
        edge, *above = self._largest
        mean = sum(above) / len(above) - edge
        return max(mean, 1e-6 * abs(edge), 1e-9)

    def _decades(self, value: float) -> float:
        return (value - self._edge) / self._mean_excess() / math.log(10)

    def _value(self, decades: float) -> float:
        return self._edge + decades * math.log(10) * self._mean_excess()
