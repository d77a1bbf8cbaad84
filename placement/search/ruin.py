"""Better plans by taking a few pipelines out and putting them back in another order.

Ruin and recreate (Schrimpf and others, 2000) with the acceptance of simulated annealing. The
pipelines that are taken out get in each other's way: one that is not where it would be alone, and
some that stand on the pools it would rather have. Each goes back in the cheapest way that what is
left allows. Every plan on the way keeps every limit, node by node, so that the search can be
stopped at any moment and needs no solver.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from placement.problem.instance import Instance, Line
from placement.search import draft as drafts
from placement.search.chains import Chains
from placement.search.draft import Draft
from placement.search.greedy import cheapest, soonest, urgency
from placement.search.recreate import Workplace

LABELS_PER_WORK = 50_000
"""Looks at an option of a task that make a unit of work, which is about a second."""

MOST_TAKEN_OUT = 6
WARMTH = 0.2
"""First temperature as a share of what a pipeline costs on average; it cools to a thousandth."""

WORTH = 10.0
"""How much more a unit of weight without a place counts on the way than the dearest one costs."""

BY_WEIGHT = 0.3
"""Share of the steps in which pipelines go back in the order of their weight."""

LOST_FIRST = 0.5
"""Share of the steps that start from a pipeline without a place, while there is one."""

RETURN_SHARE = 0.2
"""After each such share of the work the search goes on from the best plan so far."""

MOST_ITERATIONS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How a search is run: its seed, the work it may do, and when it is to stop sooner."""

    seed: int
    work: float
    stopped: Callable[[], bool]
    chains: Chains


def improved(instance: Instance, plan: Draft, wanted: Draft, effort: Effort) -> Draft:
    """Return the best plan found within some work, never worse than the given one.

    wanted: what every pipeline would do alone; a plan that is no dearer is left as it is.
    """
    search = _Ruin(instance, plan, wanted, effort)
    most = effort.work * LABELS_PER_WORK
    for _ in range(MOST_ITERATIONS):
        if search.labels >= most or search.settled or effort.stopped():
            break
        search.step(search.labels / most)
    return search.best


class _Standings:
    """Which pipelines stand where, and which of them have lost by the others.

    regrets: those that are not as good as they would be alone; lost: those of them with jobs
    that have no place. Both in order, and kept up to date by `look`.
    """

    def __init__(self, instance: Instance, place: Workplace, alone: list[tuple[int, int]]) -> None:
        self._instance = instance
        self._place = place
        self._alone = alone
        self.start()

    def start(self) -> None:
        """Look at all pipelines."""
        self.regrets: list[int] = []
        self.lost: list[int] = []
        self._pools: list[set[int]] = [set() for _ in self._instance.lines]
        self._on: list[set[int]] = [set() for _ in self._instance.pools]
        self.look(range(len(self._instance.lines)))

    def look(self, lines: Iterable[int]) -> None:
        """Look at some pipelines again, after they were moved."""
        options, values = self._place.options, self._place.values
        for number in lines:
            jobs = self._instance.lines[number].jobs
            pools = {options[i].pool_index for i in jobs if i in options}
            for pool in self._pools[number] - pools:
                self._on[pool].discard(number)
            for pool in pools - self._pools[number]:
                self._on[pool].add(number)
            self._pools[number] = pools
            _mark(self.regrets, number, stands=values[number] > self._alone[number])
            lost = values[number] > self._alone[number] and values[number][0] > 0
            _mark(self.lost, number, stands=lost)

    def pools(self, number: int) -> set[int]:
        """Return the pools that a pipeline stands on."""
        return self._pools[number]

    def on(self, pools: Iterable[int], *, but: int) -> list[int]:
        """Return the pipelines that stand on any of some pools, all but one."""
        found: set[int] = set().union(*(self._on[pool] for pool in pools))
        return sorted(found - {but})


def _mark(numbers: list[int], number: int, *, stands: bool) -> None:
    """Put a number into an ordered list, or take it out."""
    at = bisect_left(numbers, number)
    there = at < len(numbers) and numbers[at] == number
    if stands and not there:
        numbers.insert(at, number)
    elif there and not stands:
        del numbers[at]


