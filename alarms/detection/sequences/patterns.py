"""Patterns that a series has shown before, and how far the newest one is from all of them.

The memory is that of adaptive resonance (Carpenter and Grossberg 1987): a pattern unlike any
known one is added while there is room; else the nearest known one moves a little towards it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEARNING_RATE = 0.1


class PatternMemory:
    """Known patterns: windows of means of a few values each, at most `most` of them."""

    __slots__ = ("_column", "_distances", "_known", "_left", "_patterns", "_step", "_sum", "_work")

    def __init__(self, *, step: int, width: int, most: int) -> None:
        self._step = self._left = step
        self._sum = 0.0
        self._known = 0
        # Unused places are infinitely far from everything, unfilled windows from all of them.
        self._patterns: NDArray[np.float64] = np.full((width, most), np.inf)
        self._column: NDArray[np.float64] = np.full((width, 1), np.nan)
        self._work = np.empty_like(self._patterns)
        self._distances = np.empty(most)

    def observe(self, value: float) -> float | None:
        """Return the mean distance to the nearest known pattern, one value in `step`; learn it."""
        self._sum += value
        self._left -= 1
        if self._left:
            return None
        column, patterns = self._column, self._patterns
        column[:-1] = column[1:]
        column[-1] = self._sum / self._step
        self._sum = 0.0
        self._left = self._step
        if self._known == 0:
            if column[0, 0] == column[0, 0]:
                patterns[:, 0] = column[:, 0]
                self._known = 1
            return None
        work = self._work
        np.subtract(patterns, column, work)
        np.absolute(work, work)
        distances = self._distances
        work.sum(0, None, distances)
        nearest = distances.argmin()
        if self._known < patterns.shape[1]:
            patterns[:, self._known] = column[:, 0]
            self._known += 1
        else:
            known = patterns[:, nearest]
            known += LEARNING_RATE * (column[:, 0] - known)
        return float(distances[nearest]) / len(column)
