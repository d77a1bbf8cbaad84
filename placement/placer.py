"""The placer: greedy start, CP-SAT, exact times, single moves, and an account of all of it."""

from __future__ import annotations

from dataclasses import dataclass

from engine.model.errors import InfeasibleError
from engine.model.identifiers import MicroDollars
from engine.model.plans import Mode, Placement, PlacementProblem, PlanRequest
from placement.account.assignments import assignment
from placement.account.explanations import explained, unplaced
from placement.account.promises import Outlook, outlook, promise
from placement.account.sharing import sharing
from placement.problem.building import Terms, build
from placement.problem.instance import Instance
from placement.search import draft as drafts
from placement.search import moves
from placement.search.draft import Draft
from placement.search.greedy import greedy, value
from placement.search.model import Goal, Outcome, Task, Verdict, solve


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """An instance with its plan and the least money any plan could cost."""

    instance: Instance
    plan: Draft
    bound: int
    proven: bool


class CpSatPlacer:
    """Places tasks with OR-Tools. Holds no state: the same problem gives the same bytes."""

    def place(self, problem: PlacementProblem) -> Placement:
        """Return the best placement found within the work limit, with its bound.

        Raises:
            InfeasibleError: in `LEAST_COST` mode when no plan keeps every wish.
        """
        solved = _solved(problem, Terms())
        return _shown(solved, problem.request)


def _solved(problem: PlacementProblem, terms: Terms) -> Solved:
    instance = build(problem, terms)
    start = greedy(instance)
    request = problem.request
    if request.mode is Mode.LEAST_COST:
        return _least_cost(instance, start, request)
    return _most_sla(instance, start, request)


def _least_cost(instance: Instance, start: Draft, request: PlanRequest) -> Solved:
    complete = len(start.options) == len(instance.jobs)
    task = Task(
        goal=Goal.MONEY,
        all_placed=True,
        seed=request.seed,
        work_limit=request.work_limit,
        hint=start if complete else None,
    )
    outcome = solve(instance, task)
    if outcome.draft is None and not complete:
        raise InfeasibleError("no plan keeps every wish")
    return _polished(instance, start if complete else None, outcome)


def _most_sla(instance: Instance, start: Draft, request: PlanRequest) -> Solved:
    """Settle the weight without a place first, then save money."""
    left = request.work_limit
    if len(start.options) < len(instance.jobs):
        task = Task(
            goal=Goal.WEIGHT,
            all_placed=False,
            seed=request.seed,
            work_limit=left / 2,
            hint=start,
        )
        first = solve(instance, task)
        left -= first.work
        if first.draft is not None:
            better = _exact(instance, first.draft)
            start = min([start, better], key=lambda plan: value(instance, plan))
    weight = drafts.unplaced_weight(instance, start.options)
    task = Task(
        goal=Goal.MONEY,
        all_placed=weight == 0,
        seed=request.seed,
        work_limit=left,
        hint=start,
        weight_at_most=weight,
    )
    return _polished(instance, start, solve(instance, task))


def _polished(instance: Instance, start: Draft | None, outcome: Outcome) -> Solved:
    """Give the better of two plans exact times and close its single moves."""
    plans = [] if start is None else [start]
    if outcome.draft is not None:
        plans.append(_exact(instance, outcome.draft))
    best = min(plans, key=lambda plan: value(instance, plan))
    plan = moves.closed(instance, best)
    money = drafts.objective(instance, plan.options)
    bound = min(outcome.bound, money)
    proven = outcome.verdict is Verdict.OPTIMAL and bound == money
    return Solved(instance=instance, plan=plan, bound=bound, proven=proven)


def _exact(instance: Instance, found: Draft) -> Draft:
    """Return a plan with each start as early as it can be; the solver's own if none is."""
    return drafts.timed(instance, found.options, found.starts) or found


def _shown(solved: Solved, request: PlanRequest) -> Placement:
    instance, plan = solved.instance, solved.plan
    seen: dict[int, Outlook] = {
        number: outlook(instance, plan, line, request.seed)
        for number, line in enumerate(instance.lines)
    }
    shown = {
        job.key: assignment(instance, plan, job, seen[job.line])
        for job in instance.jobs
        if job.index in plan.options
    }
    explanations = explained(instance, plan, shown)
    by_key = {f"{e.pipeline}/{e.task}": e for e in explanations}
    money = drafts.objective(instance, plan.options)
    return Placement(
        assignments=(*request.fixed, *shown.values()),
        unplaced=tuple(
            unplaced(job, by_key[job.key]) for job in instance.jobs if job.index not in plan.options
        ),
        explanations=explanations,
        sharing=sharing(instance, plan),
        promises=tuple(
            promise(instance, plan, line, seen[number])
            for number, line in enumerate(instance.lines)
        ),
        objective_micro_dollars=MicroDollars(money),
        bound_micro_dollars=MicroDollars(solved.bound),
        gap=(money - solved.bound) / money if money > 0 else 0.0,
        optimal=solved.proven,
    )
