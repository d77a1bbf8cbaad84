"""A timeline as arrays: where on a crowded pool there is no room, found all at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from placement.problem.instance import Amounts, Span
from placement.search.timeline import Timeline

NEVER_MS = 2**62
"""Stands for the end of a stretch without end."""

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is taken of one bucket, as it was when the view was made.

    times: when something changes; used: a row for each resource, a column for each time.
    """

    times: Integers
    used: Integers
    capacity: Amounts

    @staticmethod
    def of(line: Timeline) -> View:
        """Return the view of a timeline."""
        steps = line.steps()
        rows = itertools.chain.from_iterable(row for _, row in steps)
        used = np.fromiter(rows, dtype=np.int64, count=len(steps) * len(line.capacity))
        return View(
            times=np.fromiter((time for time, _ in steps), dtype=np.int64, count=len(steps)),
            used=np.ascontiguousarray(used.reshape(len(steps), len(line.capacity)).T),
            capacity=line.capacity,
        )

    def without(self, spans: Iterable[Span]) -> View:
        """Return what is left when some spans that were taken are given back."""
        used = self.used.copy()
        give_back(self.times, used, spans)
        return replace(self, used=used)

    def has_room(self, span: Span) -> bool:
        """Whether a span fits beside all that is taken."""
        first, last = self._during(span.start_ms, span.end_ms)
        return not self._short(span.amounts, first, last).any()

    def blocked(self, amounts: Amounts) -> Blocked:
        """Return the stretches in which so much more has no room."""
        short = self._short(amounts, 0, len(self.times))
        edges = np.flatnonzero(np.diff(short.astype(np.int8), prepend=0, append=0))
        ends = np.append(self.times, NEVER_MS)
        return Blocked(starts=ends[edges[::2]], ends=ends[edges[1::2]])

    def most(self, start_ms: int, end_ms: int) -> Amounts:
        """Return the most of each resource that is taken at any time of a stretch."""
        first, last = self._during(start_ms, end_ms)
        return tuple(int(value) for value in self.used[:, first:last].max(axis=1))

    def _short(self, amounts: Amounts, first: int, last: int) -> Flags:
        short = np.zeros(last - first, dtype=np.bool_)
        for resource, more in enumerate(amounts):
            # What needs nothing of a resource fits even where others took too much of it.
            if more > 0:
                short |= self.used[resource, first:last] > self.capacity[resource] - more
        return short

    def _during(self, start_ms: int, end_ms: int) -> tuple[int, int]:
        first = int(np.searchsorted(self.times, start_ms, side="right")) - 1
        return max(first, 0), int(np.searchsorted(self.times, end_ms, side="left"))


def give_back(times: Integers, used: Integers, spans: Iterable[Span]) -> None:
    """Take some spans off what is used from some times on; each begins and ends at one of them."""
    for span in spans:
        first, last = np.searchsorted(times, (span.start_ms, span.end_ms))
        used[:, first:last] -= np.array(span.amounts, dtype=np.int64)[:, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Stretches without room, in order: from `starts` to `ends`."""

    starts: Integers
    ends: Integers

    def next_gap(self, start_ms: int, end_ms: int) -> int | None:
        """Return from when on there is a gap as long as a span of time, that it does not meet.

        None when the span meets no stretch where it is.
        """
        index = int(np.searchsorted(self.ends, start_ms, side="right"))
        if index == len(self.ends) or self.starts[index] >= end_ms:
            return None
        ends = self.ends[index:]
        gaps = np.append(self.starts[index + 1 :], 2 * NEVER_MS - 1) - ends
        return int(ends[int(np.argmax(gaps >= end_ms - start_ms))])

    def end_of_last(self, start_ms: int, end_ms: int) -> int:
        """Return until when a span of time meets stretches, at most its end; -1 for not at all."""
        index = int(np.searchsorted(self.starts, end_ms, side="left")) - 1
        if index < 0 or self.ends[index] <= start_ms:
            return -1
        return min(int(self.ends[index]), end_ms)
