"""What a plan would change, as a table with a sign for each line."""

from __future__ import annotations

from api.report import phrases, words
from api.report.tables import PLAIN, Column, Style, following, table
from engine.model.resources import Resource
from engine.planning import Change, PlanDiff, TaskDiff

_SIGNS = {Change.ADDED: "+", Change.MOVED: "~", Change.CHANGED: "~", Change.REMOVED: "-"}
_COLUMNS = (
    Column(title=""),
    Column(title="TASK"),
    Column(title="FIELD"),
    Column(title="NOW"),
    Column(title="PLAN"),
    Column(title="EFFECT"),
)
_HELD = frozenset(resource.value for resource in Resource)
_SHOWN = frozenset({Resource.CPU.value, Resource.MEMORY.value, Resource.GPU.value})
_INSTANT_DIGITS = 9
# Instants come as whole seconds since 1970, which have had ten digits since 2001.


def diff_text(difference: PlanDiff, style: Style = PLAIN, *, commands: bool = True) -> str:
    """Return a difference as people read it.

    commands: end with the next sensible commands.
    """
    old = difference.old or "what runs (nothing does)"
    heading = style.bold(f"{difference.new} against {old}")
    blocks = [heading]
    rows = [row for task in difference.tasks for row in _rows(task, style)]
    if rows:
        blocks.append(table(_COLUMNS, rows, style))
    blocks.append(_sums(difference))
    if commands:
        blocks.append(following(f"berth explain {difference.new}", f"berth apply {difference.new}"))
    return "\n\n".join(blocks)


def _rows(task: TaskDiff, style: Style) -> list[tuple[str, ...]]:
    """Return a line for each field; task and effect stand on the first.

    What is held comes as one field: the amounts of single resources are in the JSON.
    """
    fields = [
        (field.field, _shown(field.now, style), _shown(field.plan, style))
        for field in task.fields
        if field.field not in _HELD
    ]
    held = [field for field in task.fields if field.field in _SHOWN]
    if held:
        now = ", ".join(field.now for field in held if field.now)
        plan = ", ".join(field.plan for field in held if field.plan)
        fields.append(("holds", now or words.NOTHING, plan or words.NOTHING))
    first = (_SIGNS[task.change], f"{task.pipeline}/{task.task}")
    return [
        (*(first if index == 0 else ("", "")), *field, _effect(task) if index == 0 else "")
        for index, field in enumerate(fields)
    ]


def _shown(value: str, style: Style) -> str:
    """Return the value of a field; starts are instants."""
    if value.isdigit() and len(value) > _INSTANT_DIGITS:
        at = float(value)
        return phrases.clock(at, near=at, zone=style.zone, seconds=True)
    return value or words.NOTHING


def _effect(task: TaskDiff) -> str:
    """Return what a change does to cost and end, and why it is made."""
    parts = []
    if task.cost_micro_dollars:
        sign = "+" if task.cost_micro_dollars > 0 else "-"
        hourly = "" if task.ends else "/h"
        parts.append(f"{sign} {words.money(abs(task.cost_micro_dollars))}{hourly}")
    if task.end_seconds:
        late = "later" if task.end_seconds > 0 else "sooner"
        parts.append(f"{words.duration(abs(task.end_seconds))} {late}")
    if task.move_micro_dollars:
        parts.append(f"the move {words.money(task.move_micro_dollars)}")
    if task.why and task.change is not Change.CHANGED:
        parts.append(task.why)
    return ", ".join(parts)


def _sums(difference: PlanDiff) -> str:
    counts = [
        f"{difference.count(change)} {change.value}"
        for change in (Change.MOVED, Change.CHANGED, Change.ADDED, Change.REMOVED)
        if difference.count(change)
    ]
    counts.append(f"{difference.unchanged} unchanged")
    if difference.ended:
        counts.append(f"{difference.ended} ended already")
    text = ", ".join(counts) + "."
    run = difference.run_cost_micro_dollars
    hourly = difference.serving_micro_dollars_per_hour
    costs = [f"A run costs {_more(run)}"] if run else []
    costs += [f"{'serving' if run else 'Serving'} costs {_more(hourly, '/h')}"] if hourly else []
    return f"{text} {', '.join(costs)}." if costs else text


def _more(amount: float, unit: str = "") -> str:
    return f"{words.money(abs(amount))}{unit} {'more' if amount > 0 else 'less'}"
