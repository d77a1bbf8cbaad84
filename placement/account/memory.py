"""At how much memory a task would stand elsewhere, exactly, all others staying.

A job of one process that insists on m GiB costs C max(s, m / M) on a node of M GiB: s is the
largest share of the node that it holds of anything else, C what a whole node would cost. So the
difference between two pools is linear between bends, and falls below zero at a bend or between two
of them. What these lines propose is then tried with exact costs, on whole MiB.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import partial

from engine.model.plans import Limit, Refusal
from engine.model.resources import Resource
from placement.account.standing import Place
from placement.account.variants import MIB_PER_GIB, with_memory
from placement.problem.instance import COUNTED, Option
from placement.problem.needs import need_of
from placement.search import moves

_MOST_TRIED = 12
"""So many proposals are tried to the end; the first is nearly always the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """What a job adds to the money on one pool, by its memory.

    full: on a whole node; other: the share it holds of all but memory; node_mib: of one node;
    moved: for the data of its neighbours. top_mib: most memory with which the pool may run it.
    """

    index: int
    full: float
    other: float
    node_mib: float
    moved: float
    top_mib: int

    @property
    def bend_mib(self) -> float:
        """Where memory begins to be what costs."""
        return self.other * self.node_mib

    def money(self, memory_mib: float) -> float:
        """Return micro-dollars at so much memory."""
        return self.full * max(self.other, memory_mib / self.node_mib) + self.moved


class _Stage(IntEnum):
    """How much is known of a proposal."""

    GUESSED = 0
    """At so much memory or less the pool is cheaper, by the lines."""
    CHEAPER = 1
    """At this memory it is, by exact costs."""
    FITS = 2
    """And the job fits there in time."""


def turning_memory(place: Place) -> tuple[Option, float] | None:
    """Return the most memory under today's with which the job would move, in GiB, and where to.

    Only for tasks of one process: less memory for each of several may change their nodes too. And
    only where money is a line of memory: not where late ends or moves have a price.
    """
    line, moves_cost = place.instance.lines[place.job.line], bool(place.job.moved_from)
    if place.job.profile.replicas > 1 or line.late_price or moves_cost:
        return None
    search = _Search(place)
    # The pools by the memory that they are good for at most, each looked at as closely as is
    # needed to know whether it comes first.
    heap = [(-most, index, _Stage.GUESSED) for most, index in search.guesses()]
    heapq.heapify(heap)
    tried = 0
    while heap and tried < _MOST_TRIED:
        most, index, stage = heapq.heappop(heap)
        if stage is _Stage.FITS:
            tried += 1
            option = search.confirmed(-most, index)
            if option is not None:
                return option, -most / MIB_PER_GIB
            continue
        next_ = _Stage(stage + 1)
        closer = search.cheaper(index) if next_ is _Stage.CHEAPER else search.fits(-most, index)
        if closer > 0:
            heapq.heappush(heap, (-closer, index, next_))
    return None


