"""Why no plan keeps every wish: the smallest set of wishes that clash, and what would end it.

A deletion filter: wishes are given up one after the other, and those without which there still is
no plan stay given up. What is left clashes, and nothing of it can be spared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from engine.model.errors import MACHINE_WISH, Clash, InfeasibleError
from engine.model.plans import Limit, PlacementProblem, Refusal
from placement.account.promises import Outlook
from placement.account.relaxations import duration_text, feasible, relaxation
from placement.account.wishes import Wish, WishKind, named, wishes, without
from placement.problem.building import Terms, build
from placement.problem.instance import MILLISECONDS, Instance, Job
from placement.problem.limits import shortage

_ORDER = list(Limit)


def infeasible(problem: PlacementProblem, *, proven: bool) -> InfeasibleError:
    """Return the error that says why a problem has no plan that keeps every wish.

    proven: whether the search showed that there is none, or gave up.
    """
    homeless = _homeless(problem, wishes(problem))
    if homeless:
        found = [_machine(job) for job in homeless]
        # Each of them has to change: one relaxation alone would not do.
        fix = "; ".join(clash.relaxation for clash in found)
    else:
        problem = _narrowed(problem)
        core = smallest(problem, wishes(problem))
        found = [Clash(wish=named(problem, w), relaxation=_relaxed(problem, core, w)) for w in core]
        fix = found[0].relaxation if found else "raise the work limit"
    names = "; ".join(clash.wish for clash in found) or "all wishes"
    if proven:
        return InfeasibleError(_heading(found) + names, clashes=found, fix=fix)
    message = f"these wishes were not brought together within the work limit: {names}"
    return InfeasibleError(message, clashes=found, fix=fix)


def unkept(
    instance: Instance, outlooks: Mapping[int, Outlook], numbers: Sequence[int]
) -> InfeasibleError:
    """Return the error for pipelines whose plan keeps the deadline too seldom, by sampling."""
    found: list[Clash] = []
    for number in numbers:
        line, seen = instance.lines[number], outlooks[number]
        late = seen.end_at_keep - (line.deadline_ms or 0) / MILLISECONDS
        name, keep = line.spec.name, int((seen.keep or 0.0) * 1_000) / 1_000
        found.append(
            Clash(
                wish=f"keep {line.spec.sla.keep:g} of {name}", relaxation=f"keep {keep:g} at most"
            )
        )
        found.append(
            Clash(
                wish=f"the deadline of {name}",
                relaxation=f"a deadline {duration_text(max(late, 1.0))} later",
            )
        )
    names = "; ".join(clash.wish for clash in found)
    return InfeasibleError(_heading(found) + names, clashes=found, fix=found[0].relaxation)


def _heading(found: Sequence[Clash]) -> str:
    return (
        "this wish cannot be kept: " if len(found) == 1 else "these wishes cannot hold together: "
    )


def smallest(problem: PlacementProblem, every: Sequence[Wish]) -> list[Wish]:
    """Return a set of wishes that clash and of which none can be spared."""
    groups: dict[str, list[Wish]] = {}
    for wish in every:
        groups.setdefault(wish.pipeline, []).append(wish)
    core = list(every)
    # Whole pipelines first: most have nothing to do with it.
    for unit in [*groups.values(), *([wish] for wish in every)]:
        trial = [wish for wish in core if wish not in unit]
        if len(trial) < len(core) and not _possible(problem, every, trial):
            core = trial
    return core


def _possible(problem: PlacementProblem, every: Sequence[Wish], kept: Sequence[Wish]) -> bool:
    given_up = [wish for wish in every if wish not in kept]
    return feasible(without(problem, given_up)) is not None


def _homeless(problem: PlacementProblem, every: Sequence[Wish]) -> list[Job]:
    """Return the jobs no machine can run whatever is given up, as they are on today's fleet."""
    ample = build(without(problem, every), Terms())
    keys = {job.key for job in ample.jobs if not job.options}
    today = [wish for wish in every if wish.kind is not WishKind.CAPACITY]
    jobs = build(without(problem, today), Terms()).jobs
    return [job for job in jobs if job.key in keys]


def _narrowed(problem: PlacementProblem) -> PlacementProblem:
    """Return the problem of one pipeline that has no plan even alone, if there is such a one."""
    for pipeline in problem.request.pipelines:
        alone = replace(problem, request=replace(problem.request, pipelines=(pipeline,)))
        if len(problem.request.pipelines) > 1 and feasible(alone) is None:
            return alone
    return problem


def _relaxed(problem: PlacementProblem, core: Sequence[Wish], wish: Wish) -> str:
    """Return the cheapest change of one wish; with other clashes about, as if those were ended."""
    every = wishes(problem)
    others = [other for other in every if other not in core]
    held = problem if _possible(problem, every, [w for w in every if w != wish]) else None
    return relaxation(without(problem, others) if held is None else held, wish)


def _machine(job: Job) -> Clash:
    """Return what no machine of the fleet has for a task."""
    wish = f"{MACHINE_WISH}{job.key}"
    if not job.refusals:
        return Clash(wish=wish, relaxation="a fleet with clusters")
    # The candidate that lacks fewest things, then the one that passed most limits before the
    # first of them, then the one that lacks least: all that it lacks has to change.
    # A pool without nodes lacks everything: no task is small enough for it.
    stocked = [found for found in job.refusals.values() if not _has_no_node(found)]
    if not stocked:
        return Clash(wish=f"{wish}: no pool has a node", relaxation="a pool with nodes")
    nearest = min(
        stocked, key=lambda found: (len(found), -_ORDER.index(found[0].limit), shortage(found[0]))
    )
    lacks = " and ".join(_told(refusal, refusal.needs) for refusal in nearest)
    return Clash(wish=f"{wish}: {lacks}", relaxation=" and ".join(map(_lifted, nearest)))


def _has_no_node(found: Sequence[Refusal]) -> bool:
    """Whether a pool of a known shape has nothing at all, by the limits that it breaks."""
    nodes = (r.limit is Limit.MEMORY or r.unit == "nodes" for r in found if r.has == 0.0)
    return any(nodes) and all(r.limit is not Limit.UNKNOWN_SHAPE for r in found)


def _lifted(refusal: Refusal) -> str:
    """Return what a task or its pool would have to be for a limit not to bind."""
    if refusal.limit in {Limit.UNREACHABLE, Limit.TAINT, Limit.UNKNOWN_SHAPE}:
        return str(refusal.needs)
    text = _told(refusal, refusal.has)
    return text if isinstance(refusal.has, str) else f"{text} at most"


def _told(refusal: Refusal, value: float | str) -> str:
    unit = f" {refusal.unit}" if refusal.unit else ""
    number = value if isinstance(value, str) else f"{value:g}"
    return f"{refusal.limit.value} {number}{unit}"
