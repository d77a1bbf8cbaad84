"""What is taken of a pool or a quota over time, and the first start at which more fits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Stretch = tuple[int, int, tuple[int, ...]]
"""From when to when (milliseconds after `as_of`) how much of each resource is taken."""


@dataclass(frozen=True, slots=True)
class Load:
    """A step function: from each time on, what is taken until the next."""

    times: npt.NDArray[np.int64]
    used: npt.NDArray[np.int64]
    capacity: npt.NDArray[np.int64]

    @staticmethod
    def of(stretches: Iterable[Stretch], capacity: Sequence[int]) -> "Load":
        """Returns the sum of some stretches."""
        found = [s for s in stretches if s[0] < s[1]]
        cuts = {0, *(s[0] for s in found), *(s[1] for s in found)}
        times = np.array(sorted(cuts), dtype=np.int64)
        used = np.zeros((len(times), len(capacity)), dtype=np.int64)
        for start, end, amounts in found:
            first, last = np.searchsorted(times, (start, end))
            used[first:last] += np.array(amounts, dtype=np.int64)
        return Load(times, used, np.array(capacity, dtype=np.int64))

    def during(self, start: int, end: int) -> slice:
        """Returns the steps that a stretch of time meets."""
        first = int(np.searchsorted(self.times, start, side="right")) - 1
        return slice(max(first, 0), int(np.searchsorted(self.times, end, side="left")))

    def fits(self, stretches: Sequence[Stretch]) -> bool:
        """Whether there is room for more; what takes nothing of a resource always has room."""
        return all(not self.misses(start, end, amounts).any() for start, end, amounts in stretches)

    def misses(self, start: int, end: int, amounts: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Returns by step that a stretch meets whether it has no room there."""
        more = np.array(amounts, dtype=np.int64)
        steps = self.used[self.during(start, end)]
        return np.asarray(((more > 0) & (steps + more > self.capacity)).any(axis=1))

    def last_miss(self, stretches: Sequence[Stretch]) -> int:
        """Returns the end of the last step at which something does not fit; -1 for none."""
        last = -1
        for start, end, amounts in stretches:
            missed = np.flatnonzero(self.misses(start, end, amounts))
            if missed.size:
                step = self.during(start, end).start + int(missed[-1]) + 1
                until = int(self.times[step]) if step < len(self.times) else end
                last = max(last, min(until, end))
        return last

    def shortages(self, stretches: Sequence[Stretch]) -> list[tuple[int, int, int]]:
        """Returns (resource, need, free) wherever more is needed than is free."""
        found = []
        for start, end, amounts in stretches:
            for used in self.used[self.during(start, end)]:
                for resource, need in enumerate(amounts):
                    free = max(int(self.capacity[resource] - used[resource]), 0)
                    if need > free:
                        found.append((resource, need, free))
        return found
