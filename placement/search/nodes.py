"""The nodes of one pool over time: which of them have room for a task, each on its own.

A pool that has room in sum but on no single node is full. Nodes that were never used are alike, so
that only those in use are kept. Which node a task takes is first fit: tasks close up on the first
nodes, and whole nodes stay free for those that need them.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from placement.problem.instance import Amounts, Bucket, Span
from placement.search.timeline import Timeline, limits_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which nodes of a pool a task may take, for the sake of others there.

    allowed: None for all; asked: it must take all of these; barred: none of these.
    """

    allowed: tuple[int, ...] | None = None
    asked: frozenset[int] = frozenset()
    barred: frozenset[int] = frozenset()

    def lets_in(self, node: int) -> bool:
        """Whether a task may take a node."""
        return node not in self.barred and (self.allowed is None or node in self.allowed)


class Nodes:
    """What is taken of each node of a pool. Changes in place; `copy` before a trial."""

    __slots__ = ("_count", "_node", "_used")

    def __init__(self, bucket: Bucket) -> None:
        self._node = bucket.node
        self._count = bucket.node_count
        self._used: list[Timeline] = []
        for span, count in zip(bucket.base, bucket.base_nodes, strict=True):
            self._base(span, count)

    def copy(self) -> Nodes:
        """Return an independent copy."""
        twin = object.__new__(Nodes)
        twin._node, twin._count = self._node, self._count
        twin._used = [line.copy() for line in self._used]
        return twin

    @property
    def capacity(self) -> Amounts:
        """What one node has."""
        return self._node

    @property
    def fresh(self) -> int:
        """How many nodes were never used."""
        return self._count - len(self._used)

    def free(
        self, spans: Sequence[Span], count: int, most: Amounts | None = None
    ) -> tuple[int, ...]:
        """Return the first `count` nodes with room for all of some spans; fewer if so few have.

        most: no span takes more.
        """
        found: list[int] = []
        # A service has a span for each hour of days: most nodes have room for all of them at once.
        whole = None if most is None or len(spans) <= 1 else limits_of(self._node, most)
        start, end = spans[0].start_ms, spans[-1].end_ms
        limits = [limits_of(self._node, span.amounts) for span in spans]
        for index, line in enumerate(self._used):
            if len(found) == count:
                break
            if (whole is not None and line.has_room(start, end, whole)) or all(
                line.has_room(span.start_ms, span.end_ms, of)
                for span, of in zip(spans, limits, strict=True)
            ):
                found.append(index)
        fresh = range(len(self._used), self._count)
        return (*found, *fresh[: count - len(found)])

    def first_room(
        self, start_ms: int, length_ms: int, amounts: Amounts, count: int, latest_ms: int
    ) -> int | None:
        """Return a time before which no `count` nodes have room for so much for so long.

        The start itself where so many have room then; None where there are not as many nodes.
        What is found after `latest_ms` may be too early.
        """
        if count > self._count:
            return None
        if self._count - len(self._used) >= count:
            return start_ms
        # The earliest so many, in order: no node is looked at for longer than the last of them.
        best = [start_ms] * (self._count - len(self._used))
        for line in self._used:
            until = best[count - 1] if len(best) >= count else latest_ms + 1
            bisect.insort(best, line.first_room(start_ms, length_ms, amounts, until))
        return best[count - 1]

    def free_from(self, spans: Sequence[Span], count: int, most: Amounts) -> int | None:
        """Return from when on `count` nodes have room for what is left of some spans by then.

        -1 for all of the time; None where there are not as many nodes. most: no span takes more.
        """
        if count > self._count:
            return None
        whole = Span(start_ms=spans[0].start_ms, end_ms=spans[-1].end_ms, amounts=most)
        fresh = self._count - len(self._used)
        ends = sorted(
            -1 if line.conflict(whole) is None else line.last_clash(spans) for line in self._used
        )
        return -1 if fresh >= count else ([-1] * fresh + ends)[count - 1]

    def free_by(self, rule: Rule, spans: Sequence[Span], count: int) -> tuple[int, ...]:
        """As `free`, but only nodes that a rule allows, those that it asks for first."""
        asked = sorted(rule.asked)
        every = range(self._count) if rule.allowed is None else rule.allowed
        others = (n for n in every if n not in rule.asked)
        found: list[int] = []
        for index in itertools.chain(asked, others):
            if len(found) == count:
                break
            if index not in rule.barred and self._has_room(index, spans):
                found.append(index)
            elif index in rule.asked:
                return ()
        return tuple(found)

    def _has_room(self, index: int, spans: Sequence[Span]) -> bool:
        if index >= len(self._used):
            return True
        return all(self._used[index].conflict(span) is None for span in spans)

    def in_use(self, rule: Rule | None = None) -> tuple[Timeline, ...]:
        """Return what is taken of each node that was ever used, of those that a rule allows."""
        return tuple(line for n, line in enumerate(self._used) if rule is None or rule.lets_in(n))

    def next_end(self, spans: Sequence[Span]) -> int | None:
        """Return how much later the spans must begin at least before one more node has room."""
        waits: list[int] = []
        for line in self._used:
            for span in spans:
                clash = line.conflict(span)
                if clash is not None:
                    waits.append(clash[1] - span.start_ms)
                    break
        return min(waits, default=None)

    def add(self, nodes: Sequence[int], spans: Sequence[Span], *, sign: int = 1) -> None:
        """Take what some spans need of each of some nodes, or give it back with `sign` -1."""
        for index in nodes:
            while len(self._used) <= index:
                self._used.append(Timeline(self._node))
            for span in spans:
                self._used[index].add(span, sign=sign)

    def _base(self, span: Span, count: int) -> None:
        """Put what others hold on nodes: on so many in equal parts, else wherever there is room."""
        if count:
            part = Span(
                start_ms=span.start_ms,
                end_ms=span.end_ms,
                amounts=tuple(-(-amount // count) for amount in span.amounts),
            )
            nodes = self.free([part], count)
            if len(nodes) == count:
                self.add(nodes, [part])
                return
        left = list(span.amounts)
        for index in range(self._count):
            if not any(left):
                break
            line = self._used[index] if index < len(self._used) else Timeline(self._node)
            room: Amounts = line.free(span.start_ms, span.end_ms)
            part_amounts = tuple(min(a, b) for a, b in zip(left, room, strict=True))
            left = [a - b for a, b in zip(left, part_amounts, strict=True)]
            part = Span(start_ms=span.start_ms, end_ms=span.end_ms, amounts=part_amounts)
            self.add([index], [part])
