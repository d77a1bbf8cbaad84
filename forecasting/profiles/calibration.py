"""Quantiles of recent errors that keep their coverage while the world moves.

Rolling split conformal: the quantile of the last errors, at the rank that covers a new one. Where
the share that was covered leaves its level, the level itself is moved (adaptive conformal
inference, Gibbs and Candes, NeurIPS 2021). A group of runs is calibrated by its own errors as soon
as it has enough, and by those of all groups before.
"""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Hashable, Sequence
from itertools import accumulate

from engine.model.profiles import QUANTILE_LEVELS

_WINDOW = 600
_FEWEST_OWN = 60
_STEP = 0.01
_MOST_LEVEL = 0.9995


class RollingErrors:
    """The last errors in order of size, with levels that follow what was covered."""

    def __init__(self, levels: Sequence[float], *, window: int = _WINDOW) -> None:
        self._levels = tuple(levels)
        self._moved = list(levels)
        self._window = window
        self._queue: deque[float] = deque()
        self._ordered: list[float] = []
        self._covered = [0] * len(self._levels)
        self._told = 0

    def __len__(self) -> int:
        """Return how many errors are held."""
        return len(self._ordered)

    def offsets(self) -> tuple[float, ...] | None:
        """Return the error that each level covers, rising; None before there are any."""
        count = len(self._ordered)
        if not count:
            return None
        ranks = [min(math.ceil((count + 1) * level), count) for level in self._moved]
        return tuple(accumulate((self._ordered[max(rank, 1) - 1] for rank in ranks), max))

    def add(self, error: float, told: Sequence[float] | None) -> None:
        """Learn from an error; `told` are the offsets that were forecast for it."""
        if told is not None:
            self._told += 1
            for place, (level, offset) in enumerate(zip(self._levels, told, strict=True)):
                covered = error <= offset
                self._covered[place] += covered
                moved = self._moved[place] + _STEP * (level - covered)
                self._moved[place] = min(max(moved, level / 2), _MOST_LEVEL)
        self._queue.append(error)
        bisect.insort(self._ordered, error)
        if len(self._queue) > self._window:
            oldest = self._queue.popleft()
            del self._ordered[bisect.bisect_left(self._ordered, oldest)]

    def coverage(self) -> tuple[float, ...] | None:
        """Return the share that was covered at each level; None before anything was told."""
        return tuple(c / self._told for c in self._covered) if self._told else None


class GroupedErrors:
    """Rolling errors of each group, and of all together for groups with few of their own."""

    def __init__(self, levels: Sequence[float] = QUANTILE_LEVELS, *, window: int = _WINDOW) -> None:
        self._levels = tuple(levels)
        self._window = window
        self._all = RollingErrors(levels, window=window)
        self._groups: dict[Hashable, RollingErrors] = {}

    def offsets(self, group: Hashable) -> tuple[float, ...] | None:
        """Return the error that each level covers for a group."""
        own = self._groups.get(group)
        if own is not None and len(own) >= _FEWEST_OWN:
            return own.offsets()
        return self._all.offsets()

    def add(self, group: Hashable, error: float, told: Sequence[float] | None) -> None:
        """Learn from an error of a group."""
        if group not in self._groups:
            self._groups[group] = RollingErrors(self._levels, window=self._window)
        self._groups[group].add(error, told)
        self._all.add(error, told)

    def coverage(self) -> dict[Hashable, tuple[float, ...]]:
        """Return the share that was covered at each level, of each group."""
        found = {group: errors.coverage() for group, errors in self._groups.items()}
        return {group: shares for group, shares in found.items() if shares is not None}
