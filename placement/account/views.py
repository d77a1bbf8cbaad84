"""A timeline as arrays: where on a crowded pool there is no room, found all at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from placement.problem.instance import Amounts
from placement.search.timeline import Timeline

NEVER_MS = 2**62
"""Stands for the end of a stretch without end."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is taken of one bucket, as it was when the view was made.

    times: when something changes; used: a row of amounts from each of them on.
    """

    times: Integers
    used: Integers
    capacity: Integers

    @staticmethod
    def of(line: Timeline) -> View:
        """Return the view of a timeline."""
        steps = line.steps()
        return View(
            times=np.array([time for time, _ in steps], dtype=np.int64),
            used=np.array([used for _, used in steps], dtype=np.int64),
            capacity=np.array(line.capacity, dtype=np.int64),
        )

    def blocked(self, amounts: Amounts) -> Blocked:
        """Return the stretches in which so much more has no room."""
        more = np.array(amounts, dtype=np.int64)
        asked = more > 0  # what needs nothing of a resource fits even where others took too much
        short = (self.used[:, asked] > (self.capacity - more)[asked]).any(axis=1)
        edges = np.flatnonzero(np.diff(short.astype(np.int8), prepend=0, append=0))
        ends = np.append(self.times, NEVER_MS)
        return Blocked(starts=ends[edges[::2]], ends=ends[edges[1::2]])

    def during(self, start_ms: int, end_ms: int) -> Integers:
        """Return the distinct rows that a stretch of time meets."""
        first = int(np.searchsorted(self.times, start_ms, side="right")) - 1
        last = int(np.searchsorted(self.times, end_ms, side="left"))
        return self.used[max(first, 0) : last]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Stretches without room, in order: from `starts` to `ends`."""

    starts: Integers
    ends: Integers

    def end_of_first(self, start_ms: int, end_ms: int) -> int | None:
        """Return when the first stretch ends that a span of time meets; None when it meets none."""
        index = int(np.searchsorted(self.ends, start_ms, side="right"))
        if index == len(self.ends) or self.starts[index] >= end_ms:
            return None
        return int(self.ends[index])
