"""From an instance to its best plan found, with a bound: the recipe of the search.

Greedy first, so that there is always a plan. Then each pipeline alone, which bounds every plan
and often is the answer. Then CP-SAT: the whole problem where it is small, else neighbourhoods of
a few pipelines at a time. Last, every single move that helps.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from placement.problem.instance import Instance
from placement.search import draft as drafts
from placement.search import moves
from placement.search.draft import Draft
from placement.search.greedy import greedy, value
from placement.search.model import solve
from placement.search.orders import Goal, Outcome, Scope, Task, Verdict, everything
from placement.search.relaxation import Relaxed, money_bound, relaxed

WHOLE_OPTIONS = 1_200
"""Up to so many options CP-SAT is given the whole problem; above, presolve alone takes longer than
solving a dozen neighbourhoods."""

NEIGHBOURHOOD_OPTIONS = 120
"""Few enough that most neighbourhoods are solved to the end; larger ones improved less."""

ROUND_WORK = 0.2
RELAXED_WORK = 1.0
LEAST_WORK = 0.05
"""What a round counts at least, because building a model is work too."""

MOST_ROUNDS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How a search is run: whether every job must have a place, its seed and its work."""

    all_placed: bool
    seed: int
    work_limit: float

    def task(self, goal: Goal, work: float, *, hint: Draft | None = None) -> Task:
        """Return the order for one solve."""
        return Task(
            goal=goal,
            all_placed=self.all_placed,
            seed=self.seed,
            work_limit=min(work, self.work_limit),
            hint=hint,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search ends with.

    plan: None only when every job must have a place and no such plan was found.
    bound: the least money of any plan with no more unplaced weight. proven: there is no better
        plan; without a plan: there is none. wanted: what every pipeline would do alone.
    """

    plan: Draft | None
    bound: int
    proven: bool
    wanted: Draft


def search(instance: Instance, effort: Effort) -> Found:
    """Return the best plan found within the work limit."""
    alone = relaxed(instance, lambda goal: effort.task(goal, RELAXED_WORK))
    if effort.all_placed and alone.impossible is not None:
        return Found(plan=None, bound=alone.money, proven=True, wanted=alone.draft)
    plan = _start(instance, alone, effort)
    if plan is not None and value(instance, plan) == (alone.weight, alone.money):
        return Found(plan=plan, bound=alone.money, proven=True, wanted=alone.draft)
    # What the relaxation took comes out of the same limit, but never all of it.
    left = max(effort.work_limit - alone.work, effort.work_limit / 2)
    if sum(len(job.options) for job in instance.jobs) <= WHOLE_OPTIONS:
        return _whole(instance, alone, effort, plan, left)
    if plan is None:
        outcome = solve(instance, effort.task(Goal.BEST, left), everything(instance))
        plan = _timed(instance, outcome.draft)
        if plan is None:
            proven = outcome.verdict is Verdict.INFEASIBLE
            return Found(plan=None, bound=alone.money, proven=proven, wanted=alone.draft)
    plan = _by_neighbourhoods(instance, alone, effort, plan, left)
    return _bounded(instance, alone, effort, moves.closed(instance, plan), bound=0)


def _start(instance: Instance, alone: Relaxed, effort: Effort) -> Draft | None:
    """Return the better of the greedy plan and the pipelines' own plans, if those fit."""
    plans = [greedy(instance)]
    together = drafts.timed(instance, alone.draft.options, alone.draft.starts)
    if together is not None:
        plans.append(together)
    whole = [p for p in plans if len(p.options) == len(instance.jobs) or not effort.all_placed]
    return min(whole, key=lambda plan: value(instance, plan), default=None)


def _whole(
    instance: Instance, alone: Relaxed, effort: Effort, plan: Draft | None, left: float
) -> Found:
    """Give CP-SAT the whole problem."""
    outcome = solve(instance, effort.task(Goal.BEST, left, hint=plan), everything(instance))
    plans = [p for p in (plan, _timed(instance, outcome.draft)) if p is not None]
    if not plans:
        proven = outcome.verdict is Verdict.INFEASIBLE
        return Found(plan=None, bound=alone.money, proven=proven, wanted=alone.draft)
    best = moves.closed(instance, min(plans, key=lambda plan: value(instance, plan)))
    return _bounded(instance, alone, effort, best, bound=_money(instance, best, outcome))


def _money(instance: Instance, plan: Draft, outcome: Outcome) -> int:
    """Return what a bound on weight and money says of the money of plans with this weight."""
    weight = drafts.unplaced_weight(instance, plan.options)
    return max(outcome.bound - weight * outcome.dear, 0)


def _bounded(
    instance: Instance, alone: Relaxed, effort: Effort, plan: Draft, *, bound: int
) -> Found:
    """Return a plan with the best bound there is on the money of plans with its weight."""
    weight, money = value(instance, plan)
    settled = weight == alone.weight or bound >= money
    if bound < money and weight == alone.weight:
        bound = max(bound, alone.money)
    elif bound < money:
        bound = max(
            bound,
            money_bound(
                instance,
                lambda most: _weighed(effort, most),
                unplaced=weight,
                least=alone.weight,
            ),
        )
    return Found(
        plan=plan, bound=min(bound, money), proven=settled and bound >= money, wanted=alone.draft
    )


def _weighed(effort: Effort, most: int) -> Task:
    return Task(
        goal=Goal.MONEY,
        all_placed=False,
        seed=effort.seed,
        work_limit=RELAXED_WORK,
        weight_at_most=most,
    )


def _timed(instance: Instance, found: Draft | None) -> Draft | None:
    """Return a plan with each start as early as it can be; the solver's own if none is."""
    if found is None:
        return None
    return drafts.timed(instance, found.options, found.starts) or found


def _by_neighbourhoods(
    instance: Instance, alone: Relaxed, effort: Effort, plan: Draft, left: float
) -> Draft:
    """Solve a few pipelines at a time, those that lose most by the others first."""
    chance = random.Random(effort.seed)  # noqa: S311 - a search order, nothing secret
    tired: set[int] = set()
    for _ in range(MOST_ROUNDS):
        if left <= 0:
            break
        regrets = _regrets(instance, alone, plan)
        fresh = [line for line in regrets if line not in tired]
        if not fresh:
            break
        lines = _neighbours(instance, alone, plan, fresh[0], chance)
        tired.add(fresh[0])
        better, work = _resolved(instance, effort, plan, lines)
        left -= max(work, LEAST_WORK)
        if value(instance, better) < value(instance, plan):
            plan = better
            tired -= set(lines)
    return plan


def _regrets(instance: Instance, alone: Relaxed, plan: Draft) -> Sequence[int]:
    """Return the pipelines that are not as good as they would be alone, worst first."""
    now = [_of_line(instance, plan, number) for number in range(len(instance.lines))]
    then = [_of_line(instance, alone.draft, number) for number in range(len(instance.lines))]
    loss = {n: (now[n][0] - then[n][0], now[n][1] - then[n][1]) for n in range(len(now))}
    return sorted(
        (n for n in loss if loss[n] > (0, 0)), key=lambda n: (-loss[n][0], -loss[n][1], n)
    )


def _of_line(instance: Instance, plan: Draft, number: int) -> tuple[int, int]:
    jobs = instance.lines[number].jobs
    options = {index: plan.options[index] for index in jobs if index in plan.options}
    unplaced = sum(instance.jobs[index].weight for index in jobs if index not in options)
    return unplaced, drafts.objective(instance, options)


def _neighbours(
    instance: Instance, alone: Relaxed, plan: Draft, line: int, chance: random.Random
) -> list[int]:
    """Return a pipeline with others that stand on the pools it would rather have."""
    wanted = {
        alone.draft.options[index].pool_index
        for index in instance.lines[line].jobs
        if index in alone.draft.options
    }
    others = [number for number in range(len(instance.lines)) if number != line]
    chance.shuffle(others)
    others.sort(key=lambda number: -_standing(instance, plan, number, wanted))
    chosen = [line]
    size = _options(instance, line)
    for number in others:
        size += _options(instance, number)
        if size > NEIGHBOURHOOD_OPTIONS:
            break
        chosen.append(number)
    return chosen


def _standing(instance: Instance, plan: Draft, number: int, wanted: set[int]) -> int:
    """Return how many jobs of a pipeline stand on some pools."""
    jobs = instance.lines[number].jobs
    return sum(i in plan.options and plan.options[i].pool_index in wanted for i in jobs)


def _options(instance: Instance, number: int) -> int:
    return sum(len(instance.jobs[index].options) for index in instance.lines[number].jobs)


def _resolved(
    instance: Instance, effort: Effort, plan: Draft, lines: Sequence[int]
) -> tuple[Draft, float]:
    """Return the plan after its best change in some pipelines, and the work that took."""
    jobs = tuple(index for number in sorted(lines) for index in instance.lines[number].jobs)
    board = drafts.board_of(instance, plan, without=jobs)
    task = effort.task(Goal.BEST, ROUND_WORK, hint=_only(plan, jobs))
    outcome = solve(instance, task, Scope(jobs=jobs, taken=board))
    if outcome.draft is None:
        return plan, outcome.work
    kept: Mapping[int, int] = {i: s for i, s in plan.starts.items() if i not in set(jobs)}
    merged = Draft(
        options={**{i: plan.options[i] for i in kept}, **outcome.draft.options},
        starts={**kept, **outcome.draft.starts},
    )
    return _timed(instance, merged) or plan, outcome.work


def _only(plan: Draft, jobs: Sequence[int]) -> Draft:
    return Draft(
        options={i: plan.options[i] for i in jobs if i in plan.options},
        starts={i: plan.starts[i] for i in jobs if i in plan.starts},
    )
