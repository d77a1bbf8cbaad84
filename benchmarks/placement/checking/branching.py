"""Which tasks of a pipeline run together, for `when` conditions that compare one output."""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from engine.model.specs import Join, PipelineSpec

_CONDITION = re.compile(r"(\w+\.\w+) == \"(\w+)\"")


@dataclass(frozen=True, slots=True)
class Branches:
    """By task, in which of the equally likely worlds it runs."""

    runs: Mapping[str, tuple[bool, ...]]

    def probability(self, task: str) -> float:
        """Returns how likely a task is to run."""
        worlds = self.runs[task]
        return sum(worlds) / len(worlds)

    def shared(self, task: str) -> frozenset[str]:
        """Returns the tasks of which no run has two, this one among them; empty for none.

        Enough for pipelines with one fork: of the tasks that may not run, each excludes the others.
        """
        if all(self.runs[task]):
            return frozenset()
        found = frozenset(t for t, worlds in self.runs.items() if not all(worlds))
        return found if len(found) > 1 else frozenset()


def of(pipeline: PipelineSpec) -> Branches:
    """Returns the worlds of a pipeline whose tasks stand in order."""
    conditions = {
        task.name: match.groups()
        for task in pipeline.tasks
        if task.when and (match := _CONDITION.fullmatch(task.when))
    }
    values: dict[str, list[str]] = {}
    for output, value in conditions.values():
        values.setdefault(output, [])
        if value not in values[output]:
            values[output].append(value)
    outputs = sorted(values)
    choices = [[*values[o], *([""] if len(values[o]) == 1 else [])] for o in outputs]
    worlds = [dict(zip(outputs, chosen, strict=True)) for chosen in itertools.product(*choices)]
    found: dict[str, list[bool]] = {task.name: [] for task in pipeline.tasks}
    for world in worlds:
        runs: dict[str, bool] = {}
        for task in pipeline.tasks:
            before = [runs[name] for name in task.after]
            joined = any(before) if task.join is Join.ANY and before else all(before)
            output, value = conditions.get(task.name, ("", ""))
            runs[task.name] = joined and (not output or world[output] == value)
            found[task.name].append(runs[task.name])
    return Branches({name: tuple(worlds) for name, worlds in found.items()})
