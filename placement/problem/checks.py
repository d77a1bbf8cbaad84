"""What makes a problem unfit to be planned at all, told before anything is built from it.

Documents are checked where they are read; problems also come from callers in Python, and profiles
from forecasters.
"""

from __future__ import annotations

import difflib
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set

from engine.model.errors import Fault, InvalidInputError
from engine.model.fleet import Fleet
from engine.model.plans import PlacementProblem, PlanRequest, task_key
from engine.model.profiles import Profile
from engine.model.specs import PipelineSpec
from placement.problem import bonds

TASK_LIMIT = 100_000
"""Most tasks of one request; more would take minutes before the first plan."""

MONEY_LIMIT = 2**60
"""Most micro-dollars that all tasks at their dearest may cost: sums stay within 64 bits."""

BOND_LIMIT = 500_000
"""Most pairs of tasks that affinities may name: labels that all carry name all pairs."""

HOUR_SECONDS = 3_600.0


def check(problem: PlacementProblem) -> None:
    """Refuse a problem that cannot be planned.

    Raises:
        InvalidInputError: with every fault, each with its value, its place and what to do.
    """
    request = problem.request
    count = sum(len(pipeline.tasks) for pipeline in request.pipelines)
    if count > TASK_LIMIT:
        message = f"{count} tasks were asked for in one plan; {TASK_LIMIT} are the most"
        raise InvalidInputError(
            "plan request",
            [Fault(code="S007", message=message, path="pipelines", fix="plan them in parts")],
        )
    faults = [*_twice(problem), *_circles(request.pipelines), *_affinities(request)]
    for pipeline in request.pipelines:
        for task in pipeline.tasks:
            faults.extend(_of_profile(problem.profiles, task_key(pipeline.name, task.name)))
    if not faults:
        faults.extend(_money(problem))
    if faults:
        raise InvalidInputError("plan request", faults)


def _twice(problem: PlacementProblem) -> Iterator[Fault]:
    """Yield names that stand twice where they must tell things apart."""
    pipelines, clusters = problem.request.pipelines, problem.request.fleet.clusters
    yield from _repeated("pipelines", "pipeline", (p.name for p in pipelines))
    yield from _repeated("clusters", "cluster", (c.name for c in clusters))
    for pipeline in pipelines:
        yield from _repeated(f"{pipeline.name}.tasks", "task", (t.name for t in pipeline.tasks))
    for cluster in clusters:
        yield from _repeated(f"{cluster.name}.pools", "pool", (p.name for p in cluster.pools))


def _repeated(path: str, what: str, names: Iterable[str]) -> Iterator[Fault]:
    for name, count in Counter(names).items():
        if count > 1:
            message = f"the {what} {name!r} is given {count} times"
            yield Fault(code="S008", message=message, path=path, fix=f"rename one {what}")


def _affinities(request: PlanRequest) -> Iterator[Fault]:
    """Yield names that affinities have wrong, and too many tasks that they hold together."""
    for pipeline in request.pipelines:
        names = {task.name for task in pipeline.tasks}
        for task in pipeline.tasks:
            path = f"{pipeline.name}.tasks.{task.name}"
            for key, affinities in (("beside", task.beside), ("apart from", task.apart_from)):
                named = [name for affinity in affinities for name in affinity.tasks]
                yield from _misnamed(named, names, task.name, key, path)
    if any(True for _ in itertools.islice(bonds.pairs(request), BOND_LIMIT, None)):
        message = f"affinities hold more than {BOND_LIMIT} pairs of tasks together or apart"
        fix = "choose labels that fewer tasks carry"
        yield Fault(code="S007", message=message, path="pipelines", fix=fix)