class _Ruin:
    """One search: the plan it stands at, and the best one it saw."""

    def __init__(self, instance: Instance, plan: Draft, wanted: Draft, effort: Effort) -> None:
        self._instance = instance
        self._chance = random.Random(effort.seed)  # noqa: S311 - a search order, nothing secret
        self._place = Workplace(instance, plan, effort.chains)
        self.best, self._best_value = plan, self._place.value
        alone = [
            drafts.line_worth(instance, wanted, number) for number in range(len(instance.lines))
        ]
        self._standings = _Standings(instance, self._place, alone)
        self._wanted = [
            {wanted.options[i].pool_index for i in line.jobs if i in wanted.options}
            for line in instance.lines
        ]
        self._narrow = [_narrow_pools(instance, line) for line in instance.lines]
        self._steps = 0
        money = sum(m for _, m in alone) or 1
        self._rate = WORTH * _dearest(instance, wanted)
        self._next_return = RETURN_SHARE
        self._heat = WARMTH * money / max(len(instance.lines), 1)

    @property
    def labels(self) -> int:
        """Work done so far."""
        return self._place.labels + 10 * self._steps

    @property
    def settled(self) -> bool:
        """Whether nothing can be gained any more."""
        return not self._standings.regrets

    def step(self, progress: float) -> None:
        """Take some pipelines out and put them back; keep the change if it is good enough."""
        self._steps += 1
        place = self._place
        if progress > self._next_return:
            place.load(self.best)
            self._standings.start()
            self._next_return += RETURN_SHARE
        lines = self._chosen()
        before = [place.values[number] for number in lines]
        held = place.part(lines)
        place.take_out(lines)
        for number in self._ordered(lines):
            place.insert(number, self._chance.choice((cheapest, cheapest, soonest)))
        after = [place.values[number] for number in lines]
        loss = self._energy(after) - self._energy(before)
        heat = self._heat * 1000 ** -min(progress, 1.0)
        if loss > 0 and loss > -heat * math.log(1.0 - self._chance.random()):
            place.take_out(lines)
            place.put_back(lines, held)
            return
        self._standings.look(lines)
        if place.value < self._best_value:
            self.best, self._best_value = place.plan, place.value

    def _energy(self, values: Sequence[tuple[int, int]]) -> float:
        return sum(weight * self._rate + money for weight, money in values)

    def _chosen(self) -> list[int]:
        """Return a pipeline that has lost by the others, with some of those in its way."""
        standings = self._standings
        homeless = bool(standings.lost) and self._chance.random() < LOST_FIRST
        first = self._chance.choice(standings.lost if homeless else standings.regrets)
        pools = self._narrow[first] if homeless else self._wanted[first] | standings.pools(first)
        near = sorted({*standings.on(pools, but=first), *self._instance.bonded(first)})
        count = self._chance.randint(1, MOST_TAKEN_OUT)
        chosen = self._chance.sample(near, min(count, len(near)))
        # What has no place may take that of another that goes.
        more = [number for number in standings.lost if number != first and number not in chosen]
        return [first, *chosen, *self._chance.sample(more, min(len(more), 2))]

    def _ordered(self, lines: Sequence[int]) -> list[int]:
        lines = list(lines)
        self._chance.shuffle(lines)
        if self._chance.random() < BY_WEIGHT:
            lines.sort(key=lambda number: urgency(self._instance, number)[0])
        return lines


def _narrow_pools(instance: Instance, line: Line) -> set[int]:
    """Return the pools of the job of a pipeline that has the fewest."""
    jobs = [instance.jobs[index] for index in line.jobs if instance.jobs[index].options]
    if not jobs:
        return set()
    return {option.pool_index for option in min(jobs, key=lambda job: len(job.options)).options}


def _dearest(instance: Instance, wanted: Draft) -> float:
    """Return the most money that a unit of weight costs in any pipeline alone."""
    rates = [1.0]
    for number, line in enumerate(instance.lines):
        weight = sum(instance.jobs[index].weight for index in line.jobs)
        money = drafts.line_value(instance, wanted.options, number)[1]
        rates.append(money / max(weight, 1))
    return max(rates)
