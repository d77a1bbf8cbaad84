"""Commands about super-alarms: list and show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import doors, names
from api.cli.frame import Command, Talk

if TYPE_CHECKING:
    from api.client.remote import Remote
    from engine.model.alarms import SuperAlarm

_HOUR_SECONDS = 3_600.0


def alarms(
    context: typer.Context,
    verb: Annotated[
        str, typer.Argument(help="`list`, `show ID` for one of them, or `replay FILE`.")
    ] = "list",
    name: Annotated[
        str,
        typer.Argument(
            metavar="[ID|FILE]",
            help="A super-alarm, or recorded signals or alerts.",
            autocompletion=names.super_alarms,
        ),
    ] = "",
    rules: Annotated[str, typer.Option(help="Rules for a replay [BERTH_RULES].")] = "",
) -> None:
    """List super-alarms by harm, show one with causes and evidence, or replay a recording.

    A replay needs no engine and changes nothing: it runs recorded signals or alerts (JSON lines,
    or Alertmanager's JSON) through the same code, with the clock of the recording.

    Example: berth alarms show SA-1
    """
    from engine.model.errors import Fault, InvalidInputError

    talk: Talk = context.obj
    if verb == "list" and not name:
        with doors.engine(talk) as engine:
            _list(talk, engine)
        return
    if verb == "replay" and name:
        _replay(talk, name, rules)
        return
    if verb == "show" and name:
        with doors.engine(talk) as engine:
            _show(talk, engine, engine.super_alarm(name))
        return
    fix = "write `berth alarms`, `berth alarms show ID` or `berth alarms replay FILE`"
    message = f"`berth alarms {f'{verb} {name}'.strip()}` is not understood"
    raise InvalidInputError("the command line", [Fault(code="U001", message=message, fix=fix)])


def _replay(talk: Talk, file: str, rules: str) -> None:
    """Replay a recording in this process, beside whatever engine runs."""
    from pathlib import Path

    from alarms.intake.recorded import read_recording
    from api.messages.files import read_text
    from api.report.replaying import replay_text
    from api.wiring import build
    from api.wiring.replaying import replay

    recording = read_recording(read_text(Path(file), "recording"), file)
    parts = build(doors.settings_of(talk, rules=rules or None, database="sqlite://"))
    try:
        replayed = replay(parts, recording)
    finally:
        parts.close()
    if talk.json:
        talk.value([*replayed.moments, *replayed.super_alarms])
    elif talk.quiet:
        talk.result("\n".join(group.super_alarm_id for group in replayed.super_alarms))
    else:
        talk.result(replay_text(replayed, talk.style()))


def _list(talk: Talk, engine: Remote) -> None:
    from api.report import phrases
    from api.report.hands import precision_text
    from api.report.super_alarms import super_alarms_text

    found = engine.super_alarms()
    if talk.json:
        talk.value(found)
        return
    if talk.quiet:
        talk.result("\n".join(group.super_alarm_id for group in found))
        return
    now = engine.health().now
    recent = engine.signals(since=now - _HOUR_SECONDS)
    series = len({signal.series for signal in recent})
    seen = f"{phrases.age(now - recent[-1].at)} ago" if recent else "never"
    are = "series is" if series == 1 else "series are"
    outside = phrases.plural(len(engine.hands.foldings()), "alarm")
    watched = (
        f"{series} {are} watched; the newest signal came {seen}. "
        f"Lately {outside} stood in no super-alarm: `berth silences` says why."
    )
    text = super_alarms_text(
        found,
        talk.style(),
        now=now,
        actions=engine.actions(),
        watched=watched,
        judged=precision_text(engine.hands.judged().months),
    )
    talk.result(text)


def _show(talk: Talk, engine: Remote, group: SuperAlarm) -> None:
    from api.report.super_alarms import super_alarm_text

    if talk.json:
        talk.value(group)
        return
    now, actions = engine.health().now, engine.actions()
    context = engine.context(group.super_alarm_id)
    talk.result(super_alarm_text(group, talk.style(), now=now, actions=actions, context=context))


COMMANDS = {
    "alarms": (Command, alarms),
}
