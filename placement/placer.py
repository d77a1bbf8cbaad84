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
from placement.search.draft import Draft
from placement.search.solving import Effort, search


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
    request = problem.request
    effort = Effort(
        all_placed=request.mode is Mode.LEAST_COST,
        seed=request.seed,
        work_limit=request.work_limit,
    )
    found = search(instance, effort)
    if found.plan is None:
        raise InfeasibleError("no plan keeps every wish")
    return Solved(instance=instance, plan=found.plan, bound=found.bound, proven=found.proven)


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
