"""`berth what-if --sweep KEY=A..B`: the same plan for five values, a line each."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from api.cli.frame import Talk
from api.messages.questions import WhatIfQuestion
from api.report import words
from api.report.tables import Column, following, table
from engine.model.errors import Fault, InfeasibleError, InvalidInputError

if TYPE_CHECKING:
    from api.client.remote import Remote
    from api.wiring import Application
    from engine.model.plans import Plan

_STEPS = 5
_HOUR_MINUTES = 60
_TIME = re.compile(r"(.*?)(\d{1,2}):(\d{2})(.*)")
_NUMBER = re.compile(r"(.*?)(\d+(?:\.\d+)?)(.*)")
_COLUMNS = (
    Column(title="VALUE"),
    Column(title="PLAN"),
    Column(title="A RUN", right=True),
    Column(title="SERVING", right=True),
    Column(title="KEPT", right=True),
    Column(title="MOVED", right=True),
    Column(title="NOTE", rank=1),
)


def sweep(
    talk: Talk, door: Remote | Application, plan: str, changes: list[str], wanted: str
) -> None:
    """Print what the plan would be for each value between two."""
    key, values = _values(wanted)
    rows = [_row(door, plan, changes, key, value) for value in values]
    if talk.json:
        talk.value([dict(zip(("value", "plan"), row, strict=False)) for row in rows])
        return
    talk.result(table(_COLUMNS, rows, talk.style()))
    again = shlex.join(["berth", "what-if", plan, "--set", f"{key}={values[0]}"])
    talk.result(f"\n{following(again)}")


def _row(
    door: Remote | Application, plan: str, changes: list[str], key: str, value: str
) -> tuple[str, ...]:
    question = WhatIfQuestion(plan_id=plan, changes=(*changes, f"{key}={value}"))
    try:
        made = door.what_if(question).plan
    except InfeasibleError as error:
        return (value, "", "", "", "", "", f"infeasible: {error.message}")
    moved = door.diff(made.plan_id, plan).tasks
    return (value, made.plan_id, *_figures(made), str(len(moved)), _unplaced(made))


def _figures(plan: Plan) -> tuple[str, str, str]:
    promises = plan.placement.promises
    kept = [p.keep_forecast for p in promises if p.keep_forecast is not None]
    return (
        words.money(sum(p.run_cost_micro_dollars for p in promises)),
        f"{words.money(sum(p.serving_micro_dollars_per_hour for p in promises))}/h",
        f"{min(kept):.2f}" if kept else words.NOTHING,
    )


def _unplaced(plan: Plan) -> str:
    missing = ", ".join(item.task for item in plan.placement.unplaced)
    return f"no place for {missing}" if missing else ""


def _values(wanted: str) -> tuple[str, list[str]]:
    """Return the key and the values of `KEY=A..B`; texts around the number must be alike.

    Raises:
        InvalidInputError: when it cannot be read.
    """
    key, _, span = wanted.partition("=")
    first, dots, last = span.partition("..")
    for pattern, read, write in ((_TIME, _minutes, _clock), (_NUMBER, _plain, _written)):
        low, high = pattern.fullmatch(first), pattern.fullmatch(last)
        if key and dots and low and high:
            before, after = low[1], high[low.re.groups]
            start, end = read(low), read(high)
            step = (end - start) / (_STEPS - 1)
            return key, [f"{before}{write(start + step * i)}{after}" for i in range(_STEPS)]
    fault = Fault(
        code="S021",
        message=f"`--sweep` is {wanted!r}",
        fix="write it as deadline=03:00..08:00 or limits.budget=1..5 USD per run",
    )
    raise InvalidInputError("what-if", [fault])


def _minutes(found: re.Match[str]) -> float:
    return float(int(found[2]) * _HOUR_MINUTES + int(found[3]))


def _clock(minutes: float) -> str:
    hours, rest = divmod(round(minutes), _HOUR_MINUTES)
    return f"{hours:02d}:{rest:02d}"


def _plain(found: re.Match[str]) -> float:
    return float(found[2])


def _written(value: float) -> str:
    return f"{value:g}"
