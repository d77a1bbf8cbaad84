"""Settling the terms of a plan: lambda of each pool, and the level each pipeline is planned at.

A first search takes every task at its high need and every run at the quantile its pipeline asks
for. Where pools run short, a second search lets tasks share what is left to chance. Where the
sampled probability of keeping a deadline falls short of what was asked, the pipeline is planned at
a higher level.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.model.plans import Mode, PlacementProblem
from placement.account.promises import Outlook, outlook
from placement.problem.building import Terms, build
from placement.problem.instance import COUNTED, Instance
from placement.problem.needs import HARD_LEVEL, OVERFLOW
from placement.search import multiplexing
from placement.search.draft import Draft
from placement.search.greedy import value
from placement.search.solving import Effort, Found, search
from placement.watching import NOBODY, Lookout

SHARING_ROUNDS = 3
LEVEL_ROUNDS = 3
LEVEL_SHARE = 0.4
"""Share of the work that is kept for planning at higher levels."""

_SAFE = (1.0,) * len(COUNTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A search with the terms it was made under.

    instance, plan: None for a plan that was not found; outlooks: by line, of a plan.
    unkept: pipelines whose plan keeps the deadline with less than the probability asked;
        short: those of them that can be planned at a higher level.
    """

    instance: Instance
    terms: Terms
    plan: Draft | None
    bound: int
    proven: bool
    outlooks: Mapping[int, Outlook]
    unkept: tuple[int, ...]
    short: tuple[int, ...]


def settled(problem: PlacementProblem, lookout: Lookout = NOBODY) -> Settled:
    """Return the best plan found over the terms that are tried.

    lookout: told of every better plan; it may end the search early.
    """
    limit = problem.request.work_limit
    best = _shared(problem, Terms(), limit * (1.0 - LEVEL_SHARE), lookout)
    for _ in range(LEVEL_ROUNDS):
        if not best.short or lookout.wants_end():
            break
        raised = _shared(problem, _raised(best), limit * LEVEL_SHARE / LEVEL_ROUNDS, lookout)
        if not _better(raised, best):
            break
        best = raised
    return best


def _better(raised: Settled, best: Settled) -> bool:
    """Whether a plan at higher levels is worth having: it exists and places no less."""
    if raised.plan is None or best.plan is None:
        return False
    before, after = value(best.instance, best.plan)[0], value(raised.instance, raised.plan)[0]
    return after <= before and len(raised.short) <= len(best.short)


def _raised(best: Settled) -> Terms:
    levels = dict(best.terms.levels)
    for number in best.short:
        line = best.instance.lines[number]
        levels[line.spec.name] = min((1.0 + line.level) / 2, HARD_LEVEL)
    return replace(best.terms, levels=levels)


def _shared(problem: PlacementProblem, terms: Terms, limit: float, lookout: Lookout) -> Settled:
    """Search at lambda 1, and with shared chance where that leaves something to gain."""
    alone, found = _searched(problem, terms, limit / 2)
    lookout.found(alone, found.plan, found.bound)
    best = _seen(problem, alone, terms, found)
    if found.plan is not None and value(alone, found.plan) == value(alone, found.wanted):
        return best  # nobody was crowded out, so there is nothing to share
    seed = problem.request.seed
    shares = multiplexing.shares(alone, found.wanted, seed)
    for _ in range(SHARING_ROUNDS):
        if all(share == 1.0 for pool in shares.values() for share in pool) or lookout.wants_end():
            break
        trial = replace(terms, shares=shares)
        instance, other = _searched(problem, trial, limit / 2 / SHARING_ROUNDS)
        if other.plan is None:
            break
        risks = multiplexing.overflow(instance, other.plan, seed)
        over = [pool for pool, risk in risks.items() if risk > OVERFLOW]
        if not over:
            tried = _seen(problem, instance, trial, other)
            lookout.found(instance, other.plan, other.bound)
            return tried if _saves(tried, best) else best
        # Half of the way to what is safe, for the pools whose mix came out riskier.
        halves = {pool: tuple((1.0 + s) / 2 for s in shares.get(pool, _SAFE)) for pool in over}
        shares = {**shares, **halves}
    return best


def _saves(tried: Settled, best: Settled) -> bool:
    if best.plan is None or tried.plan is None:
        return best.plan is None
    return value(tried.instance, tried.plan) < value(best.instance, best.plan)


def _searched(problem: PlacementProblem, terms: Terms, limit: float) -> tuple[Instance, Found]:
    instance = build(problem, terms)
    request = problem.request
    effort = Effort(
        all_placed=request.mode is Mode.LEAST_COST,
        seed=request.seed,
        work_limit=limit,
    )
    return instance, search(instance, effort)


def _seen(problem: PlacementProblem, instance: Instance, terms: Terms, found: Found) -> Settled:
    plan = found.plan
    outlooks: dict[int, Outlook] = {}
    if plan is not None:
        seed = problem.request.seed
        outlooks = {
            number: outlook(instance, plan, line, seed)
            for number, line in enumerate(instance.lines)
        }
    unkept = tuple(
        number
        for number, seen in outlooks.items()
        if seen.keep is not None and seen.keep < instance.lines[number].spec.sla.keep
    )
    return Settled(
        instance=instance,
        terms=terms,
        plan=plan,
        bound=found.bound,
        proven=found.proven,
        outlooks=outlooks,
        unkept=unkept,
        short=tuple(number for number in unkept if instance.lines[number].level < HARD_LEVEL),
    )
