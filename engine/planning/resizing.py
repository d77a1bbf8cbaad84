"""A pipeline whose server holds what was recommended. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from engine.model.plans import Plan
from engine.model.specs import PipelineSpec, Scalar, TaskKind, TaskSpec, Wishes
from engine.planning.sizing import RESIZED_FIELDS

_UNITS = {name: resource.unit for resource, name in RESIZED_FIELDS.items()}


def resized(spec: PipelineSpec, amounts: Mapping[str, Scalar]) -> PipelineSpec:
    """Return a pipeline whose server insists on amounts, by the name of their wish."""
    tasks = tuple(
        replace(task, wishes=_wishes(task, amounts)) if task.kind is TaskKind.SERVE else task
        for task in spec.tasks
    )
    return replace(spec, tasks=tasks)


def in_words(amounts: Mapping[str, Scalar]) -> str:
    """Return amounts with their units."""
    return ", ".join(f"{value:.3g} {_UNITS[name]}" for name, value in sorted(amounts.items()))


def no_room(plan: Plan) -> str:
    """Return why a server has no place with its new size."""
    first = plan.placement.unplaced[0]
    return f"no cluster has room for {first.task!r} of the new size: {first.refusal.limit.value}"


def _wishes(task: TaskSpec, amounts: Mapping[str, Scalar]) -> Wishes:
    """Return the wishes of a task with amounts in place of what was forecast."""
    values = {name: float(value) for name, value in amounts.items() if name in _UNITS}
    return replace(
        task.wishes,
        cpu_cores=values.get("cpu_cores", task.wishes.cpu_cores),
        memory_gib=values.get("memory_gib", task.wishes.memory_gib),
    )
