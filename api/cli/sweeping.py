"""`berth what-if --sweep KEY=A..B/STEP`: the same plan for a row of values, a line each."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from api.cli.frame import Talk

if TYPE_CHECKING:
    from api.client.remote import Remote
    from api.wiring import Application

_OPTIONS = {"cluster:": "--cluster", "price:": "--price", "demand=": "--demand"}


def sweep(
    talk: Talk, door: Remote | Application, plan: str, changes: Sequence[str], wanted: str
) -> None:
    """Print what the plan would be for each value."""
    from api.cli.progress import watched
    from api.messages.questions import SweepQuestion
    from api.report.tables import following
    from api.report.what_ifs import sweep_text

    question = SweepQuestion(plan_id=plan, sweep=wanted, changes=tuple(changes))
    swept = watched(talk, door, lambda watch: door.sweep(question, watch=watch))
    if talk.json:
        talk.value(swept)
        return
    if talk.quiet:
        talk.result("\n".join(point.plan_id for point in swept.points if point.plan_id))
        return
    first = f"{swept.key}={swept.points[0].value}"
    again = shlex.join(["berth", "what-if", plan, *_options((*changes, first))])
    talk.result(f"{sweep_text(swept, talk.style())}\n\n{following(again)}")


def _options(changes: Sequence[str]) -> list[str]:
    """Return changes as the options that make them."""
    options: list[str] = []
    for change in changes:
        named = next((start for start in _OPTIONS if change.startswith(start)), "")
        options += [_OPTIONS.get(named, "--set"), change.removeprefix(named)]
    return options
