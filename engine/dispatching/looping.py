"""Turns of loops over a list that a task wrote: which value is whose. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from engine.dispatching.readiness import MAY_START, Judgement
from engine.model.dispatches import Reason, TaskRun, TaskState
from engine.model.errors import FinalError
from engine.model.identifiers import TaskName
from engine.model.specs import Scalar, TaskSpec, Turn, is_scalar

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][\w.-]*)\s*\}\}")
_SHOWN_CHARACTERS = 100
_FIX = 'write a list as text: `"[1, 2]"`'


def has_turn(task: TaskSpec, tasks: Mapping[TaskName, TaskRun]) -> Judgement:
    """Return whether the list that was written has a value for a task; what comes after ended.

    tasks: every task of the run by name.
    """
    turn = task.turn
    if turn is None:
        return MAY_START
    try:
        count = len(_rows(turn, tasks))
    except FinalError as error:
        return Judgement(state=TaskState.FAILED, reason=Reason.BAD_INPUT, message=error.message)
    if turn.number <= count:
        return MAY_START
    message = f"{turn.task}.{turn.output} has {count} values"
    return Judgement(state=TaskState.SKIPPED, reason=Reason.NO_VALUE, message=message)


def with_value(task: TaskSpec, tasks: Mapping[TaskName, TaskRun]) -> TaskSpec:
    """Return a task with the value of its turn: as a parameter, and wherever `{{NAME}}` stands.

    Raises:
        FinalError: when no list was written.
    """
    turn = task.turn
    if turn is None:
        return task
    row = _rows(turn, tasks)[turn.number - 1]

    def put(text: str) -> str:
        return _PLACEHOLDER.sub(lambda found: _shown(row, found), text)

    parameters = {k: put(v) if isinstance(v, str) else v for k, v in task.parameters.items()}
    return replace(
        task,
        command=tuple(put(word) for word in task.command),
        image=None if task.image is None else put(task.image),
        reads=None if task.reads is None else put(task.reads),
        writes=None if task.writes is None else put(task.writes),
        model=tuple(put(family) for family in task.model),
        parameters={**parameters, **row},
    )


def _rows(turn: Turn, tasks: Mapping[TaskName, TaskRun]) -> list[dict[str, Scalar]]:
    """Return the parameters of every turn; none where the task before did not succeed.

    Raises:
        FinalError: when what it wrote is no list of small values, or a longer one than was said.
    """
    before = tasks[turn.task]
    if before.state is not TaskState.SUCCEEDED:
        return []
    name = f"{turn.task}.{turn.output}"
    try:
        found: object = json.loads(str(before.outputs[turn.output]))
    except KeyError as error:
        raise FinalError(f"{name} was not written", fix=_FIX) from error
    except (ValueError, RecursionError) as error:
        raise FinalError(f"{name} is not JSON: {error}", fix=_FIX) from error
    if not isinstance(found, list):
        raise FinalError(f"{name} is no list", fix=_FIX)
    values = cast("list[object]", found)
    if len(values) > turn.most:
        message = f"{name} has {len(values)} values, and the plan has room for {turn.most}"
        raise FinalError(message, fix="plan again with a larger `most`")
    return [_row(name, turn.parameter, value) for value in values]


def _row(name: str, parameter: str, value: object) -> dict[str, Scalar]:
    """Return a value as parameters: `part`, or `part.key` for each key of a mapping.

    Raises:
        FinalError: when it is neither a small value nor a mapping of such.
    """
    row = {parameter: value}
    if isinstance(value, dict):
        inner = cast("dict[str, object]", value)
        row = {f"{parameter}.{key}": each for key, each in inner.items()}
    for each in row.values():
        if not is_scalar(each):
            shown = repr(each)[:_SHOWN_CHARACTERS]
            raise FinalError(f"{name} holds {shown}, no small value", fix=_FIX)
    return cast("dict[str, Scalar]", row)


def _shown(row: Mapping[str, Scalar], found: re.Match[str]) -> str:
    """Return a value as text; a name that is not of the loop stays as it was."""
    if found[1] not in row:
        return found[0]
    value = row[found[1]]
    return str(value).lower() if isinstance(value, bool) else str(value)
