"""A board on which many moves are tried: what is taken of each bucket as arrays, made once."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Self

from placement.account.node_views import NodesView
from placement.account.views import Blocked, View
from placement.problem.instance import Amounts, Instance, Job, Option, Span
from placement.search.board import Board, Claim, nodes_for
from placement.search.nodes import Nodes
from placement.search.timeline import Timeline, spans_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a job would take at a start, the most that others take then, and what there is."""

    amounts: Amounts
    used: Amounts
    capacity: Amounts


class ViewedBoard(Board):
    """A board whose copies share each bucket, and its view, until one of them changes it.

    What is given back is taken off the views at once, and off the bucket itself (`_owed` until
    then) only where that is looked at: for most tasks the views say it all.
    """

    __slots__ = ("_blocked", "_node_views", "_owed", "_views")

    def __init__(self, instance: Instance) -> None:
        super().__init__(instance)
        self._views: list[View | None] = [None for _ in instance.buckets]
        self._node_views: list[NodesView | None] = [None for _ in instance.buckets]
        self._blocked: dict[tuple[int, Amounts], Blocked] = {}
        self._owed: dict[int, tuple[tuple[Claim, tuple[int, ...]], ...]] = {}

    def copy(self) -> Self:
        """Return a copy; both copy a bucket before they next change it."""
        twin = super().copy()
        # What was found on views is good as long as they are: those that change are not used.
        twin._views = self._views.copy()  # noqa: SLF001 - of the same class
        twin._node_views = self._node_views.copy()  # noqa: SLF001 - of the same class
        twin._blocked = self._blocked  # noqa: SLF001 - of the same class
        twin._owed = self._owed.copy()  # noqa: SLF001 - of the same class
        return twin

    def timeline(self, bucket: int) -> Timeline:
        """Return what is taken of one bucket."""
        self._settle(bucket)
        return super().timeline(bucket)

    def look(self) -> None:
        """Make the views of all that changed: worth it before many moves are tried."""
        changed = {bucket for bucket, view in enumerate(self._views) if view is None}
        for bucket in changed:
            nodes = self._nodes[bucket]
            self._views[bucket] = View.of(self._lines[bucket])
            self._node_views[bucket] = None if nodes is None else node_view(nodes)
        self._forget(changed)

    def earliest(self, job: Job, option: Option, ready_ms: int, latest_ms: int) -> int | None:
        """Return the same as a board's, by tries, which views make quick."""
        if not self.agrees(job, option):
            return None
        return self._earliest_by_tries(job, option, ready_ms, latest_ms)

    def remove(self, job: Job, option: Option, start_ms: int) -> None:
        """Give back what a job took, of the views too."""
        if job.seat >= 0:
            super().remove(job, option, start_ms)
            return
        where = self._where.pop(job.index)
        self._stands.pop(job.index, None)
        for bucket in option.buckets:
            claim = self._claim(job, option, bucket, start_ms)
            given = (claim, where if bucket == option.pool_index else ())
            view, nodes = self._views[bucket], self._node_views[bucket]
            if view is None:
                self._give(bucket, *given)
                continue
            self._views[bucket] = view.without(claim.spans)
            if nodes is not None:
                self._node_views[bucket] = nodes.without(where, claim.node_spans)
            self._owed[bucket] = (*self._owed.get(bucket, ()), given)
        self._forget({*option.buckets})

    def demands(self, job: Job, option: Option, start_ms: int) -> Iterator[Demand]:
        """Yield what a job asks of each bucket at a start, for each stretch of need.

        Of a seat that is held already, what the seat would take, beside what all others take.
        """
        for bucket in option.buckets:
            line, view = self._lines[bucket], self._views[bucket]
            held = self._seats.get((bucket, job.line, job.seat)) if job.seat >= 0 else None
            if held is not None:
                self._settle(bucket)
                line, view = self._lines[bucket].copy(), None
                for span in held.claim.spans:
                    line.add(span, sign=-1)
            view = view or View.of(line)
            for span in self._claim(job, option, bucket, start_ms).spans:
                used = view.most(span.start_ms, span.end_ms)
                yield Demand(amounts=span.amounts, used=used, capacity=line.capacity)

    def node_demands(self, job: Job, option: Option, start_ms: int) -> Iterator[list[Demand]]:
        """Yield what a job asks of one node from a start on, for each node that has no room for it.

        Of a view, for the one that lacks least. Nothing where enough nodes have room, or where the
        pool is one node.
        """
        bucket = option.pool_index
        view, claim = self._node_views[bucket], self._claim(job, option, bucket, start_ms)
        held = self._seats.get((bucket, job.line, job.seat)) if job.seat >= 0 else None
        plain = held is None and claim.rule is None and len(claim.node_spans) == 1
        if view is not None and plain:
            yield from _nearest(view, claim.node_spans[0], claim.node_count)
            return
        self._settle(bucket)
        nodes = self._nodes[bucket]
        if nodes is None:
            return
        if held is not None:
            nodes = nodes.copy()
            nodes.add(held.nodes, held.claim.node_spans, sign=-1)
        if len(nodes_for(nodes, claim)) == claim.node_count:
            return
        for line in nodes.in_use(claim.rule):
            short = [span for span in claim.node_spans if line.conflict(span) is not None]
            if short:
                yield [_demand(line, span) for span in short]

    def _later(self, job: Job, option: Option, start: int) -> int | None:
        """As `Board._later`, by the views where there are some."""
        if job.seat >= 0 or any(self._views[bucket] is None for bucket in option.buckets):
            for bucket in option.buckets:
                self._settle(bucket)
            return super()._later(job, option, start)
        later = self._after_clash(job, option, start)
        if later is not None:
            return later
        for bucket in option.buckets:
            claim = self._claim(job, option, bucket, start)
            wait = self._later_on_nodes(job, bucket, claim, start)
            if wait is not None:
                return wait
        return None

    def _forget(self, buckets: Container[int]) -> None:
        self._blocked = {k: found for k, found in self._blocked.items() if k[0] not in buckets}

    def _later_on_nodes(self, job: Job, bucket: int, claim: Claim, start: int) -> int | None:
        """As `Board._later_on_nodes`, by the view of the nodes where there is one."""
        view, spans, count = self._node_views[bucket], claim.node_spans, claim.node_count
        if view is None or claim.rule is not None:
            self._settle(bucket)
            return super()._later_on_nodes(job, bucket, claim, start)
        if len(spans) == 1 and not job.serve:
            length = spans[0].end_ms - spans[0].start_ms
            free = view.first_room(start, length, spans[0].amounts, count)
            return None if free == start else (start if free is None else free)
        if view.count_free(spans[0].start_ms, spans[-1].end_ms, claim.node_most) >= count:
            return None
        self._settle(bucket)
        return super()._later_on_nodes(job, bucket, claim, start)

    def _after_clash(self, job: Job, option: Option, start: int) -> int | None:
        if job.serve:
            last = self._last_clash(option)
            return last if last > start else None
        for span in spans_at(job, option, start):
            for bucket in option.buckets:
                view = self._views[bucket]
                if view is not None and view.has_room(span):
                    continue
                stretches = self._stretches(bucket, span.amounts)
                end = stretches.next_gap(span.start_ms, span.end_ms)
                if end is not None:
                    return max(end - (span.start_ms - start), start + 1)
        return None

    def _last_clash(self, option: Option) -> int:
        """Return until when there are times at which a service has no room; -1 for none.

        It needs the calendar from its start on, so that it may start from then on.
        """
        last = -1
        for bucket in option.buckets:
            if len(self._stretches(bucket, option.peak).ends):
                for span in option.spans:
                    stretches = self._stretches(bucket, span.amounts)
                    last = max(last, stretches.end_of_last(span.start_ms, span.end_ms))
        return last

    def _stretches(self, bucket: int, amounts: Amounts) -> Blocked:
        key = (bucket, amounts)
        if key not in self._blocked:
            view = self._views[bucket] or View.of(self._lines[bucket])
            self._blocked[key] = view.blocked(amounts)
        return self._blocked[key]

    def _settle(self, bucket: int) -> None:
        """Take off a bucket what was taken off its views, which stay as they are."""
        if bucket not in self._owed:
            return
        view, nodes = self._views[bucket], self._node_views[bucket]
        for claim, chosen in self._owed.pop(bucket):
            self._give(bucket, claim, chosen)
        self._views[bucket], self._node_views[bucket] = view, nodes

    def _own(self, bucket: int) -> None:
        self._settle(bucket)
        self._views[bucket] = None
        self._node_views[bucket] = None
        super()._own(bucket)


def node_view(nodes: Nodes) -> NodesView:
    """Return what is taken of each node of a pool, as arrays."""
    return NodesView.of(nodes.in_use(), nodes.fresh, nodes.capacity)


def _nearest(view: NodesView, span: Span, count: int) -> Iterator[list[Demand]]:
    """Yield what is asked of the node that lacks least, where fewer than `count` have room."""
    if view.count_free(span.start_ms, span.end_ms, span.amounts) < count:
        used = view.nearest(span)
        if used is not None:
            yield [Demand(amounts=span.amounts, used=used, capacity=view.capacity)]


def _demand(line: Timeline, span: Span) -> Demand:
    free = line.free(span.start_ms, span.end_ms)
    used = tuple(most - left for most, left in zip(line.capacity, free, strict=True))
    return Demand(amounts=span.amounts, used=used, capacity=line.capacity)