def _misnamed(
    named: Iterable[str], names: Set[str], own: str, key: str, path: str
) -> Iterator[Fault]:
    """Yield the names under one key of a task that are its own, or of no task."""
    for name in named:
        if name == own:
            message = f"{name!r} is to stand {key} itself"
            fix = "name another task"
            yield Fault(code="S022", message=message, path=f"{path}.{key}", fix=fix)
        elif name not in names:
            message = f"{own!r} is to stand {key} {name!r}, no task of its own"
            near = tuple(difflib.get_close_matches(name, sorted(names - {own})))
            fix = f"name {near[0]!r}" if near else f"add a task {name!r}"
            yield Fault(
                code="S010", message=message, path=f"{path}.{key}", candidates=near, fix=fix
            )


def _circles(pipelines: Iterable[PipelineSpec]) -> Iterator[Fault]:
    for pipeline in pipelines:
        names = _circle(pipeline)
        if not names:
            continue
        circle = " -> ".join(repr(name) for name in [*names, names[0]])
        yield Fault(
            code="S011",
            message=f"tasks of {pipeline.name!r} wait for one another: {circle}",
            path=f"{pipeline.name}.tasks.{names[0]}.after",
            fix=f"take {names[-1]!r} out of `after` of {names[0]!r}",
        )


def _circle(pipeline: PipelineSpec) -> list[str]:
    """Return tasks of a pipeline of which each waits for the one before it, the first for the last.

    Empty when there are none.
    """
    waits = {str(task.name): [str(name) for name in task.after] for task in pipeline.tasks}
    left = dict(waits)
    for _ in range(len(waits)):
        free = [name for name, after in left.items() if not any(a in left for a in after)]
        if not free:
            break
        for name in free:
            del left[name]
    if not left:
        return []
    # Everybody left waits for somebody left: going back along the waits must meet itself.
    trail = [next(iter(left))]
    for _ in range(len(left)):
        before = next(name for name in waits[trail[-1]] if name in left)
        if before in trail:
            return trail[trail.index(before) :][::-1]
        trail.append(before)
    return []


def _of_profile(profiles: Mapping[str, Profile], key: str) -> Iterator[Fault]:
    profile = profiles.get(key)
    if profile is None:
        yield Fault(code="S003", message=f"{key!r} has no profile", path=key, fix="forecast it")
        return
    slots = [(resource.value, q) for resource, of in profile.use.items() for q in of]
    if profile.duration_seconds is not None:
        slots.append(("duration", profile.duration_seconds))
    for name, quantiles in slots:
        if not all(math.isfinite(value) for value in quantiles.values):
            yield Fault(
                code="S007",
                message=f"the {name} of {key!r} is not finite: {quantiles.values!r}",
                path=f"{key}.{name}",
                fix="forecast the task again from runs with measured values",
            )
    if not (math.isfinite(profile.slot_seconds) and profile.slot_seconds > 0):
        message = f"the slots of {key!r} last {profile.slot_seconds!r} s"
        yield Fault(code="S007", message=message, path=f"{key}.slot_seconds", fix="900 s is usual")


def _money(problem: PlacementProblem) -> Iterator[Fault]:
    """Yield a fault when all tasks on the dearest nodes cost more than 64 bits hold."""
    dearest = max(_hourly(problem.request.fleet), default=0.0)
    hours = 0.0
    for profile in problem.profiles.values():
        nodes = max(profile.replicas, 1)
        span = profile.duration_seconds
        run = problem.request.horizon_hours if span is None else span.p99 / HOUR_SECONDS
        hours += run * nodes
    if dearest * hours > MONEY_LIMIT:
        yield Fault(
            code="S007",
            message=(
                f"the tasks may cost {dearest * hours:.3g} micro-dollars on the dearest nodes, "
                f"and {MONEY_LIMIT} are the most that is counted"
            ),
            path="profiles",
            fix="look for a run time or a price in the wrong unit",
        )


def _hourly(fleet: Fleet) -> Iterator[float]:
    """Yield what an hour of reference time costs on each pool."""
    for cluster in fleet.clusters:
        for pool in cluster.pools:
            slowest = min(pool.speed, pool.speed_of(1))
            yield pool.price_micro_dollars_per_hour / slowest if slowest > 0 else math.inf
