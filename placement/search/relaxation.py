"""A bound on every plan: each pipeline solved alone, as if all pools were empty.

Pipelines meet in capacity only, so that without it they fall apart into problems that are solved
to the end within milliseconds. Their sum bounds every plan from below; when their plans happen to
fit beside each other, they are the best plan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from placement.problem.instance import Instance, Option
from placement.search.draft import Draft
from placement.search.model import solve
from placement.search.orders import Goal, Scope, Task, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxed:
    """All pipelines alone.

    draft: their plans, which may not fit together. weight, money: the least SLA weight without a
        place, and the least money with that weight.
    impossible: a pipeline that cannot be placed whole even alone; None when all can be.
    """

    draft: Draft
    weight: int
    money: int
    impossible: int | None
    work: float


def relaxed(instance: Instance, task: Callable[[Goal], Task]) -> Relaxed:
    """Solve every pipeline alone; `task` makes the solver's orders."""
    options: dict[int, Option] = {}
    starts: dict[int, int] = {}
    weight = money = 0
    work = 0.0
    impossible = None
    for number, line in enumerate(instance.lines):
        outcome = solve(instance, task(Goal.BEST), Scope(jobs=line.jobs, taken=None))
        work += outcome.work
        least, cost = divmod(outcome.bound, outcome.dear)
        weight += least
        if outcome.verdict is Verdict.INFEASIBLE:
            impossible = number if impossible is None else impossible
        if outcome.draft is not None:
            missed = sum(
                instance.jobs[index].weight
                for index in line.jobs
                if index not in outcome.draft.options
            )
            # Short of a proof of the weight the rest of the bound says nothing about money.
            money += cost if missed == least else 0
            options.update(outcome.draft.options)
            starts.update(outcome.draft.starts)
    return Relaxed(
        draft=Draft(options=options, starts=starts),
        weight=weight,
        money=money,
        impossible=impossible,
        work=work,
    )


def money_bound(
    instance: Instance, task: Callable[[int], Task], *, unplaced: int, least: int
) -> int:
    """Return the least money of any plan that leaves at most `unplaced` weight without a place.

    Each pipeline alone gives the least money by weight left out; the weights that may be left out
    beyond the least possible are shared among the pipelines in the way that saves most.
    """
    room = unplaced - least
    best = [0] * (room + 1)
    for line in instance.lines:
        curve = _curve(instance, task, line.jobs, room)
        best = [
            min(best[total - extra] + cost for extra, cost in curve.items() if extra <= total)
            for total in range(room + 1)
        ]
    return best[room]


def _curve(
    instance: Instance, task: Callable[[int], Task], jobs: tuple[int, ...], room: int
) -> dict[int, int]:
    """Return the least money of one pipeline by the weight left out beyond the least possible."""
    scope = Scope(jobs=jobs, taken=None)
    if not jobs:
        return {0: 0}
    unit = instance.jobs[jobs[0]].weight
    curve: dict[int, int] = {}
    least: int | None = None
    for weight in range(0, unit * len(jobs) + 1, unit):
        outcome = solve(instance, task(weight), scope)
        if outcome.verdict is Verdict.INFEASIBLE:
            continue
        least = weight if least is None else least
        curve[weight - least] = outcome.bound
        if weight - least >= room:
            break
    return curve
