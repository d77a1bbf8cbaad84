"""Commands about super-alarms: list, show, take, silence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import doors, names
from api.cli.frame import ChangingCommand, Command, Talk

if TYPE_CHECKING:
    from api.client.remote import Remote
    from engine.model.alarms import SuperAlarm

AlarmName = Annotated[
    str,
    typer.Argument(metavar="ID", help="A super-alarm.", autocompletion=names.super_alarms),
]
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(min|m|h|d)")
_SECONDS = {"m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}


def alarms(
    context: typer.Context,
    verb: Annotated[str, typer.Argument(help="`list`, or `show ID` for one of them.")] = "list",
    name: Annotated[
        str,
        typer.Argument(metavar="[ID]", help="A super-alarm.", autocompletion=names.super_alarms),
    ] = "",
) -> None:
    """List super-alarms by harm, or show one with its causes, evidence and what was done.

    Example: berth alarms show SA-1
    """
    from engine.model.errors import Fault, InvalidInputError

    talk: Talk = context.obj
    if verb == "list" and not name:
        with doors.engine(talk) as engine:
            _list(talk, engine)
        return
    if verb == "show" and name:
        with doors.engine(talk) as engine:
            _show(talk, engine, engine.super_alarm(name))
        return
    fix = "write `berth alarms` or `berth alarms show ID`"
    message = f"`berth alarms {f'{verb} {name}'.strip()}` is not understood"
    raise InvalidInputError("the command line", [Fault(code="U001", message=message, fix=fix)])


def acknowledge(context: typer.Context, name: AlarmName) -> None:
    """Take a super-alarm: others see that somebody works on it.

    Example: berth ack SA-1
    """
    talk: Talk = context.obj
    with doors.engine(talk) as engine:
        if talk.dry_run:
            talk.result(f"{engine.super_alarm(name).super_alarm_id} would be acknowledged")
            return
        _brief(talk, engine.acknowledge(name))


def silence(
    context: typer.Context,
    name: AlarmName,
    span: Annotated[str, typer.Argument(help="How long: 30m, 2h, 1d.")],
    because: Annotated[str, typer.Option(help="Why; it is kept with the super-alarm.")],
) -> None:
    """Keep a super-alarm quiet for a while.

    Example: berth silence SA-1 2h --because "vendor is told"
    """
    from api.messages.questions import SilenceQuestion

    talk: Talk = context.obj
    question = SilenceQuestion(seconds=_span(span), because=because)
    with doors.engine(talk) as engine:
        if talk.dry_run:
            talk.result(f"{engine.super_alarm(name).super_alarm_id} would be silenced for {span}")
            return
        _brief(talk, engine.silence(name, question))


def _list(talk: Talk, engine: Remote) -> None:
    from api.report import phrases
    from api.report.super_alarms import super_alarms_text

    found = engine.super_alarms()
    if talk.json:
        talk.value(found)
        return
    if talk.quiet:
        talk.result("\n".join(group.super_alarm_id for group in found))
        return
    now = engine.health().now
    recent = engine.signals(since=now - _SECONDS["h"])
    series = len({signal.series for signal in recent})
    seen = f"{phrases.age(now - recent[-1].at)} ago" if recent else "never"
    watched = f"{series} series are watched; the newest signal came {seen}."
    text = super_alarms_text(
        found, talk.style(), now=now, actions=engine.actions(), watched=watched
    )
    talk.result(text)


def _show(talk: Talk, engine: Remote, group: SuperAlarm) -> None:
    from api.report.super_alarms import super_alarm_text

    if talk.json:
        talk.value(group)
        return
    now, actions = engine.health().now, engine.actions()
    talk.result(super_alarm_text(group, talk.style(), now=now, actions=actions))


def _brief(talk: Talk, group: SuperAlarm) -> None:
    """Print what a super-alarm is after it was changed."""
    from api.report.phrases import iso
    from api.report.tables import following

    if talk.json:
        talk.value(group)
    elif talk.quiet:
        talk.result(group.super_alarm_id)
    else:
        until = f" until {iso(group.silenced_until)}" if group.silenced_until else ""
        talk.result(f"{group.super_alarm_id} is {group.state.value}{until}: {group.title}")
        talk.result("\n" + following(f"berth alarms show {group.super_alarm_id}", "berth alarms"))


def _span(text: str) -> float:
    """Return a span of time as seconds.

    Raises:
        InvalidInputError: when it is none.
    """
    from engine.model.errors import Fault, InvalidInputError

    found = _SPAN.fullmatch(text.strip())
    if found is None or not float(found[1]):
        message = f"{text!r} is no span of time"
        fault = Fault(code="S006", message=message, fix="write it as 30m, 2h or 1d")
        raise InvalidInputError("the command line", [fault])
    return float(found[1]) * _SECONDS[found[2]]


COMMANDS = {
    "alarms": (Command, alarms),
    "ack": (ChangingCommand, acknowledge),
    "silence": (ChangingCommand, silence),
}
