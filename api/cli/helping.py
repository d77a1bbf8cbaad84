"""Commands that need no engine: init, help, schema, version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from api.cli import outputs
from api.cli.frame import ChangingCommand, Command, Talk


def init(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the pipeline.")],
    deadline: Annotated[str, typer.Option(help="When it must have ended.")] = "",
    budget: Annotated[str, typer.Option(help="What a run may cost, such as `2 USD per run`.")] = "",
    regions: Annotated[str, typer.Option(help="Where it may run, such as `eu, us`.")] = "",
) -> None:
    """Write a commented pipeline to start from, NAME.yaml, from three questions.

    Example: berth init churn
    """
    from api.cli.starting import starting_point
    from api.report.tables import following
    from engine.documents import read_pipeline

    talk: Talk = context.obj
    text = starting_point(talk, name, deadline, budget, regions)
    read_pipeline(text, name=f"{name}.yaml", as_of=0.0)
    path = Path(f"{name}.yaml")
    if talk.dry_run:
        talk.result(text)
        return
    outputs.write(path, text, new=True)
    if talk.quiet:
        talk.result(str(path))
    else:
        talk.result(f"{path} is written.\n\n{following(f'berth plan {path}')}")


def help_(
    context: typer.Context,
    code: Annotated[str, typer.Argument(help="Code of an error, or `all`.")] = "all",
) -> None:
    """Print the page of an error code.

    Example: berth help S012
    """
    from api.report.codes import code_text

    talk: Talk = context.obj
    text = code_text(code)
    talk.result(json.dumps({"code": code, "text": text}) if talk.json else text)


def schema(
    context: typer.Context,
    which: Annotated[str, typer.Argument(help="`pipeline` or `fleet`.")] = "pipeline",
) -> None:
    """Print the JSON Schema of a document, for editors.

    Example: berth schema pipeline
    """
    from engine.documents import fleet_schema, pipeline_schema
    from engine.model.errors import NotFoundError

    talk: Talk = context.obj
    known = {"pipeline": pipeline_schema, "fleet": fleet_schema}
    if which not in known:
        raise NotFoundError(f"there is no schema {which!r}", fix="use `pipeline` or `fleet`")
    talk.result(json.dumps(known[which](), indent=None if talk.json else 2))


def version(context: typer.Context) -> None:
    """Print the version."""
    talk: Talk = context.obj
    number = _version()
    talk.result(json.dumps({"version": number}) if talk.json else f"berth {number}")


def told_version(value: bool) -> None:
    """Print the version where it is asked for instead of a command, and end."""
    if value:
        typer.echo(f"berth {_version()}")
        raise typer.Exit


def _version() -> str:
    from importlib.metadata import version as installed

    return installed("berth")


COMMANDS = {
    "init": (ChangingCommand, init),
    "help": (Command, help_),
    "schema": (Command, schema),
    "version": (Command, version),
}
