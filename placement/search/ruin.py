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
from collections.abc import Callable, Sequence

from placement.problem.instance import Instance, Line
from placement.search import draft as drafts
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


def improved(
    instance: Instance,
    plan: Draft,
    wanted: Draft,
    seed: int,
    work: float,
    stopped: Callable[[], bool],
) -> Draft:
    """Return the best plan found within some work, never worse than the given one.

    wanted: what every pipeline would do alone; a plan that is no dearer is left as it is.
    """
    search = _Ruin(instance, plan, wanted, seed)
    most = work * LABELS_PER_WORK
    for _ in range(MOST_ITERATIONS):
        if search.labels >= most or search.settled or stopped():
            break
        search.step(search.labels / most)
    return search.best


class _Ruin:
    """One search: the plan it stands at, and the best one it saw."""

    def __init__(self, instance: Instance, plan: Draft, wanted: Draft, seed: int) -> None:
        self._instance = instance
        self._chance = random.Random(seed)  # noqa: S311 - a search order, nothing secret
        self._place = Workplace(instance, plan)
        self.best, self._best_value = plan, self._place.value
        self._alone = [
            drafts.line_worth(instance, wanted, number) for number in range(len(instance.lines))
        ]
        self._wanted = [
            {wanted.options[i].pool_index for i in line.jobs if i in wanted.options}
            for line in instance.lines
        ]
        self._narrow = [_narrow_pools(instance, line) for line in instance.lines]
        self._steps = 0
        money = sum(m for _, m in self._alone) or 1
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
        return not self._regrets()

    def step(self, progress: float) -> None:
        """Take some pipelines out and put them back; keep the change if it is good enough."""
        self._steps += 1
        place = self._place
        if progress > self._next_return:
            place.load(self.best)
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
        elif place.value < self._best_value:
            self.best, self._best_value = place.plan, place.value

    def _energy(self, values: Sequence[tuple[int, int]]) -> float:
        return sum(weight * self._rate + money for weight, money in values)

    def _regrets(self) -> list[int]:
        """Return the pipelines that are not as good as they would be alone."""
        now = self._place.values
        return [n for n, alone in enumerate(self._alone) if now[n] > alone]

    def _chosen(self) -> list[int]:
        """Return a pipeline that has lost by the others, with some of those in its way."""
        regrets = self._regrets()
        lost = [number for number in regrets if self._place.values[number][0] > 0]
        homeless = bool(lost) and self._chance.random() < LOST_FIRST
        first = self._chance.choice(lost if homeless else regrets)
        pools = self._narrow[first] if homeless else self._wanted[first] | self._pools(first)
        others = [n for n in range(len(self._instance.lines)) if n != first]
        bonded = self._instance.bonded(first)
        near = [n for n in others if n in bonded or self._pools(n) & pools]
        count = self._chance.randint(1, MOST_TAKEN_OUT)
        chosen = self._chance.sample(near, min(count, len(near)))
        # What has no place may take that of another that goes.
        more = [number for number in lost if number != first and number not in chosen]
        return [first, *chosen, *self._chance.sample(more, min(len(more), 2))]

    def _pools(self, number: int) -> set[int]:
        options = self._place.options
        return {options[i].pool_index for i in self._instance.lines[number].jobs if i in options}

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
