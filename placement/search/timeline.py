"""What is taken of one bucket over time: an exact step function, no slots."""

from __future__ import annotations

import operator
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from placement.problem.instance import Amounts, Job, Option, Span

NEVER_MS = 2**62

Limits = Sequence[tuple[int, int]]
"""Resources, each with the most that may be taken of it."""


def limits_of(capacity: Amounts, amounts: Amounts) -> Limits:
    """Return the resources that something needs, with the most that others may take.

    What needs nothing of a resource fits even where others took too much of it.
    """
    return [
        (resource, most - amount)
        for resource, (amount, most) in enumerate(zip(amounts, capacity, strict=True))
        if amount
    ]


class Timeline:
    """What is taken of one bucket. Changes in place; `copy` before a trial."""

    __slots__ = ("_times", "_used", "capacity")

    def __init__(self, capacity: Amounts, base: Iterable[Span] = ()) -> None:
        self.capacity = capacity
        self._times: list[int] = [0]
        self._used: list[Amounts] = [(0,) * len(capacity)]
        for span in base:
            self.add(span)

    def copy(self) -> Timeline:
        """Return an independent copy."""
        twin = Timeline(self.capacity)
        twin._times, twin._used = self._times.copy(), self._used.copy()
        return twin

    def add(self, span: Span, *, sign: int = 1) -> None:
        """Take what a span needs, or give it back with `sign` -1."""
        change = operator.add if sign > 0 else operator.sub
        first, last = self._cut(span.start_ms), self._cut(span.end_ms)
        for index in range(first, last):
            self._used[index] = tuple(map(change, self._used[index], span.amounts))
        if sign < 0:
            self._join(first, last)

    def conflict(self, span: Span) -> tuple[int, int] | None:
        """Return from when to when the first stretch lasts that has no room for a span.

        The end of a stretch without end is that of the span.
        """
        limits = limits_of(self.capacity, span.amounts)
        times, used = self._times, self._used
        first = bisect_right(times, span.start_ms) - 1
        for index in range(first, bisect_left(times, span.end_ms, first + 1)):
            row = used[index]
            for resource, most in limits:
                if row[resource] > most:
                    after = index + 1
                    return times[index], times[after] if after < len(times) else span.end_ms
        return None

    def has_room(self, start_ms: int, end_ms: int, limits: Limits) -> bool:
        """Whether all limits are kept at every time of a stretch."""
        times, used = self._times, self._used
        first = bisect_right(times, start_ms) - 1
        for row in used[first : bisect_left(times, end_ms, first + 1)]:
            for resource, most in limits:
                if row[resource] > most:
                    return False
        return True

    def first_room(
        self, start_ms: int, length_ms: int, amounts: Amounts, until_ms: int = NEVER_MS
    ) -> int:
        """Return the first time from a start on at which there is room for so much for so long.

        `NEVER_MS` when there is none. Where it is not before `until_ms`, some time from then on
        up to it is returned, which takes less looking.
        """
        limits = limits_of(self.capacity, amounts)
        times, used = self._times, self._used
        last = len(times)
        index = bisect_right(times, start_ms) - 1
        while index < last and times[index] < start_ms + length_ms and start_ms < until_ms:
            row = used[index]
            index += 1
            for resource, most in limits:
                if row[resource] > most:
                    start_ms = times[index] if index < last else NEVER_MS
                    break
        return start_ms

    def last_clash(self, spans: Sequence[Span]) -> int:
        """Return until when there is no room for some spans in order, -1 where there always is."""
        times, used = self._times, self._used
        for span in reversed(spans):
            limits = limits_of(self.capacity, span.amounts)
            index, after = bisect_left(times, span.end_ms) - 1, span.end_ms
            while after > span.start_ms:
                row = used[index]
                for resource, most in limits:
                    if row[resource] > most:
                        return after
                after = times[index]
                index -= 1
        return -1

    def free(self, start_ms: int, end_ms: int) -> Amounts:
        """Return the least that is free of each resource at any time of a stretch."""
        first = bisect_right(self._times, start_ms) - 1
        last = bisect_right(self._times, max(end_ms - 1, start_ms))
        taken = [max(values) for values in zip(*self._used[first:last], strict=True)]
        return tuple(max(m - t, 0) for m, t in zip(self.capacity, taken, strict=True))

    def steps(self) -> list[tuple[int, Amounts]]:
        """Return each instant at which something changes, with what is taken from then on."""
        return list(zip(self._times, self._used, strict=True))

    def _cut(self, time: int) -> int:
        index = bisect_right(self._times, time) - 1
        if self._times[index] == time:
            return index
        self._times.insert(index + 1, time)
        self._used.insert(index + 1, self._used[index])
        return index + 1

    def _join(self, first: int, last: int) -> None:
        """Forget instants at which nothing changes any more, so that trials leave no trace."""
        for index in range(min(last, len(self._times) - 1), max(first, 1) - 1, -1):
            if self._used[index] == self._used[index - 1]:
                del self._times[index], self._used[index]


def spans_at(job: Job, option: Option, start_ms: int) -> Sequence[Span]:
    """Return what a job takes when it starts at `start_ms`, in milliseconds after `as_of`."""
    return _placed(job, option.spans, start_ms)


def node_spans_at(job: Job, option: Option, start_ms: int) -> Sequence[Span]:
    """Return what a job takes of each of its nodes."""
    return _placed(job, option.node_spans, start_ms)


def seat_span(job: Job, option: Option, start_ms: int) -> Span:
    """Return what a job that shares its seat takes: its peak, all the time."""
    spans = spans_at(job, option, start_ms)
    return Span(start_ms=start_ms, end_ms=spans[-1].end_ms, amounts=option.peak)


def _placed(job: Job, spans: Sequence[Span], start_ms: int) -> Sequence[Span]:
    if job.serve:
        # The calendar stays where it is; what lies before the start falls away.
        first = bisect_right(spans, start_ms, key=lambda span: span.end_ms)
        left = list(spans[first:])
        if left and left[0].start_ms < start_ms:
            end_ms, amounts = left[0].end_ms, left[0].amounts
            left[0] = Span(start_ms=start_ms, end_ms=end_ms, amounts=amounts)
        return left
    return [
        Span(start_ms=start_ms + s.start_ms, end_ms=start_ms + s.end_ms, amounts=s.amounts)
        for s in spans
    ]
