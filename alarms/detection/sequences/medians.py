"""The median of everything a series ever was, in constant memory."""

from __future__ import annotations

import bisect

KEPT = 256
"""Values kept; when there are as many, every second one goes and half as many are taken."""


class ThinnedMedian:
    """Median of evenly spaced values of the whole past: exact at first, then of a sample."""

    __slots__ = ("_arrived", "_sorted", "_stride", "_until", "median")

    def __init__(self) -> None:
        self._arrived: list[float] = []
        self._sorted: list[float] = []
        self._stride = 1
        self._until = 1
        self.median = 0.0

    def observe(self, value: float) -> None:
        """Take a value; most of a long series are passed over."""
        self._until -= 1
        if self._until:
            return
        self._until = self._stride
        self._arrived.append(value)
        ordered = self._sorted
        bisect.insort(ordered, value)
        if len(ordered) == KEPT:
            del self._arrived[1::2]
            self._stride *= 2
            ordered[:] = sorted(self._arrived)
        count = len(ordered)
        self.median = (ordered[count // 2] + ordered[(count - 1) // 2]) / 2
