"""What another plan would change: added, moved, changed, removed, with effects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from engine.model.identifiers import MicroDollars, PipelineName, PlanId, TaskName
from engine.model.plans import Assignment, Plan, task_key
from engine.model.resources import Resource

SHIFT_SECONDS = 60.0
"""Starts that move by less than this are the same start."""


class Change(StrEnum):
    """What becomes of a task."""

    ADDED = "added"
    MOVED = "moved"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field of an assignment as it is and as it would be; "" where there is none."""

    field: str
    now: str
    plan: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDiff:
    """What becomes of one task.

    cost_micro_dollars: change of the expected cost of a run; of an hour for a serve task.
    end_seconds: change of the P95 end, positive is later; None where there is no end.
    ends: whether it ends by itself; a task that serves does not.
    move_micro_dollars: price that a re-plan put on leaving the old place, in no cost.
    """

    change: Change
    pipeline: PipelineName
    task: TaskName
    fields: tuple[FieldChange, ...]
    cost_micro_dollars: MicroDollars
    end_seconds: float | None
    move_micro_dollars: MicroDollars
    ends: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDiff:
    """The difference between two plans, tasks in the order of the plans.

    run_cost_micro_dollars, serving_micro_dollars_per_hour: change of the promises' sums; what
        ended tasks cost is in neither, since it is paid.
    ended: tasks of the old plan that have ended and need no place any more.
    """

    old: PlanId | None
    new: PlanId
    tasks: tuple[TaskDiff, ...]
    unchanged: int
    ended: int
    run_cost_micro_dollars: MicroDollars
    serving_micro_dollars_per_hour: MicroDollars

    def count(self, change: Change) -> int:
        """Return how many tasks change in this way."""
        return sum(task.change is change for task in self.tasks)


def diff(old: Plan | None, new: Plan) -> PlanDiff:
    """Return what `new` changes against `old`; None stands for nothing being placed."""
    before = _placed(old)
    after = _placed(new)
    done = {task_key(p, task) for p, tasks in new.request.done.items() for task in tasks}
    unplaced = {
        task_key(item.pipeline, item.task): f"no place: {item.refusal.limit.value}"
        for item in new.placement.unplaced
    }
    prices = _prices_of_moves(new)
    kept = [_task(before.get(key), after[key], prices.get(key, 0)) for key in after]
    gone = [key for key in before if key not in after]
    removed = [
        _removed(before[key], unplaced.get(key, "no longer asked for"))
        for key in gone
        if key not in done
    ]
    spent = _run_costs(before[key] for key in gone if key in done)
    return PlanDiff(
        old=old.plan_id if old else None,
        new=new.plan_id,
        tasks=(*(task for task in kept if task is not None), *removed),
        unchanged=kept.count(None),
        ended=len(gone) - len(removed),
        run_cost_micro_dollars=MicroDollars(_run_cost(new) - _run_cost(old) + spent),
        serving_micro_dollars_per_hour=MicroDollars(_serving_cost(new) - _serving_cost(old)),
    )


def _run_costs(ended: Iterable[Assignment]) -> int:
    """Return what tasks that ended were to cost: paid whichever plan is in force, so not saved."""
    return sum(one.cost_micro_dollars for one in ended if one.end_seconds_p95 is not None)


def _placed(plan: Plan | None) -> dict[str, Assignment]:
    assignments = plan.placement.assignments if plan else ()
    return {task_key(item.pipeline, item.task): item for item in assignments}


def _prices_of_moves(plan: Plan) -> dict[str, int]:
    """Return what leaving its former place costs each task of a re-plan that has a price."""
    named = {spec.name: spec.limits.move_micro_dollars or 0 for spec in plan.request.pipelines}
    return {
        task_key(item.pipeline, item.task): named.get(item.pipeline, 0)
        for item in plan.placement.assignments
        if task_key(item.pipeline, item.task) in plan.request.moved_from
    }


def _run_cost(plan: Plan | None) -> int:
    return sum(p.run_cost_micro_dollars for p in plan.placement.promises) if plan else 0


