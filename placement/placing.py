"""From a problem to all that is told of its plan: search, account, and why not otherwise."""

from __future__ import annotations

from engine.model.identifiers import MicroDollars
from engine.model.plans import Mode, Placement, PlacementProblem, PlanRequest
from engine.ports import Watch
from placement.account.assignments import assignment
from placement.account.clashes import infeasible, unkept
from placement.account.explanations import explained, unplaced
from placement.account.promises import promise
from placement.account.sharing import sharing
from placement.problem.checks import check
from placement.search.draft import EMPTY
from placement.search.greedy import value
from placement.settling import Settled, settled
from placement.watching import NOBODY, Lookout


def placed(problem: PlacementProblem, watch: Watch | None) -> Placement:
    """Return the best placement found within the work limit, with its bound.

    Raises:
        InvalidInputError: when the problem cannot be planned at all.
        InfeasibleError: in `LEAST_COST` mode when no plan keeps every wish.
    """
    check(problem)
    found = settled(problem, NOBODY if watch is None else Lookout(watch))
    if problem.request.mode is Mode.LEAST_COST:
        if found.plan is None:
            raise infeasible(problem, proven=found.proven)
        if found.unkept:
            raise unkept(found.instance, found.outlooks, found.unkept)
    return shown(found, problem.request)


def shown(found: Settled, request: PlanRequest) -> Placement:
    """Return everything that is told of a search: where tasks stand, why, and how good it is."""
    plan = EMPTY if found.plan is None else found.plan
    instance, seen = found.instance, found.outlooks
    shown = {
        job.key: assignment(instance, plan, job, seen[job.line])
        for job in instance.jobs
        if job.index in plan.options
    }
    explanations = explained(instance, plan, shown, request.seed)
    by_key = {f"{e.pipeline}/{e.task}": e for e in explanations}
    money = value(instance, plan)[1]
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
        bound_micro_dollars=MicroDollars(found.bound),
        gap=(money - found.bound) / money if money > 0 else 0.0,
        optimal=found.proven,
        notes=found.troubles,
    )
