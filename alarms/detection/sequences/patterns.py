"""Patterns that a series has shown before, and how far the newest one is from all of them.

The memory is that of adaptive resonance (Carpenter and Grossberg 1987): a pattern unlike any
known one is added while there is room; else the nearest known one moves a little towards it.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

LEARNING_RATE = 0.1


class PatternMemory:
    """Known patterns: windows of means of a few values each, at most `most` of them."""

    __slots__ = ("_distances", "_known", "_most", "_patterns", "_sum", "_taken", "_window", "_work")

    def __init__(self, *, step: int, width: int, most: int) -> None:
        self._taken = step
        self._sum = deque[float](maxlen=step)
        self._window = deque[float](maxlen=width)
        self._most = most
        self._known = 0
        # Unused places are infinitely far from everything.
        self._patterns: NDArray[np.float64] = np.full((width, most), np.inf)
        self._work = np.empty_like(self._patterns)
        self._distances = np.empty(most)

    def observe(self, value: float) -> float | None:
        """Return the mean distance to the nearest known pattern, one value in `step`; learn it."""
        self._sum.append(value)
        self._taken -= 1
        if self._taken:
            return None
        step = len(self._sum)
        self._taken = step
        self._window.append(sum(self._sum) / step)
        if len(self._window) < len(self._patterns):
            return None
        pattern = np.array(self._window)
        np.subtract(self._patterns, pattern[:, None], out=self._work)
        np.abs(self._work, out=self._work)
        np.add.reduce(self._work, axis=0, out=self._distances)
        nearest = int(self._distances.argmin())
        distance = float(self._distances[nearest]) / len(pattern) if self._known else None
        if self._known < self._most:
            self._patterns[:, self._known] = pattern
            self._known += 1
        else:
            self._patterns[:, nearest] += LEARNING_RATE * (pattern - self._patterns[:, nearest])
        return distance
