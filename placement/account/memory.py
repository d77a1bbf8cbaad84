"""At how much memory a task would stand elsewhere, exactly, all others staying.

A job of one process that insists on m GiB costs C max(s, m / M) on a node of M GiB: s is the
largest share of the node that it holds of anything else, C what a whole node would cost. So the
difference between two pools is linear between bends, and falls below zero at a bend or between two
of them. What these lines propose is then tried with exact costs, on whole MiB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from engine.model.plans import Limit, Refusal
from engine.model.resources import Resource
from placement.account.standing import Place
from placement.account.variants import MIB_PER_GIB, with_memory
from placement.problem.instance import COUNTED, Option
from placement.problem.needs import need_of
from placement.search import moves

_MOST_TRIED = 12
"""So many proposals are tried, the largest first; one that fails is nearly always the last."""


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


def turning_memory(place: Place) -> tuple[Option, float] | None:
    """Return the most memory under today's with which the job would move, in GiB, and where to.

    Only for tasks of one process: less memory for each of several may change their nodes too.
    """
    if place.job.profile.replicas > 1:
        return None
    search = _Search(place)
    for tried, (memory_mib, index) in enumerate(search.proposals()):
        if tried == _MOST_TRIED:
            break
        option = search.confirmed(memory_mib, index)
        if option is not None:
            return option, memory_mib / MIB_PER_GIB
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
        self._now = self._line(self._stays.pool_index)
        self._lines = list(self._others()) if self._now is not None else []

    def proposals(self) -> list[tuple[int, int]]:
        """Return memory and pool where each pool would begin to win, the most memory first."""
        found = [(self._proposed(line), line.index) for line in self._lines]
        return sorted(
            ((memory, index) for memory, index in found if memory > 0), key=lambda p: (-p[0], p[1])
        )

    def confirmed(self, memory_mib: int, index: int) -> Option | None:
        """Return the option there if it is the best with so much memory, and not with more."""
        best = self._best(memory_mib)
        if best is None or best.pool_index != index:
            return None
        above = self._best(memory_mib + 1)
        stays = above is not None and above.pool_index == self._stays.pool_index
        return best if stays else None

    def _others(self) -> Iterator[_Line]:
        for index in range(len(self._place.instance.pools)):
            refused = self._place.job.refusals.get(index, ())
            if index != self._stays.pool_index and all(_on_memory(r) for r in refused):
                line = self._line(index)
                if line is not None:
                    yield line

    def _line(self, index: int) -> _Line | None:
        """Return the line of a pool, None where no memory would be little enough."""
        top = self._top_mib
        if self._place.job.refusals.get(index):
            top = _largest(lambda mib: self._option(mib, index) is not None, 1, top)
        option = self._option(top, index) if top > 0 else None
        if option is None:
            return None
        node = option.pool.shape.resources
        other = max(
            self._shares[r] / node.of(r)
            for r in COUNTED
            if r is not Resource.MEMORY and node.of(r) > 0
        )
        node_mib = node.memory_gib * MIB_PER_GIB
        share = min(max(other, top / node_mib), 1.0)
        instance, plan, job = self._place.instance, self._place.plan, self._place.job
        # A delta holds what the job costs here and there; the rest of it is for moving data.
        moved = moves.delta(instance, plan, job, option) - option.objective + self._stays.objective
        return _Line(
            index=index,
            full=option.objective / share if share > 0 else 0.0,
            other=other,
            node_mib=node_mib,
            moved=float(moved),
            top_mib=top,
        )

    def _proposed(self, line: _Line) -> int:
        """Return the most memory at which the job fits on a pool and is cheaper there; 0 for none.

        Less memory fits sooner, so that the memory at which it begins to fit is found by halving.
        """
        cheaper = self._crossing(line)
        if cheaper == 0 or self._fits(cheaper, line.index):
            return cheaper
        fits = _largest(lambda mib: self._fits(mib, line.index), 1, cheaper)
        return fits if fits > 0 and self._gain(line, fits) < self._unit else 0

    def _crossing(self, line: _Line) -> int:
        """Return the most memory at which a pool is cheaper than today's; 0 for none."""
        now = self._now
        if now is None:
            return 0
        bends = (int(b) for b in (line.bend_mib, now.bend_mib) if 1 <= b < line.top_mib)
        points = [line.top_mib, *sorted(set(bends), reverse=True), 1]
        above = points[0]
        for point in points:
            if self._gain(line, point) < 0:
                return self._exact(line, point, above)
            above = point
        return 0

    def _exact(self, line: _Line, low: int, high: int) -> int:
        """Return the most memory between two at which a pool is cheaper, by exact costs."""
        if low == high:
            return high
        slope = self._gain(line, high) - self._gain(line, low)
        near = int(low - (high - low) * self._gain(line, low) / slope) if slope > 0 else high
        # Costs are whole micro-dollars: the lines are off by what one of them is worth.
        step = int(2 * self._unit * (high - low) / slope) + 1 if slope > 0 else high - low
        first, last = max(near - step, low), min(near + step, high)
        return _largest(lambda mib: self._is_cheaper(mib, line.index), first, last) or first

    def _gain(self, line: _Line, memory_mib: int) -> float:
        assert self._now is not None  # noqa: S101 - no line is looked at otherwise
        return line.money(memory_mib) - self._now.money(memory_mib)

    def _is_cheaper(self, memory_mib: int, index: int) -> bool:
        there = self._option(memory_mib, index)
        here = self._option(memory_mib, self._stays.pool_index)
        return there is not None and here is not None and self._money(there) < self._money(here)

    def _money(self, option: Option) -> int:
        return moves.delta(self._place.instance, self._place.plan, self._place.job, option)

    def _fits(self, memory_mib: int, index: int) -> bool:
        option = self._option(memory_mib, index)
        place = self._place
        return (
            option is not None
            and moves.moved(place.instance, place.plan, place.bench, option) is not None
        )

    def _best(self, memory_mib: int) -> Option | None:
        """Return where the job stands best with so much memory; where it is among equals."""
        stays = self._option(memory_mib, self._stays.pool_index)
        if stays is None or not self._fits(memory_mib, self._stays.pool_index):
            return None
        best, least = stays, self._money(stays)
        for line in self._lines:
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