class _Search:
    """The pools of one job as lines over its memory."""

    def __init__(self, place: Place) -> None:
        self._place = place
        peak = need_of(place.job.spec, place.job.profile).peak
        self._shares = dict(zip(COUNTED, peak, strict=True))
        self._top_mib = -int(-self._shares[Resource.MEMORY] * MIB_PER_GIB // 1) - 1
        self._stays = place.plan.options[place.job.index]
        self._unit = place.instance.serving_hours if place.job.serve else 1
        self._options: dict[tuple[int, int], Option | None] = {}
        self._now = self._line_of(self._stays)
        self._lines = {line.index: line for line in self._others()}

    def guesses(self) -> list[tuple[int, int]]:
        """Return the memory, no less than the exact one, below which each pool begins to win."""
        found = []
        for line in self._lines.values():
            crossing = self._crossing(line)
            if crossing is not None:
                found.append((crossing[2], line.index))
        return found

    def cheaper(self, index: int) -> int:
        """Return the most memory at which a pool is cheaper than today's, by exact costs."""
        crossing = self._crossing(self._lines[index])
        if crossing is None:
            return 0
        first, _, last = crossing
        return _largest(lambda mib: self._is_cheaper(mib, index), first, last) or first

    def fits(self, memory_mib: int, index: int) -> int:
        """Return the most memory up to some at which the job fits on a pool, and is cheaper there.

        Less memory fits sooner, so that where it begins to fit is found by halving.
        """
        if self._fits(memory_mib, index):
            return memory_mib
        most = _largest(lambda mib: self._fits(mib, index), 1, memory_mib)
        return most if most > 0 and self._is_cheaper(most, index) else 0

    def confirmed(self, memory_mib: int, index: int) -> Option | None:
        """Return the option there if it is the best with so much memory, and not with more."""
        best = self._best(memory_mib)
        if best is None or best.pool_index != index:
            return None
        above = self._best(memory_mib + 1)
        stays = above is not None and above.pool_index == self._stays.pool_index
        return best if stays else None

    def _others(self) -> Iterator[_Line]:
        """Yield the lines of the other pools that may run the job, with less memory if need be."""
        job = self._place.job
        for option in job.options:
            if option.pool_index != self._stays.pool_index:
                yield self._line_of(option)
        for index, refused in job.refusals.items():
            if all(_on_memory(refusal) for refusal in refused):
                most = self._allowed(index)
                with_most = self._option(most, index) if most > 0 else None
                if with_most is not None:
                    yield self._line_of(with_most, most)

    def _line_of(self, option: Option, memory_mib: int | None = None) -> _Line:
        """Return the line of a pool from its option with so much memory; None for today's."""
        place = self._place
        today = self._shares[Resource.MEMORY] * MIB_PER_GIB
        mib = today if memory_mib is None else float(memory_mib)
        node = option.pool.shape.resources
        node_mib = node.memory_gib * MIB_PER_GIB
        other = max(
            self._shares[r] / node.of(r)
            for r in COUNTED
            if r is not Resource.MEMORY and node.of(r) > 0
        )
        share = min(max(other, mib / node_mib), 1.0)
        # A delta holds what the job costs here and there; the rest of it is for moving data.
        change = moves.delta(place.instance, place.plan, place.job, option)
        return _Line(
            index=option.pool_index,
            full=option.objective / share if share > 0 else 0.0,
            other=other,
            node_mib=node_mib,
            moved=float(change - option.objective + self._stays.objective),
            top_mib=self._top_mib if memory_mib is None else memory_mib,
        )

    def _crossing(self, line: _Line) -> tuple[int, int, int] | None:
        """Return between which MiB a pool begins to be cheaper than today's, and the best guess.

        None where it never is.
        """
        bends = (int(b) for b in (line.bend_mib, self._now.bend_mib) if 1 <= b < line.top_mib)
        above = line.top_mib
        for point in [line.top_mib, *sorted(set(bends), reverse=True), 1]:
            if point > 0 and self._gain(line, point) < 0:
                return self._between(line, point, above)
            above = point
        return None

    def _between(self, line: _Line, low: int, high: int) -> tuple[int, int, int]:
        if low >= high:
            return low, low, low
        gain = self._gain(line, low)
        slope = (self._gain(line, high) - gain) / (high - low)
        near = int(low - gain / slope) if slope > 0 else high
        # Costs are whole micro-dollars: the lines are off by what one of them is worth.
        step = int(2 * self._unit / slope) + 1 if slope > 0 else 0
        return max(near - step, low), near, min(near + step, high)

    def _gain(self, line: _Line, memory_mib: int) -> float:
        return line.money(memory_mib) - self._now.money(memory_mib)

    def _is_cheaper(self, memory_mib: int, index: int) -> bool:
        there = self._option(memory_mib, index)
        here = self._option(memory_mib, self._stays.pool_index)
        return there is not None and here is not None and self._money(there) < self._money(here)

    def _money(self, option: Option) -> int:
        return moves.delta(self._place.instance, self._place.plan, self._place.job, option)

    def _allowed(self, index: int) -> int:
        """Return the most memory with which a pool may run the job; 0 for none."""
        node = self._place.instance.pools[index][1].shape
        most = min(int(node.memory_gib * MIB_PER_GIB), self._top_mib)
        # Nearly always a node is what is too small; else a quota is, somewhere below.
        if most < 1 or self._may_run(most, index):
            return most
        return _largest(partial(self._may_run, index=index), 1, most)

    def _may_run(self, memory_mib: int, index: int) -> bool:
        return self._option(memory_mib, index) is not None

    def _fits(self, memory_mib: int, index: int) -> bool:
        option = self._option(memory_mib, index)
        return option is not None and self._place.moved(option) is not None

    def _best(self, memory_mib: int) -> Option | None:
        """Return where the job stands best with so much memory; where it is among equals."""
        stays = self._option(memory_mib, self._stays.pool_index)
        if stays is None or not self._fits(memory_mib, self._stays.pool_index):
            return None
        best, least = stays, self._money(stays)
        for line in self._lines.values():
            # The lines are exact but for rounding, so that few pools are worth an exact look.
            if memory_mib > line.top_mib or self._gain(line, memory_mib) > 2 * self._unit:
                continue
            option = self._option(memory_mib, line.index)
            if option is None or self._money(option) >= least:
                continue
            if self._fits(memory_mib, line.index):
                best, least = option, self._money(option)
        return best

    def _option(self, memory_mib: int, index: int) -> Option | None:
        key = (memory_mib, index)
        if key not in self._options:
            self._options[key] = with_memory(
                self._place.instance, self._place.job, index, memory_mib
            )
        return self._options[key]


def _largest(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Return the largest of some whole numbers of which all smaller ones hold too; 0 for none."""
    if high < low or not holds(low):
        return 0
    if holds(high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _on_memory(refusal: Refusal) -> bool:
    """Whether less memory might lift a limit; whether it does is tried."""
    if refusal.limit in {Limit.NODE_FIT, Limit.QUOTA}:
        return refusal.unit.startswith(Resource.MEMORY.unit)
    return refusal.limit is Limit.MEMORY
