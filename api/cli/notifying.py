"""`berth notify`: what people were told, and whether a message would reach the right ones."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli import doors, names
from api.cli.frame import Command, Talk


def notify(
    context: typer.Context,
    verb: Annotated[str, typer.Argument(help="`list` or `test`.")] = "list",
    name: Annotated[
        str,
        typer.Argument(
            metavar="[ID]", help="A super-alarm to try.", autocompletion=names.super_alarms
        ),
    ] = "",
    owner: Annotated[str, typer.Option(help="Whose super-alarm to make up for the test.")] = "",
    severity: Annotated[str, typer.Option(help="Its severity.")] = "warning",
    channels: Annotated[
        str, typer.Option(help="A channels file that no engine uses yet [BERTH_CHANNELS].")
    ] = "",
    *,
    send: Annotated[bool, typer.Option("--send", help="Really send a test message.")] = False,
) -> None:
    """List messages to people and how each went, or test where one would go, without sending.

    Example: berth notify test --owner team-growth --severity critical
    """
    from api.messages.notifying import NotifyQuestion
    from api.report.notifying import messages_text, routes_text
    from engine.model.alarms import Severity
    from engine.model.errors import Fault, InvalidInputError

    talk: Talk = context.obj
    if verb not in {"list", "test"} or severity not in set(Severity):
        message = f"`berth notify {verb} --severity {severity}` is not understood"
        fix = "write `berth notify` or `berth notify test --severity critical`"
        raise InvalidInputError("the command line", [Fault(code="U001", message=message, fix=fix)])
    if verb == "list":
        with doors.engine(talk) as engine:
            found = engine.messages()
            now = engine.health().now
        if talk.json:
            talk.value(found)
        else:
            talk.result(messages_text(found, talk.style(), now=now))
        return
    question = NotifyQuestion(
        super_alarm_id=name, severity=Severity(severity), owner=owner, send=send
    )
    # A file that is named is tried here: the running engine has channels of its own.
    door_of = doors.local(talk, channels=channels) if channels else doors.either(talk)
    with door_of as door:
        routes = door.notify_test(question)
        now = door.health().now
    if talk.json:
        talk.value(routes)
    else:
        talk.result(routes_text(routes, talk.style(), now=now))


COMMANDS = {"notify": (Command, notify)}
