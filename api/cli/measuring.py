"""The command about what is measured: every series with its newest value, or one of them."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli import doors
from api.cli.frame import Command, Talk

_HOUR_SECONDS = 3_600.0


def signals(
    context: typer.Context,
    series: Annotated[
        str, typer.Argument(metavar="[SERIES]", help="One of them, `SUBJECT|SIGNAL`.")
    ] = "",
    hours: Annotated[
        float, typer.Option(min=0.0, help="How long ago the oldest may have been measured.")
    ] = 1.0,
) -> None:
    """List what is measured, with the newest value of each series, or one series with its values.

    Example: berth signals 'machine:worker-3|disk_gib_free' --hours 24
    """
    from api.report.signals import newest, series_text, values_text
    from engine.model.errors import NotFoundError

    talk: Talk = context.obj
    with doors.engine(talk) as engine:
        now = engine.health().now
        found = engine.signals(series, since=now - hours * _HOUR_SECONDS)
    if series and not found:
        message = f"no value of {series!r} in the last {hours:g} h"
        raise NotFoundError(message, fix="`berth signals` lists all series; `--hours` looks back")
    if talk.json:
        talk.value(found)
    elif talk.quiet:
        talk.result("\n".join(signal.series for signal in newest(found)))
    elif series:
        talk.result(values_text(found, talk.style()))
    else:
        talk.result(series_text(found, talk.style(), now=now))


COMMANDS = {
    "signals": (Command, signals),
}
