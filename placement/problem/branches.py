"""Which tasks of a pipeline may run together, and how likely each is to run at all.

`when` conditions that compare one output for equality (`compare.best == "knn"`) split a run into
worlds. The values named for an output are taken as all it can have and as equally likely; any
other condition is an output of its own, true in half of the worlds. More than `WORLD_LIMIT`
worlds are sampled.
"""

from __future__ import annotations

import heapq
import itertools
import random
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from engine.model.specs import Join, PipelineSpec, TaskSpec

WORLD_LIMIT = 512

_LITERAL = r"\"[^\"]*\"|'[^']*'|-?\d+(?:\.\d+)?|true|false"
_EQUAL = re.compile(rf"\s*([A-Za-z_]\w*\.\w+)\s*==\s*({_LITERAL})\s*")
_REVERSED = re.compile(rf"\s*({_LITERAL})\s*==\s*([A-Za-z_]\w*\.\w+)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Branches:
    """The worlds of a pipeline: by task, whether it runs in each of the equally likely worlds."""

    runs: Mapping[str, tuple[bool, ...]]

    def probability(self, task: str) -> float:
        """Return the share of worlds in which the task runs."""
        worlds = self.runs[task]
        return sum(worlds) / len(worlds)

    def exclusive(self, first: str, second: str) -> bool:
        """Whether no world runs both tasks."""
        return not any(a and b for a, b in zip(self.runs[first], self.runs[second], strict=True))

    def seats(self, tasks: Sequence[str]) -> Mapping[str, int]:
        """Give tasks of which no two ever run together the same number; -1 to all others."""
        seats: list[list[str]] = []
        for task in tasks:
            if self.probability(task) == 1.0:
                continue
            for members in seats:
                if all(self.exclusive(task, member) for member in members):
                    members.append(task)
                    break
            else:
                seats.append([task])
        shared = [members for members in seats if len(members) > 1]
        return {task: _position(task, shared) for task in tasks}


def branches_of(pipeline: PipelineSpec) -> Branches:
    """Return the worlds of a pipeline, from its tasks in the order of their dependencies."""
    conditions: dict[str, tuple[str, str] | None] = {
        task.name: _condition(task) for task in pipeline.tasks
    }
    values: dict[str, list[str]] = {}
    for output, value in filter(None, conditions.values()):
        if value not in values.setdefault(output, []):
            values[output].append(value)
    outputs = sorted(values)
    worlds = [
        dict(zip(outputs, chosen, strict=True))
        for chosen in _combinations([_outcomes(values[output]) for output in outputs])
    ]
    runs = [_runs(pipeline, conditions, world) for world in worlds]
    return Branches(runs={t.name: tuple(run[t.name] for run in runs) for t in pipeline.tasks})


def in_order(tasks: Sequence[TaskSpec]) -> list[TaskSpec]:
    """Return tasks so that each stands after its upstream tasks, else as they were written."""
    place = {task.name: index for index, task in enumerate(tasks)}
    waits = [{place[name] for name in task.after if name in place} for task in tasks]
    followers = _followers(waits)
    ready = [index for index, before in enumerate(waits) if not before]
    ordered: list[TaskSpec] = []
    while ready:
        index = heapq.heappop(ready)
        ordered.append(tasks[index])
        for follower in followers[index]:
            waits[follower].remove(index)
            if not waits[follower]:
                heapq.heappush(ready, follower)
    if len(ordered) < len(tasks):
        stuck = [task.name for task, before in zip(tasks, waits, strict=True) if before]
        raise ValueError(f"the tasks {stuck!r} wait for each other")
    return ordered


def _followers(waits: Sequence[Set[int]]) -> list[list[int]]:
    """Return the tasks that wait for each task, from those that each waits for."""
    followers: list[list[int]] = [[] for _ in waits]
    for index, before in enumerate(waits):
        for upstream in before:
            followers[upstream].append(index)
    return followers


def _condition(task: TaskSpec) -> tuple[str, str] | None:
    """Return the output a task's `when` compares and the value it must have."""
    if task.when is None:
        return None
    if match := _EQUAL.fullmatch(task.when):
        return match.group(1), match.group(2).strip("\"'")
    if match := _REVERSED.fullmatch(task.when):
        return match.group(2), match.group(1).strip("\"'")
    return f"when {task.when}", "true"


def _outcomes(values: Sequence[str]) -> list[str]:
    """Return the values an output may have; one that is named alone has an opposite."""
    return [*values, "\0otherwise"] if len(values) == 1 else list(values)


def _combinations(outcomes: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    count = 1
    for values in outcomes:
        count *= len(values)
    if count <= WORLD_LIMIT:
        return list(itertools.product(*outcomes))
    # Always the same seed: branches belong to the pipeline, not to one plan of it.
    chance = random.Random(0)  # noqa: S311 - sampling, nothing secret
    return [tuple(chance.choice(values) for values in outcomes) for _ in range(WORLD_LIMIT)]


def _runs(
    pipeline: PipelineSpec,
    conditions: Mapping[str, tuple[str, str] | None],
    world: Mapping[str, str],
) -> dict[str, bool]:
    runs: dict[str, bool] = {}
    for task in in_order(pipeline.tasks):
        upstream = [runs[name] for name in task.after if name in runs]
        joined = any(upstream) if task.join is Join.ANY and upstream else all(upstream)
        # However those before it end, it runs: the plan reserves for it.
        joined = joined or task.join is Join.DONE
        condition = conditions[task.name]
        runs[task.name] = joined and (condition is None or world[condition[0]] == condition[1])
    return runs


def _position(task: str, seats: Sequence[Sequence[str]]) -> int:
    return next((index for index, members in enumerate(seats) if task in members), -1)
