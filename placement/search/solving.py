"""From an instance to its best plan found, with a bound: the recipe of the search.

Greedy first, so that there is always a plan. Then each pipeline alone, which bounds every plan
and often is the answer. Then CP-SAT on the whole problem where it is small; else pipelines are
taken out and put back, and CP-SAT solves neighbourhoods of a few pipelines at a time. Last, every
single move that helps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from placement.problem.instance import Instance
from placement.search import classing, moves, neighbourhoods, ruin
from placement.search import draft as drafts
from placement.search.chains import Chains
from placement.search.classing import Classed
from placement.search.draft import Draft
from placement.search.greedy import greedy, urgency, value
from placement.search.orders import Goal, Outcome, Task, Told, Verdict, everything
from placement.search.recreate import inserted, kept, mended
from placement.search.relaxation import Relaxed, money_bound, relaxed
from placement.search.solver import solve

WHOLE_OPTIONS = 1_200
"""Up to so many options CP-SAT is given the whole problem; above, presolve alone takes longer than
solving a dozen neighbourhoods."""

COLD_OPTIONS = 20_000
"""Up to so many options CP-SAT looks for a plan of all jobs when nothing else found one."""

RELAXED_WORK = 1.0
RELAXED_SHARE = 0.25
RUIN_SHARE = 0.7
LEAST_RUIN_SHARE = 0.2
"""Shares of the work for pipelines alone at most, and of what is left for taking out and putting
back; the rest is for neighbourhoods. Where tasks do not simply follow one another they are put
back one by one, and CP-SAT is the better of the two: then the least share counts."""


def never() -> bool:
    """Never stop before the work is used up."""
    return False


def unheard(plan: Draft, bound: int) -> None:
    """Tell nobody of a plan."""
    del plan, bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How a search is run: whether every job must have a place, its seed and its work.

    stopped: asked between steps; once it says yes the best plan so far is the answer.
    found: told of plans on the way, with the least money of any plan with no more weight left out.
    """

    all_placed: bool
    seed: int
    work_limit: float
    stopped: Callable[[], bool] = never
    found: Callable[[Draft, int], None] = unheard

    @property
    def is_watched(self) -> bool:
        """Whether anybody wants to know, or may end the search."""
        return self.found is not unheard or self.stopped is not never

    def task(
        self, goal: Goal, work: float, *, hint: Draft | None = None, told: Told | None = None
    ) -> Task:
        """Return the order for one solve."""
        return Task(
            goal=goal,
            all_placed=self.all_placed,
            seed=self.seed,
            work_limit=min(work, self.work_limit),
            hint=hint,
            told=told,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search ends with.

    plan: None only when every job must have a place and no such plan was found.
    bound: the least money of any plan with no more unplaced weight. proven: there is no better
        plan; without a plan: there is none. wanted: what every pipeline would do alone.
    troubles: why solves failed, each reason once.
    """

    plan: Draft | None
    bound: int
    proven: bool
    wanted: Draft
    troubles: tuple[str, ...] = ()


def search(instance: Instance, effort: Effort) -> Found:
    """Return the best plan found within the work limit, or by the time it is stopped."""
    chains = Chains(instance)
    first = _first(instance, effort, chains)
    alone = relaxed(
        instance,
        lambda goal: effort.task(goal, RELAXED_WORK),
        RELAXED_SHARE * effort.work_limit,
        chains,
    )
    if effort.all_placed and alone.impossible is not None:
        return _none(alone, proven=True)
    plan = _start(instance, alone, first)
    tell = partial(_tell, instance, alone, effort)
    tell(plan)
    if value(instance, plan) == (alone.weight, alone.money):
        return Found(plan=plan, bound=alone.money, proven=True, wanted=alone.draft)
    # What the relaxation took comes out of the same limit, but never all of it.
    left = max(effort.work_limit - alone.work, effort.work_limit / 2)
    if sum(len(job.options) for job in instance.jobs) <= WHOLE_OPTIONS:
        return _whole(instance, alone, effort, plan, left)
    classes = _by_classes(instance, effort, alone, plan)
    plan = classes.plan
    tell(plan)
    share = LEAST_RUIN_SHARE + chains.share * (RUIN_SHARE - LEAST_RUIN_SHARE)
    plan = ruin.improved(instance, plan, alone.draft, _ruin(effort, alone, share * left))
    tell(plan)
    found = neighbourhoods.improved(
        instance, alone, _open(effort, instance, plan, chains, tell), plan, (1.0 - share) * left
    )
    plan, troubles = found.plan, (*alone.troubles, *classes.troubles, *found.troubles)
    if effort.all_placed and not _all(instance, plan):
        return _cold(instance, alone, effort, left)
    plan = moves.closed(instance, plan)
    return _bounded(instance, alone, effort, plan, bound=0, troubles=troubles, classes=classes)


def _first(instance: Instance, effort: Effort, chains: Chains) -> Draft | None:
    """Return a plan of a large problem at once, before anything is known of what is best."""
    if len(instance.jobs) < classing.LEAST_JOBS:
        return None
    lines = range(len(instance.lines))
    plan = inserted(instance, sorted(lines, key=partial(urgency, instance)), chains)
    if not effort.all_placed or _all(instance, plan):
        effort.found(plan, 0)
    return plan


def _by_classes(instance: Instance, effort: Effort, alone: Relaxed, plan: Draft) -> Classed:
    """Plan a large problem by classes of jobs; return the better plan, with the bound."""
    if len(instance.jobs) < classing.LEAST_JOBS or effort.stopped():
        return Classed(plan=plan)
    found = classing.classed(instance, effort.seed, alone.chains)
    better = min(plan, found.plan, key=lambda p: value(instance, p))
    return replace(found, plan=better)


def _ruin(effort: Effort, alone: Relaxed, work: float) -> ruin.Effort:
    return ruin.Effort(seed=effort.seed, work=work, stopped=effort.stopped, chains=alone.chains)


def _all(instance: Instance, plan: Draft) -> bool:
    return len(plan.options) == len(instance.jobs)


def _tell(instance: Instance, alone: Relaxed, effort: Effort, plan: Draft) -> None:
    """Tell of a plan that counts, with the bound of the pipelines alone where it applies."""
    if effort.all_placed and not _all(instance, plan):
        return
    weight = drafts.unplaced_weight(instance, plan.options)
    effort.found(plan, alone.money if weight == alone.weight else 0)


def _open(
    effort: Effort,
    instance: Instance,
    plan: Draft,
    chains: Chains,
    tell: Callable[[Draft], None],
) -> neighbourhoods.Effort:
    """Return how neighbourhoods are solved: as long as jobs lack a place they may."""
    return neighbourhoods.Effort(
        all_placed=effort.all_placed and _all(instance, plan),
        seed=effort.seed,
        stopped=effort.stopped,
        found=tell,
        chains=chains,
    )


def _none(alone: Relaxed, *, proven: bool, troubles: tuple[str, ...] = ()) -> Found:
    return Found(
        plan=None,
        bound=alone.money,
        proven=proven,
        wanted=alone.draft,
        troubles=tuple(dict.fromkeys((*alone.troubles, *troubles))),
    )


def _start(instance: Instance, alone: Relaxed, first: Draft | None) -> Draft:
    """Return the best of some quick plans: greedy, the pipelines' own, made to fit, and in turn.

    first: of a large problem; the pipelines' own is all that is tried beside it, and on a re-plan
        the last plan, mended where it has to be.
    """
    chains = alone.chains
    together = drafts.timed(instance, alone.draft.options, alone.draft.starts)
    if together is None or drafts.over_all(instance, together.options):
        together = mended(instance, alone.draft, chains)
    former = kept(instance, alone.draft, chains)
    plans = [] if former is None else [former]
    if first is not None:
        return min(*plans, first, together, key=lambda plan: value(instance, plan))
    plans += [greedy(instance), together]
    lines = range(len(instance.lines))
    orders = (partial(urgency, instance), partial(_arrival, instance))
    plans += [inserted(instance, sorted(lines, key=order), chains) for order in orders]
    return min(plans, key=lambda plan: value(instance, plan))


def _arrival(instance: Instance, number: int) -> tuple[int, int]:
    first = min((instance.jobs[i].release_ms for i in instance.lines[number].jobs), default=0)
    return first, number


def _whole(instance: Instance, alone: Relaxed, effort: Effort, plan: Draft, left: float) -> Found:
    """Give CP-SAT the whole problem."""
    may = not effort.all_placed or _all(instance, plan)
    hint = plan if may else None
    task = effort.task(Goal.BEST, left, hint=hint, told=_told(instance, alone, effort))
    outcome = solve(instance, task, everything(instance))
    troubles = (*alone.troubles, *([outcome.trouble] if outcome.trouble else []))
    plans = [plan, *_standing(instance, alone, outcome.draft)]
    if all(value(instance, p) > _claimed(instance, outcome) for p in plans):
        # What fits the pools in sum does not stand on their nodes, or there was no solver.
        work = RUIN_SHARE * left
        best = min(plans, key=lambda p: value(instance, p))
        plans.append(ruin.improved(instance, best, alone.draft, _ruin(effort, alone, work)))
    if effort.all_placed:
        plans = [p for p in plans if _all(instance, p)]
    if not plans:
        proven = outcome.verdict is Verdict.INFEASIBLE
        return _none(alone, proven=proven, troubles=troubles)
    best = moves.closed(instance, min(plans, key=lambda p: value(instance, p)))
    bound = _money(instance, best, outcome)
    return _bounded(instance, alone, effort, best, bound=bound, troubles=troubles)


def _told(instance: Instance, alone: Relaxed, effort: Effort) -> Told | None:
    """Return what hands on the solver's own plans, those that stand on nodes; None for nobody."""
    if not effort.is_watched:
        return None

    def told(found: Draft, bound: int, dear: int) -> bool:
        plan = drafts.timed(instance, found.options, found.starts)
        if plan is not None and not drafts.over_all(instance, plan.options):
            weight = drafts.unplaced_weight(instance, plan.options)
            known = alone.money if weight == alone.weight else 0
            effort.found(plan, max(bound - weight * dear, known, 0))
        return not effort.stopped()

    return told


def _claimed(instance: Instance, outcome: Outcome) -> tuple[int, int]:
    """Return the value of what the solver found; of nothing when it proved there is none."""
    if outcome.draft is not None:
        return value(instance, outcome.draft)
    nothing = outcome.verdict is Verdict.INFEASIBLE
    return (instance.end_ms * len(instance.jobs), 0) if nothing else (0, 0)


def _standing(instance: Instance, alone: Relaxed, found: Draft | None) -> Sequence[Draft]:
    """Return what the solver found with each start as early as it can be, on nodes."""
    if found is None:
        return ()
    together = drafts.timed(instance, found.options, found.starts)
    return (mended(instance, found, alone.chains) if together is None else together,)


def _cold(instance: Instance, alone: Relaxed, effort: Effort, left: float) -> Found:
    """Let CP-SAT look for a plan of all jobs when nothing else found one."""
    if sum(len(job.options) for job in instance.jobs) > COLD_OPTIONS or effort.stopped():
        return _none(alone, proven=False)
    task = effort.task(Goal.BEST, left, told=_told(instance, alone, effort))
    outcome = solve(instance, task, everything(instance))
    troubles = (outcome.trouble,) if outcome.trouble else ()
    plans = [plan for plan in _standing(instance, alone, outcome.draft) if _all(instance, plan)]
    if not plans:
        proven = outcome.verdict is Verdict.INFEASIBLE
        return _none(alone, proven=proven, troubles=troubles)
    best = moves.closed(instance, plans[0])
    return _bounded(instance, alone, effort, best, bound=0, troubles=troubles)


def _money(instance: Instance, plan: Draft, outcome: Outcome) -> int:
    """Return what a bound on weight and money says of the money of plans with this weight."""
    weight = drafts.unplaced_weight(instance, plan.options)
    return max(outcome.bound - weight * outcome.dear, 0)


def _bounded(
    instance: Instance,
    alone: Relaxed,
    effort: Effort,
    plan: Draft,
    *,
    bound: int,
    troubles: tuple[str, ...],
    classes: Classed | None = None,
) -> Found:
    """Return a plan with the best bound there is on the money of plans with its weight."""
    weight, money = value(instance, plan)
    settled = weight == alone.weight or bound >= money
    if bound < money and weight == alone.weight:
        bound = max(bound, alone.money)
    elif bound < money:
        bound = max(
            bound,
            money_bound(instance, lambda most: _weighed(effort, most), unplaced=weight),
        )
    if classes is not None:
        bound = max(bound, classes.bound(weight, effort.seed))
    return Found(
        plan=plan,
        bound=min(bound, money),
        proven=settled and bound >= money,
        wanted=alone.draft,
        troubles=tuple(dict.fromkeys(troubles)),
    )


def _weighed(effort: Effort, most: int) -> Task:
    return Task(
        goal=Goal.MONEY,
        all_placed=False,
        seed=effort.seed,
        work_limit=RELAXED_WORK,
        weight_at_most=most,
    )
