"""What is taken of pools over time: exact step functions, no slots."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from placement.problem.instance import Amounts, Instance, Job, Option, Span


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
        first, last = self._cut(span.start_ms), self._cut(span.end_ms)
        for index in range(first, last):
            self._used[index] = tuple(
                used + sign * amount
                for used, amount in zip(self._used[index], span.amounts, strict=True)
            )

    def conflict(self, span: Span) -> tuple[int, int] | None:
        """Return from when to when the first stretch lasts that has no room for a span.

        The end of a stretch without end is that of the span.
        """
        index = bisect_right(self._times, span.start_ms) - 1
        while index < len(self._times) and self._times[index] < span.end_ms:
            if not self._room(self._used[index], span.amounts):
                after = index + 1
                end = self._times[after] if after < len(self._times) else span.end_ms
                return self._times[index], end
            index += 1
        return None

    def steps(self) -> list[tuple[int, Amounts]]:
        """Return each instant at which something changes, with what is taken from then on."""
        return list(zip(self._times, self._used, strict=True))

    def _room(self, used: Amounts, more: Amounts) -> bool:
        # What needs nothing of a resource fits even where others took too much of it.
        return all(
            amount == 0 or taken + amount <= most
            for taken, amount, most in zip(used, more, self.capacity, strict=True)
        )

    def _cut(self, time: int) -> int:
        index = bisect_right(self._times, time) - 1
        if self._times[index] == time:
            return index
        self._times.insert(index + 1, time)
        self._used.insert(index + 1, self._used[index])
        return index + 1


class Board:
    """Jobs on buckets over time. Jobs of one seat take the dearest, over all of their time."""

    __slots__ = ("_lines", "_seats")

    def __init__(self, instance: Instance) -> None:
        self._lines = [Timeline(bucket.capacity, bucket.base) for bucket in instance.buckets]
        self._seats: dict[tuple[int, int, int], Span] = {}

    def copy(self) -> Board:
        """Return a copy that shares nothing that changes."""
        twin = object.__new__(Board)
        twin._lines = [line.copy() for line in self._lines]
        twin._seats = self._seats.copy()
        return twin

    def timeline(self, bucket: int) -> Timeline:
        """Return what is taken of one bucket."""
        return self._lines[bucket]

    def earliest(self, job: Job, option: Option, ready_ms: int, latest_ms: int) -> int | None:
        """Return the first start from `ready_ms` on at which the job fits and is not late.

        latest_ms: when a job that ends must have ended, a serve job have started.
        """
        start = ready_ms
        while start + option.duration_ms <= latest_ms:
            later = self._later(job, option, start)
            if later is None:
                return start
            if later <= start:
                return None
            start = later
        return None

    def put(self, job: Job, option: Option, start_ms: int) -> None:
        """Take what a job needs from its start on."""
        for bucket in option.buckets:
            line = self._lines[bucket]
            for span in self._wanted(job, option, bucket, start_ms):
                line.add(span)
            if job.seat >= 0:
                key = (bucket, job.line, job.seat)
                if key in self._seats:
                    line.add(self._seats[key], sign=-1)
                self._seats[key] = self._wanted(job, option, bucket, start_ms)[0]

    def _wanted(self, job: Job, option: Option, bucket: int, start_ms: int) -> list[Span]:
        """Return what a job would take; of a seat, what the whole seat would take then."""
        if job.seat < 0:
            return spans_at(job, option, start_ms)
        own = seat_span(job, option, start_ms)
        held = self._seats.get((bucket, job.line, job.seat))
        if held is None:
            return [own]
        return [
            Span(
                start_ms=min(own.start_ms, held.start_ms),
                end_ms=max(own.end_ms, held.end_ms),
                amounts=tuple(map(max, own.amounts, held.amounts)),
            )
        ]

    def _later(self, job: Job, option: Option, start: int) -> int | None:
        """Return None when the job fits at a start, else the next start worth a try.

        A start that is not later says that no start will do.
        """
        for bucket in option.buckets:
            held = self._seats.get((bucket, job.line, job.seat)) if job.seat >= 0 else None
            line = self._lines[bucket]
            if held is not None:
                line = line.copy()
                line.add(held, sign=-1)
            for span in self._wanted(job, option, bucket, start):
                clash = line.conflict(span)
                if clash is None:
                    continue
                if held is not None and clash[1] > held.start_ms:
                    return start  # the seat is held there already, whenever the job starts
                if held is not None:
                    return clash[1]
                if job.serve:
                    # Its needs stay where they are in the calendar; only the start moves on.
                    return max(min(clash[1], span.end_ms), start + 1)
                return max(clash[1] - (span.start_ms - start), start + 1)
        return None


def spans_at(job: Job, option: Option, start_ms: int) -> list[Span]:
    """Return what a job takes when it starts at `start_ms`, in milliseconds after `as_of`."""
    if job.serve:
        return [
            Span(start_ms=max(s.start_ms, start_ms), end_ms=s.end_ms, amounts=s.amounts)
            for s in option.spans
            if s.end_ms > start_ms
        ]
    return [
        Span(start_ms=start_ms + s.start_ms, end_ms=start_ms + s.end_ms, amounts=s.amounts)
        for s in option.spans
    ]


def seat_span(job: Job, option: Option, start_ms: int) -> Span:
    """Return what a job that shares its seat takes: its peak, all the time."""
    spans = spans_at(job, option, start_ms)
    return Span(start_ms=start_ms, end_ms=spans[-1].end_ms, amounts=option.peak)