def _serving_cost(plan: Plan | None) -> int:
    return sum(p.serving_micro_dollars_per_hour for p in plan.placement.promises) if plan else 0


def _task(now: Assignment | None, plan: Assignment, price: int) -> TaskDiff | None:
    """Return what becomes of a task that the new plan places; None when nothing does.

    price: of a move, in micro-dollars.
    """
    fields = tuple(
        FieldChange(field=name, now=_shown(now, name), plan=_shown(plan, name))
        for name in _FIELDS
        if _differs(now, plan, name)
    )
    if not fields:
        return None
    moved = now is not None and (now.cluster, now.pool) != (plan.cluster, plan.pool)
    change = Change.ADDED if now is None else Change.MOVED if moved else Change.CHANGED
    ends = None
    if now is not None and now.end_seconds_p95 is not None and plan.end_seconds_p95 is not None:
        ends = plan.end_seconds_p95 - now.end_seconds_p95
    return TaskDiff(
        change=change,
        pipeline=plan.pipeline,
        task=plan.task,
        fields=fields,
        cost_micro_dollars=MicroDollars(
            plan.cost_micro_dollars - (now.cost_micro_dollars if now else 0)
        ),
        end_seconds=ends,
        move_micro_dollars=MicroDollars(price if moved else 0),
        ends=plan.end_seconds_p95 is not None,
        why=plan.why,
    )


def _removed(now: Assignment, why: str) -> TaskDiff:
    place = FieldChange(field="place", now=_shown(now, "place"), plan="")
    return TaskDiff(
        change=Change.REMOVED,
        pipeline=now.pipeline,
        task=now.task,
        fields=(place,),
        cost_micro_dollars=MicroDollars(-now.cost_micro_dollars),
        end_seconds=None,
        move_micro_dollars=MicroDollars(0),
        ends=now.end_seconds_p95 is not None,
        why=why,
    )


_FIELDS = ("place", "nodes", "start", *(resource.value for resource in Resource))


def _differs(now: Assignment | None, plan: Assignment, name: str) -> bool:
    if now is not None and name == "start":
        return abs(now.start_seconds - plan.start_seconds) >= SHIFT_SECONDS
    return _shown(now, name) != _shown(plan, name)


def _shown(assignment: Assignment | None, name: str) -> str:
    if assignment is None:
        return ""
    match name:
        case "place":
            return f"{assignment.cluster}/{assignment.pool}"
        case "nodes":
            return str(assignment.node_count)
        case "start":
            return f"{assignment.start_seconds:.0f}"
        case _:
            resource = Resource(name)
            amount = assignment.held.of(resource)
            return f"{amount:.4g} {resource.unit}" if amount else ""


def summary(difference: PlanDiff) -> str:
    """Return a difference in one line for people: what moves where, and what it costs."""
    parts = [_said(task) for task in difference.tasks if task.change is not Change.CHANGED]
    changed = difference.count(Change.CHANGED)
    parts.extend([f"{changed} changed"] if changed else [])
    parts.append(f"{difference.unchanged} unchanged")
    # Six digits, because small pipelines cost thousandths of a cent.
    costs = [
        f"{micro_dollars / 1e6:+.6f} {unit}"
        for micro_dollars, unit in (
            (difference.run_cost_micro_dollars, "USD a run"),
            (difference.serving_micro_dollars_per_hour, "USD/h"),
        )
        if micro_dollars
    ]
    return f"{'; '.join(parts)}; {', '.join(costs) or 'at the same cost'}"


def _said(task: TaskDiff) -> str:
    place = task.fields[0]
    name = task_key(task.pipeline, task.task)
    if task.change is Change.MOVED:
        price = task.move_micro_dollars
        paid = f" (a move costs {price / 1e6:g} USD)" if price else ""
        return f"{name} moves from {place.now} to {place.plan}{paid}"
    if task.change is Change.ADDED:
        return f"{name} is added at {place.plan}"
    return f"{name} leaves {place.now} ({task.why})"
