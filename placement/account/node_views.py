"""The nodes of one pool as arrays: from when on a task has room on some of them, found at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from placement.account.views import NEVER_MS, Flags, Integers, give_back
from placement.problem.instance import Amounts, Span
from placement.search.timeline import Limits, Timeline, limits_of


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesView:
    """What is taken of each node in use, as it was when the view was made.

    node, times, ends: of each stretch in which nothing changes, those of a node in order and one
    node after the other; used: a row for each resource, a column for each stretch. lines: how many
    nodes are in use; fresh: how many are not. capacity: of a node.
    """

    node: Integers
    times: Integers
    ends: Integers
    used: Integers
    lines: int
    fresh: int
    capacity: Amounts

    @staticmethod
    def of(lines: Sequence[Timeline], fresh: int, capacity: Amounts) -> NodesView:
        """Return the view of the nodes of a pool."""
        steps = [line.steps() for line in lines]
        counts = [len(of) for of in steps]
        total = sum(counts)
        times = np.fromiter((t for of in steps for t, _ in of), dtype=np.int64, count=total)
        last = np.cumsum(counts, dtype=np.int64) - 1
        ends = np.append(times[1:], NEVER_MS)
        ends[last] = NEVER_MS
        rows = itertools.chain.from_iterable(row for of in steps for _, row in of)
        used = np.fromiter(rows, dtype=np.int64, count=total * len(capacity))
        return NodesView(
            node=np.repeat(np.arange(len(lines)), counts),
            times=times,
            ends=ends,
            used=np.ascontiguousarray(used.reshape(total, len(capacity)).T),
            lines=len(lines),
            fresh=fresh,
            capacity=capacity,
        )

    def without(self, nodes: Iterable[int], spans: Sequence[Span]) -> NodesView:
        """Return what is left when spans that were taken of some nodes are given back."""
        used = self.used.copy()
        for node in nodes:
            first, last = np.searchsorted(self.node, (node, node + 1))
            give_back(self.times[first:last], used[:, first:last], spans)
        return replace(self, used=used)

    def count_free(self, start_ms: int, end_ms: int, amounts: Amounts) -> int:
        """Return how many nodes have room for so much at every time of a stretch."""
        if self.lines == 0:
            return self.fresh
        meets = (self.times < end_ms) & (self.ends > start_ms)
        short = self._over(limits_of(self.capacity, amounts)) & meets
        return self.fresh + self.lines - int(_firsts(self.node[short]).sum())

    def first_room(self, start_ms: int, length_ms: int, amounts: Amounts, count: int) -> int | None:
        """Return the first time from a start on at which `count` nodes have room for so much.

        Each for so long from some time on that is no later; None where there never are as many.
        """
        if count > self.lines + self.fresh:
            return None
        if self.fresh >= count:
            return start_ms
        over = self._over(limits_of(self.capacity, amounts))
        short = np.flatnonzero(over & (self.ends > start_ms))
        meets = self.node[short[self.times[short] < start_ms + length_ms]]
        if self.lines + self.fresh - int(_firsts(meets).sum()) >= count:
            return start_ms
        found = np.full(self.lines + self.fresh, start_ms, dtype=np.int64)
        self._wait(found, short, start_ms, length_ms)
        first = int(np.partition(found, count - 1)[count - 1])
        return None if first >= NEVER_MS else first

    def nearest(self, span: Span) -> Amounts | None:
        """Return what is taken of the node that lacks least of what it lacks most for a span.

        The most of each resource while it lasts; None where every node in use has room.
        """
        if self.lines == 0:
            return None
        meets = (self.times < span.end_ms) & (self.ends > span.start_ms)
        used = np.where(meets, self.used, 0)
        most = np.maximum.reduceat(used, np.searchsorted(self.node, range(self.lines)), axis=1)
        need = np.array(span.amounts, dtype=np.int64)[:, None]
        free = np.maximum(np.array(self.capacity, dtype=np.int64)[:, None] - most, 0)
        lacks = np.where(need > free, (need - free) / np.maximum(free, 1), -np.inf).max(axis=0)
        if not (lacks > 0).any():
            return None
        nearest = int(np.argmin(np.where(lacks > 0, lacks, np.inf)))
        return tuple(int(value) for value in most[:, nearest])

    def _wait(self, found: Integers, short: Integers, start_ms: int, length_ms: int) -> None:
        """Write for each node with stretches that are too full when it first has room."""
        node, begins, ends = self.node[short], self.times[short], self.ends[short]
        firsts = _firsts(node)
        # A gap lasts from the end of a full stretch to the next one of the same node.
        following = np.append(begins[1:], 2 * NEVER_MS - 1)
        following[np.append(firsts[1:], True)] = 2 * NEVER_MS - 1
        is_wide = following - ends >= length_ms
        now = node[firsts & (begins - start_ms >= length_ms)]
        wide = np.flatnonzero(is_wide)
        wide = wide[_firsts(node[wide])]
        found[node] = NEVER_MS
        found[node[wide]] = ends[wide]
        found[now] = start_ms

    def _over(self, limits: Limits) -> Flags:
        over = np.zeros(len(self.times), dtype=np.bool_)
        for resource, most in limits:
            over |= self.used[resource] > most
        return over


def _firsts(ordered: Integers) -> Flags:
    """Return which of some numbers in order are the first of their value."""
    firsts = np.ones(len(ordered), dtype=np.bool_)
    firsts[1:] = ordered[1:] != ordered[:-1]
    return firsts
