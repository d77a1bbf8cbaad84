"""What makes a problem unfit to be planned at all, told before anything is built from it.

Documents are checked where they are read; problems also come from callers in Python, and profiles
from forecasters.
"""

from __future__ import annotations

import difflib
import graphlib
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set

from engine.model.errors import Fault, InvalidInputError
from engine.model.plans import PlacementProblem, PlanRequest, task_key
from engine.model.profiles import Profile
from engine.model.specs import PipelineSpec
from placement.problem import bonds, magnitudes, numbers

TASK_LIMIT = 100_000
"""Most tasks of one request; more would take minutes before the first plan."""

BOND_LIMIT = 500_000
"""Most pairs of tasks that affinities may name: labels that all carry name all pairs."""


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
    faults += numbers.faults(request)
    for pipeline in request.pipelines:
        faults += [*_waits(pipeline), *_empty(pipeline)]
        for task in pipeline.tasks:
            faults.extend(_of_profile(problem.profiles, task_key(pipeline.name, task.name)))
    if not faults:
        faults.extend(magnitudes.faults(problem))
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


def _waits(pipeline: PipelineSpec) -> Iterator[Fault]:
    """Yield names under `after` of tasks that are not there."""
    names = {task.name for task in pipeline.tasks}
    for task in pipeline.tasks:
        for name in task.after:
            if name not in names:
                message = f"{task.name!r} waits for {name!r}, no task of {pipeline.name!r}"
                near = tuple(difflib.get_close_matches(name, sorted(names - {task.name})))
                path = f"{pipeline.name}.tasks.{task.name}.after"
                fix = f"name {near[0]!r}" if near else f"add a task {name!r}"
                yield Fault(code="S010", message=message, path=path, candidates=near, fix=fix)


def _empty(pipeline: PipelineSpec) -> Iterator[Fault]:
    if not pipeline.tasks:
        message = f"{pipeline.name!r} has no tasks"
        path = f"{pipeline.name}.tasks"
        yield Fault(code="S003", message=message, path=path, fix="add a task, or leave it out")


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
    names = {str(task.name) for task in pipeline.tasks}
    waits = {str(task.name): [n for n in task.after if n in names] for task in pipeline.tasks}
    try:
        graphlib.TopologicalSorter(waits).prepare()
    except graphlib.CycleError as error:
        circle: list[str] = error.args[1]
        return circle[1:]  # its first task comes again at its end
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
    answer = profile.service_ms_p99
    if answer is not None and not (math.isfinite(answer) and answer >= 0):
        message = f"an answer of {key!r} takes {answer!r} ms"
        fix = "forecast the task again from runs with measured values"
        yield Fault(code="S007", message=message, path=f"{key}.service_ms_p99", fix=fix)
    if not (math.isfinite(profile.slot_seconds) and profile.slot_seconds > 0):
        message = f"the slots of {key!r} last {profile.slot_seconds!r} s"
        yield Fault(code="S007", message=message, path=f"{key}.slot_seconds", fix="900 s is usual")
