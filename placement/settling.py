"""Settling the terms of a plan: lambda of each pool, and the level each pipeline is planned at.

A first search takes every task at its high need and every run at the quantile its pipeline asks
for. Where pools run short, a second search lets tasks share what is left to chance. Where the
sampled probability of keeping a deadline falls short of what was asked, the pipeline is planned at
a higher level. Where tasks find no place in time, their pipelines are planned to end later, as long
as the sampled probability is what was asked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial

from engine.model.plans import Mode, PlacementProblem
from engine.model.specs import Sla
from placement.account.promises import Outlook, outlook
from placement.problem.building import Terms, build
from placement.problem.instance import COUNTED, Instance
from placement.problem.needs import HARD_LEVEL, OVERFLOW
from placement.search import multiplexing
from placement.search.draft import Draft
from placement.search.greedy import value
from placement.search.solving import Effort, Found, never, search, unheard
from placement.unhindered import slack_ms
from placement.watching import NOBODY, Lookout

SHARING_ROUNDS = 3
TRIALS = 4
"""How often a plan is looked for under other terms at most: at higher levels, and with later ends
in what those leave, the last one at least."""

TRIALS_SHARE = 0.4
"""Share of the work that is kept for those."""

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
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """A problem with who looks on while it is searched."""

    problem: PlacementProblem
    lookout: Lookout


def settled(problem: PlacementProblem, lookout: Lookout = NOBODY) -> Settled:
    """Return the best plan found over the terms that are tried.

    lookout: told of every better plan; it may end the search early.
    """
    limit = problem.request.work_limit
    task = _Task(problem=problem, lookout=lookout)
    if not _is_uncertain(problem):
        return _shared(task, Terms(), limit)
    best = _shared(task, Terms(), limit * (1.0 - TRIALS_SHARE))
    trial_limit, trials = limit * TRIALS_SHARE / TRIALS, TRIALS
    while trials > 1 and best.short and not lookout.wants_end():
        trials -= 1
        raised = _shared(task, _raised(best), trial_limit)
        if not _better(raised, best):
            break
        best = raised
    return _slackened(task, best, trials, trial_limit)


def _slackened(task: _Task, best: Settled, trials: int, limit: float) -> Settled:
    """Search with later ends for pipelines that find no place in time; keep what is better."""
    slacks = _slacks(task.problem, best)
    if not slacks:
        return best
    for number in range(trials):
        if task.lookout.wants_end():
            return best
        trial = _shared(task, replace(best.terms, slacks_ms=slacks), limit)
        if trial.plan is None and number == 0:
            # Not even the latest ends are enough.
            return replace(best, proven=best.proven and trial.proven)
        if trial.plan is None:
            break
        short = {trial.instance.lines[line].spec.name for line in trial.unkept}
        if short.isdisjoint(slacks) and len(trial.unkept) <= len(best.unkept):
            return trial if _saves(trial, best) else best
        slacks = {name: ms // 2 if name in short else ms for name, ms in slacks.items()}
    # More may be in reach than was found.
    return replace(best, proven=False)


def _slacks(problem: PlacementProblem, best: Settled) -> dict[str, int]:
    """Return by how much later pipelines with a task left out may end, where that is anything."""
    placed: Collection[int] = () if best.plan is None else best.plan.options
    lines = (
        line
        for line in best.instance.lines
        if line.spec.sla.has_hard_deadline and any(job not in placed for job in line.jobs)
    )
    seed = problem.request.seed
    found = {line.spec.name: slack_ms(best.instance, line, seed) for line in lines}
    return {name: slack for name, slack in found.items() if slack > 0}


def _is_uncertain(problem: PlacementProblem) -> bool:
    """Whether any run may take longer than its median, so that levels matter."""
    spans = (profile.duration_seconds for profile in problem.profiles.values())
    return any(span is not None and span.p99 > span.p50 for span in spans)


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


def _shared(task: _Task, terms: Terms, limit: float) -> Settled:
    """Search at lambda 1, and with shared chance where that leaves something to gain."""
    problem = task.problem
    alone = build(problem, terms)
    chance = multiplexing.leaves_to_chance(alone)
    found = _searched(task, alone, limit / 2 if chance else limit)
    task.lookout.found(alone, found.plan, found.bound)
    best = _seen(problem, alone, terms, found)
    if not chance or task.lookout.wants_end():
        return best
    if found.plan is not None and value(alone, found.plan) == value(alone, found.wanted):
        return best  # nobody was crowded out, so there is nothing to share
    shares = multiplexing.shares(alone, found.wanted, problem.request.seed)
    return _sharing(task, best, shares, limit / 2)


def _sharing(
    task: _Task, best: Settled, shares: Mapping[int, tuple[float, ...]], limit: float
) -> Settled:
    """Search with lambdas by pool until no pool overflows too often; keep what is better."""
    problem, seed = task.problem, task.problem.request.seed
    for _ in range(SHARING_ROUNDS):
        if all(share == 1.0 for pool in shares.values() for share in pool):
            break
        trial = replace(best.terms, shares=shares)
        instance = build(problem, trial)
        other = _searched(task, instance, limit / SHARING_ROUNDS)
        if other.plan is None or task.lookout.wants_end():
            break
        risks = multiplexing.overflow(instance, other.plan, seed)
        over = [pool for pool, risk in risks.items() if risk > OVERFLOW]
        if not over:
            task.lookout.found(instance, other.plan, other.bound)
            tried = _seen(problem, instance, trial, other)
            return tried if _saves(tried, best) else best
        # Half of the way to what is safe, for the pools whose mix came out riskier.
        halves = {pool: tuple((1.0 + s) / 2 for s in shares.get(pool, _SAFE)) for pool in over}
        shares = {**shares, **halves}
    return best


def _saves(tried: Settled, best: Settled) -> bool:
    if best.plan is None or tried.plan is None:
        return best.plan is None
    return value(tried.instance, tried.plan) < value(best.instance, best.plan)


def _searched(task: _Task, instance: Instance, limit: float) -> Found:
    request = task.problem.request
    effort = Effort(
        all_placed=request.mode is Mode.LEAST_COST,
        seed=request.seed,
        work_limit=limit,
        stopped=task.lookout.wants_end if task.lookout.is_watched else never,
        found=partial(task.lookout.found, instance) if task.lookout.is_watched else unheard,
    )
    return search(instance, effort)


def _asks_more(sla: Sla, keep: float) -> bool:
    """Whether a deadline must be kept with a higher probability than it is."""
    return sla.has_hard_deadline and keep < sla.keep


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
        if seen.keep is not None and _asks_more(instance.lines[number].spec.sla, seen.keep)
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
        troubles=found.troubles,
    )
