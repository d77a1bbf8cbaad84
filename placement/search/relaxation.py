"""A bound on every plan: each pipeline alone, as if all pools were empty.

Pipelines meet in capacity and in the budget of a plan only, so that without these they fall apart
into problems that are solved to the end within milliseconds. Their sum bounds every plan from
below; when their plans happen to fit beside each other, they are the best plan.

A pipeline whose tasks follow one another is solved by `placement.search.chains`, any other by
CP-SAT. What is left when the work is used up counts with its cheapest options, which bound it too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from placement.problem.instance import Instance, Line, Option
from placement.search import draft as drafts
from placement.search.board import Board
from placement.search.chains import Chains, cheapest
from placement.search.draft import Draft
from placement.search.orders import Goal, Outcome, Scope, Task, Verdict
from placement.search.solver import solve

EXACT_LINES = 100
"""Up to so many pipelines get an exact curve of money by weight left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxed:
    """All pipelines alone.

    draft: their plans, which may not fit together. weight, money: the least SLA weight without a
        place, and the least money with that weight.
    impossible: a pipeline that cannot be placed whole even alone; None when all can be.
    chains: the pipelines as chains, for whoever searches on.
    """

    draft: Draft
    weight: int
    money: int
    impossible: int | None
    work: float
    chains: Chains
    troubles: tuple[str, ...] = ()


def relaxed(
    instance: Instance, task: Callable[[Goal], Task], work_limit: float, chains: Chains
) -> Relaxed:
    """Solve every pipeline alone; `task` makes the solver's orders."""
    options: dict[int, Option] = {}
    starts: dict[int, int] = {}
    weight = money = 0
    work = 0.0
    impossible = None
    troubles: dict[str, None] = {}
    empty = _unlimited(instance)
    for number, line in enumerate(instance.lines):
        easy = _easy(instance, chains, number, empty)
        if easy is not None:
            options.update(easy.options)
            starts.update(easy.starts)
            money += drafts.line_value(instance, easy.options, number)[1]
            continue
        if work > work_limit:
            money += _cheap(instance, line)
            continue
        outcome = solve(instance, task(Goal.BEST), Scope(jobs=line.jobs, taken=None))
        work += outcome.work
        if outcome.trouble:
            troubles[outcome.trouble] = None
        least, cost = divmod(outcome.bound, outcome.dear)
        weight += least
        if outcome.verdict is Verdict.INFEASIBLE:
            impossible = number if impossible is None else impossible
        if outcome.draft is not None:
            # Short of a proof of the weight the rest of the bound says nothing about money.
            money += cost if _missed(instance, line, outcome) == least else 0
            options.update(outcome.draft.options)
            starts.update(outcome.draft.starts)
    return Relaxed(
        draft=Draft(options=options, starts=starts),
        weight=weight,
        money=money,
        impossible=impossible,
        work=work,
        chains=chains,
        troubles=tuple(troubles),
    )


def money_bound(instance: Instance, task: Callable[[int], Task], *, unplaced: int) -> int:
    """Return the least money of any plan that leaves at most `unplaced` weight without a place.

    Each pipeline alone gives the least money by weight left out; the weights that may be left out
    beyond the least possible are shared among the pipelines in the way that saves most.
    """
    if len(instance.lines) > EXACT_LINES:
        return _rough_bound(instance, unplaced)
    firsts = [_first(instance, task, line.jobs) for line in instance.lines]
    room = max(unplaced - sum(weight for weight, _ in firsts), 0)
    curves = [
        _curve(instance, task, line.jobs, first, room)
        for line, first in zip(instance.lines, firsts, strict=True)
    ]
    unit = math.gcd(room, *(extra for curve in curves for extra in curve)) or 1
    best = [0] * (room // unit + 1)
    for curve in curves:
        best = [
            min(
                best[total - extra // unit] + cost
                for extra, cost in curve.items()
                if extra // unit <= total
            )
            for total in range(len(best))
        ]
    return best[-1]


def _missed(instance: Instance, line: Line, outcome: Outcome) -> int:
    placed = outcome.draft.options if outcome.draft else {}
    return sum(instance.jobs[index].weight for index in line.jobs if index not in placed)


def _unlimited(instance: Instance) -> Board:
    """Return a board without anybody on it, on which one pipeline never stands in its own way."""
    return Board(instance)


def _easy(instance: Instance, chains: Chains, number: int, empty: Board) -> Draft | None:
    """Return the best plan of a pipeline alone where that is easy to see, else None."""
    chain = chains.of(number)
    line = instance.lines[number]
    if chain is None or any(instance.buckets[b].base for b in _buckets(instance, line)):
        return None
    way = cheapest(chain, empty, None)
    return Draft(options=way.options, starts=way.starts) if way.whole else None


def _buckets(instance: Instance, line: Line) -> set[int]:
    jobs = (instance.jobs[index] for index in line.jobs)
    return {bucket for job in jobs for option in job.options for bucket in option.buckets}


def _cheap(instance: Instance, line: Line) -> int:
    """Return the money of the cheapest option of each job: no plan places them all for less."""
    jobs = (instance.jobs[index] for index in line.jobs)
    return sum(min((o.objective for o in job.options), default=0) for job in jobs)


def _rough_bound(instance: Instance, unplaced: int) -> int:
    """Return the least money by the cheapest options, weight left out where it saves most.

    The linear relaxation of the knapsack of what is left out, so that it is a bound too.
    """
    total = 0
    savings: list[tuple[float, int, int]] = []
    for line in instance.lines:
        groups = [line.jobs] if instance.whole else [(index,) for index in line.jobs]
        for group in groups:
            money = sum(
                min((o.objective for o in instance.jobs[i].options), default=0) for i in group
            )
            weight = sum(instance.jobs[index].weight for index in group)
            total += money
            savings.append((money / max(weight, 1), money, weight))
    left = unplaced
    for _, money, weight in sorted(savings, reverse=True):
        if weight <= left:
            total, left = total - money, left - weight
        else:
            total -= math.ceil(money * left / weight)
            break
    return max(total, 0)


def _first(instance: Instance, task: Callable[[int], Task], jobs: Sequence[int]) -> tuple[int, int]:
    """Return the least weight that one pipeline leaves out alone, and its money then."""
    for weight in _weights(instance, jobs):
        outcome = solve(instance, task(weight), Scope(jobs=tuple(jobs), taken=None))
        if outcome.verdict is not Verdict.INFEASIBLE:
            return weight, outcome.bound
    return sum(instance.jobs[index].weight for index in jobs), 0


def _curve(
    instance: Instance,
    task: Callable[[int], Task],
    jobs: Sequence[int],
    first: tuple[int, int],
    room: int,
) -> dict[int, int]:
    """Return the least money of one pipeline by the weight left out beyond the least possible."""
    least, money = first
    curve = {0: money}
    for weight in _weights(instance, jobs):
        if least < weight and weight - least <= room:
            outcome = solve(instance, task(weight), Scope(jobs=tuple(jobs), taken=None))
            if outcome.verdict is not Verdict.INFEASIBLE:
                curve[weight - least] = outcome.bound
    return curve


def _weights(instance: Instance, jobs: Sequence[int]) -> range:
    """Return the weights that a pipeline may leave out: its jobs weigh the same."""
    if not jobs:
        return range(1)
    unit = instance.jobs[jobs[0]].weight
    return range(0, sum(instance.jobs[index].weight for index in jobs) + 1, max(unit, 1))
