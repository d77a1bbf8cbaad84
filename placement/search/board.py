"""Jobs on pools, nodes and quotas over time, with room asked for and taken exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from engine.model.specs import Within
from placement.problem.bonds import allows
from placement.problem.instance import Amounts, Instance, Job, Option, Span
from placement.search.nodes import Nodes, Rule
from placement.search.timeline import Timeline, node_spans_at, seat_span, spans_at

SeatKey = tuple[int, int, int]
"""Bucket, line, seat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a job, or a whole seat, takes of a bucket: in sum, and of each of its nodes."""

    spans: Sequence[Span]
    node_spans: Sequence[Span]
    node_count: int
    most: Amounts
    node_most: Amounts
    rule: Rule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seat:
    """Jobs of which no two run together: they hold the dearest of them, over all of their time."""

    members: Mapping[int, tuple[Job, Option, int]]
    claim: Claim
    nodes: tuple[int, ...]


class Board:
    """Jobs on buckets over time. Copies are cheap: a bucket is copied when it is written to."""

    __slots__ = ("_lines", "_mine", "_nodes", "_seats", "_stands", "_where")

    def __init__(self, instance: Instance) -> None:
        self._lines = [Timeline(bucket.capacity, bucket.base) for bucket in instance.buckets]
        # A pool of one node is that node, so that its sum is enough.
        self._nodes = [Nodes(b) if b.node_count > 1 else None for b in instance.buckets]
        self._mine = set(range(len(self._lines)))
        self._seats: dict[SeatKey, _Seat] = {}
        self._where: dict[int, tuple[int, ...]] = {}
        self._stands: dict[int, Option] = {}

    def copy(self) -> Self:
        """Return a copy that shares nothing that changes."""
        twin = object.__new__(type(self))
        twin._lines, twin._nodes = self._lines.copy(), self._nodes.copy()
        twin._seats, twin._where = self._seats.copy(), self._where.copy()
        twin._stands = self._stands.copy()
        twin._mine, self._mine = set(), set()
        return twin

    def timeline(self, bucket: int) -> Timeline:
        """Return what is taken of one bucket."""
        return self._lines[bucket]

    def earliest(self, job: Job, option: Option, ready_ms: int, latest_ms: int) -> int | None:
        """Return the first start from `ready_ms` on at which the job fits and is not late.

        latest_ms: when a job that ends must have ended, a serve job have started.
        """
        if not self.agrees(job, option):
            return None
        # The quick ways take any nodes; whose nodes others decide is tried start by start.
        is_free = job.seat < 0 and not (job.bonds and self.rule(job, option))
        if is_free and job.serve:
            return self._earliest_service(job, option, ready_ms, latest_ms)
        if is_free and len(option.spans) == 1:
            return self._earliest_plain(option, ready_ms, latest_ms)
        return self._earliest_by_tries(job, option, ready_ms, latest_ms)

    def _earliest_by_tries(
        self, job: Job, option: Option, ready_ms: int, latest_ms: int
    ) -> int | None:
        start = ready_ms
        while start + option.duration_ms <= latest_ms:
            later = self._later(job, option, start)
            if later is None:
                return start
            if later <= start:
                return None
            start = later
        return None

    def _earliest_plain(self, option: Option, ready_ms: int, latest_ms: int) -> int | None:
        """As `earliest`, for a job that takes the same all of its time: the usual case."""
        start, length, pool = ready_ms, option.duration_ms, option.pool_index
        while start + length <= latest_ms:
            room = start
            for bucket in option.buckets:
                room = self._lines[bucket].first_room(room, length, option.peak)
            if room > start and len(option.buckets) > 1:
                start = room  # which the first of them has to look at again
                continue
            start = room
            if start + length > latest_ms:
                break
            nodes = self._nodes[pool]
            if nodes is None:
                return start
            latest = latest_ms - length
            free = nodes.first_room(start, length, option.node_peak, option.node_count, latest)
            if free is None:
                break
            if free <= start:
                return start
            start = free
        return None

    def _earliest_service(
        self, job: Job, option: Option, ready_ms: int, latest_ms: int
    ) -> int | None:
        """As `earliest`, for a job that holds what it needs to the end of the calendar.

        So it may start once the last time has passed at which there is no room.
        """
        start, pool = ready_ms, option.pool_index
        while start <= latest_ms:
            claim = self._claim(job, option, pool, start)
            last = max(self._clash_until(bucket, claim) for bucket in option.buckets)
            if last > start:
                start = last
                continue
            nodes = self._nodes[pool]
            if nodes is None:
                return start
            free = nodes.free_from(claim.node_spans, claim.node_count, claim.node_most)
            if free is None:
                break
            if free <= start:
                return start
            start = free
        return None

    def _clash_until(self, bucket: int, claim: Claim) -> int:
        line, spans = self._lines[bucket], claim.spans
        if len(spans) > 1 and line.conflict(_hull(spans, claim.most)) is None:
            return -1
        return line.last_clash(spans)

    def fits(self, job: Job, option: Option, start_ms: int) -> bool:
        """Whether a job fits at a start."""
        return self.agrees(job, option) and self._later(job, option, start_ms) is None

    def agrees(self, job: Job, option: Option) -> bool:
        """Whether the jobs that a job is bound to allow it a pool, from where they stand."""
        return all(
            bond.other not in self._stands or allows(bond, option, self._stands[bond.other])
            for bond in job.bonds
        )

    def stands(self, job: int) -> Option | None:
        """Return the place of a job that others are bound to; None where it has none here."""
        return self._stands.get(job)

    def rule(self, job: Job, option: Option) -> Rule | None:
        """Return which nodes of a pool a job may take; None where it may take any."""
        allowed: set[int] | None = None
        asked: set[int] = set()
        barred: set[int] = set()
        for bond in job.bonds:
            other = self._stands.get(bond.other)
            if bond.within is not Within.NODE or other is None:
                continue
            if other.pool_index != option.pool_index:
                continue
            nodes = {*self._where[bond.other]}
            if bond.apart:
                barred |= nodes
            elif option.node_count > len(nodes):
                asked |= nodes
            else:
                allowed = nodes if allowed is None else allowed & nodes
        if allowed is None and not asked and not barred:
            return None
        among = None if allowed is None else tuple(sorted(allowed))
        return Rule(allowed=among, asked=frozenset(asked), barred=frozenset(barred))

    def put(
        self, job: Job, option: Option, start_ms: int, nodes: tuple[int, ...] = ()
    ) -> Mapping[int, tuple[int, ...]]:
        """Take what a job needs from its start on; return the nodes of the pool that it takes.

        By job, since those that share its seat come to stand on the same nodes. nodes: those it is
        known to have; else the first that fit. Where too few have room the job counts in sum only,
        and stands on no nodes.
        """
        stands: dict[int, tuple[int, ...]] = {}
        for bucket in option.buckets:
            claim = self._claim(job, option, bucket, start_ms)
            known = nodes if bucket == option.pool_index else ()
            if job.seat >= 0:
                here, members = self._put_seat(bucket, (job, option, start_ms), claim, known)
            else:
                here, members = self._take(bucket, claim, known), (job.index,)
            if bucket == option.pool_index:
                stands = dict.fromkeys(members, here)
        self._where.update(stands)
        if job.bonds:
            self._stands[job.index] = option
        return stands

    def remove(self, job: Job, option: Option, start_ms: int) -> None:
        """Give back what a job took; it must have been put at that start."""
        nodes = self._where.pop(job.index)
        self._stands.pop(job.index, None)
        for bucket in option.buckets:
            if job.seat < 0:
                claim = self._claim(job, option, bucket, start_ms)
                self._give(bucket, claim, nodes if bucket == option.pool_index else ())
                continue
            key = (bucket, job.line, job.seat)
            seat = self._seats.pop(key)
            self._give(bucket, seat.claim, seat.nodes)
            for index, member in seat.members.items():
                if index != job.index:
                    wanted = self._claim(*member[:2], bucket, member[2])
                    here, _ = self._put_seat(bucket, member, wanted, seat.nodes)
                    if bucket == member[1].pool_index:
                        self._where[index] = here

    def _put_seat(
        self, bucket: int, member: tuple[Job, Option, int], claim: Claim, known: tuple[int, ...]
    ) -> tuple[tuple[int, ...], Iterable[int]]:
        job = member[0]
        key = (bucket, job.line, job.seat)
        held = self._seats.get(key)
        if held is not None:
            self._give(bucket, held.claim, held.nodes)
        # A seat that holds less, for now or from now on, stands on the first of its nodes.
        nodes = self._take(bucket, claim, known[: claim.node_count])
        members = {**(held.members if held else {}), job.index: member}
        self._seats[key] = _Seat(members=members, claim=claim, nodes=nodes)
        return nodes, members

    def _take(self, bucket: int, claim: Claim, known: tuple[int, ...]) -> tuple[int, ...]:
        self._own(bucket)
        for span in claim.spans:
            self._lines[bucket].add(span)
        nodes = self._nodes[bucket]
        if nodes is None:
            return (0,)
        chosen = known if len(known) == claim.node_count else nodes_for(nodes, claim)
        if len(chosen) < claim.node_count:
            return ()
        nodes.add(chosen, claim.node_spans)
        return chosen

    def _give(self, bucket: int, claim: Claim, chosen: tuple[int, ...]) -> None:
        self._own(bucket)
        for span in claim.spans:
            self._lines[bucket].add(span, sign=-1)
        nodes = self._nodes[bucket]
        if nodes is not None:
            nodes.add(chosen, claim.node_spans, sign=-1)

    def _own(self, bucket: int) -> None:
        if bucket in self._mine:
            return
        self._lines[bucket] = self._lines[bucket].copy()
        nodes = self._nodes[bucket]
        self._nodes[bucket] = None if nodes is None else nodes.copy()
        self._mine.add(bucket)

    def _claim(self, job: Job, option: Option, bucket: int, start_ms: int) -> Claim:
        """Return what a job would take; of a seat, what the whole seat would take then."""
        if job.seat < 0:
            spans = spans_at(job, option, start_ms)
            alone = option.node_spans is option.spans
            return Claim(
                spans=spans,
                node_spans=spans if alone else node_spans_at(job, option, start_ms),
                node_count=option.node_count,
                most=option.peak,
                node_most=option.node_peak,
                rule=self.rule(job, option) if job.bonds and bucket == option.pool_index else None,
            )
        own = seat_span(job, option, start_ms)
        node = option.node_peak
        held = self._seats.get((bucket, job.line, job.seat))
        count = option.node_count
        if held is not None:
            before = held.claim.spans[0]
            own = Span(
                start_ms=min(own.start_ms, before.start_ms),
                end_ms=max(own.end_ms, before.end_ms),
                amounts=tuple(map(max, own.amounts, before.amounts)),
            )
            node = tuple(map(max, node, held.claim.node_spans[0].amounts))
            count = max(count, held.claim.node_count)
        on_node = Span(start_ms=own.start_ms, end_ms=own.end_ms, amounts=node)
        return Claim(
            spans=[own],
            node_spans=[on_node],
            node_count=count,
            most=own.amounts,
            node_most=node,
        )

    def _later(self, job: Job, option: Option, start: int) -> int | None:
        """Return None when the job fits at a start, else the next start worth a try.

        A start that is not later says that no start will do.
        """
        for bucket in option.buckets:
            held = self._seats.get((bucket, job.line, job.seat)) if job.seat >= 0 else None
            claim = self._claim(job, option, bucket, start)
            later = (
                self._later_alone(job, bucket, claim, start)
                if held is None
                else self._later_seated(bucket, claim, held, start)
            )
            if later is not None:
                return later
        return None

    def _later_alone(self, job: Job, bucket: int, claim: Claim, start: int) -> int | None:
        line = self._lines[bucket]
        spans = claim.spans
        if len(spans) > 1 and line.conflict(_hull(spans, claim.most)) is None:
            spans = ()
        for span in spans:
            clash = line.conflict(span)
            if clash is not None and job.serve:
                # Its needs stay where they are in the calendar; only the start moves on.
                return max(min(clash[1], span.end_ms), start + 1)
            if clash is not None:
                return max(clash[1] - (span.start_ms - start), start + 1)
        return self._later_on_nodes(job, bucket, claim, start)

    def _later_on_nodes(self, job: Job, bucket: int, claim: Claim, start: int) -> int | None:
        """As `_later`, for one pool that has room in sum."""
        nodes = self._nodes[bucket]
        if nodes is None or len(nodes_for(nodes, claim)) == claim.node_count:
            return None
        spans, count = claim.node_spans, claim.node_count
        if claim.rule is None and job.serve:
            free = nodes.free_from(spans, count, claim.node_most)
        elif claim.rule is None and len(spans) == 1:
            length = spans[0].end_ms - spans[0].start_ms
            latest = job.latest_ms - length
            free = nodes.first_room(start, length, spans[0].amounts, count, latest)
        else:
            wait = nodes.next_end(spans)
            free = None if wait is None else start + wait
        return start if free is None else max(free, start + 1)

    def _later_seated(self, bucket: int, claim: Claim, held: _Seat, start: int) -> int | None:
        line = self._lines[bucket].copy()
        for span in held.claim.spans:
            line.add(span, sign=-1)
        clash = line.conflict(claim.spans[0])
        if clash is not None:
            # The seat is held there already, whenever the job starts.
            return start if clash[1] > held.claim.spans[0].start_ms else clash[1]
        nodes = self._nodes[bucket]
        if nodes is None:
            return None
        nodes = nodes.copy()
        nodes.add(held.nodes, held.claim.node_spans, sign=-1)
        if len(nodes.free(claim.node_spans, claim.node_count)) == claim.node_count:
            return None
        held_from = held.claim.spans[0].start_ms
        wait = nodes.next_end(claim.node_spans)
        if wait is None or start >= held_from:
            return start
        return min(start + max(wait, 1), held_from)


def nodes_for(nodes: Nodes, claim: Claim) -> tuple[int, ...]:
    """Return the nodes of a pool that a claim may take; fewer than it needs if so few have room."""
    if claim.rule is None:
        return nodes.free(claim.node_spans, claim.node_count, claim.node_most)
    return nodes.free_by(claim.rule, claim.node_spans, claim.node_count)


def _hull(spans: Sequence[Span], most: Amounts) -> Span:
    """Return one span over the time of some, of which none takes more: what fits it fits them."""
    return Span(start_ms=spans[0].start_ms, end_ms=spans[-1].end_ms, amounts=most)
