"""The `berth` command: every sub-command with its options, and nothing heavy.

This module and the modules of commands import only typer at the top. What a command needs is
imported when it runs.
"""

from __future__ import annotations

import gc
import os
from collections import UserDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

from api.cli import (
    alarming,
    demonstrating,
    experiments,
    forecasting,
    hands,
    helping,
    imaging,
    importing,
    measuring,
    model_runner,
    modelling,
    models,
    notifying,
    operating,
    planning,
    provisioning,
    rules,
    running,
    searching,
    training,
)
from api.cli.frame import Command

_Kind = tuple[type[Command], Callable[..., None]]
_HELP = """Plans, places and runs machine-learning pipelines over many clusters, and keeps watch.

Begin with `berth init NAME`, then `berth plan NAME.yaml`. Nothing is changed before
`berth apply`.
"""

_MODULES = (
    helping,
    planning,
    forecasting,
    running,
    experiments,
    searching,
    training,
    modelling,
    alarming,
    measuring,
    hands,
    importing,
    model_runner,
    notifying,
    rules,
    operating,
    models,
    provisioning,
    demonstrating,
)
_THRESHOLDS = (20_000, 20, 20)
"""As `gc.set_threshold` has them. What a command imports stays until it ends; the usual thresholds
have the collector go through it dozens of times meanwhile."""
_SECTIONS = {
    "Begin": "init demo check import schema help version",
    "Plan": "plan explain diff what-if profile forecast capacity provision learning",
    "Run": "apply status watch runs logs cancel compare reproduce export",
    "Models": "tune train compress model ci image serve gateway runner",
    "On call": "alarms signals ack act silence silences split merge feedback note notify rules",
    "Engine and fleet": "start migrate private doctor fleet cluster",
}
"""What people are about to do, and the commands for it, in the order of `berth --help`."""
_SENTENCE_LETTERS_MAX = 400


class Sectioned(TyperGroup):
    """Commands in sections: over forty in one list are looked for in vain."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002 - typer's
        """Write a section for each of `_SECTIONS`, then what is in none."""
        left = _sentences(self)
        sections = {title: names.split() for title, names in _SECTIONS.items()}
        named = set().union(*sections.values())
        sections["More"] = [name for name in left if name not in named]
        for title, names in sections.items():
            if names:
                with formatter.section(title):
                    formatter.write_dl([(name, left[name]) for name in names])


class Listed(TyperGroup):
    """Commands of a group in one list."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002 - typer's
        """Write each command with what it does."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_sentences(self).items()))


def _sentences(group: TyperGroup) -> dict[str, str]:
    """Return what each command does, in the whole first sentence of its help, which typer cuts."""
    commands = group.commands.items()
    return {name: command.get_short_help_str(_SENTENCE_LETTERS_MAX) for name, command in commands}


class Commands(UserDict[str, Any]):
    """Commands by name, each put in as what makes it: most are never asked for, and all cost 40 ms.

    Whoever asks gets the command, and always the same.
    """

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - typer's own types are private
        """Return a command; it is made when it is first asked for."""
        if isinstance(self.data[name], partial):
            self.data[name] = self.data[name]()
        return self.data[name]


def application() -> Sectioned:
    """Return the command line with every sub-command; called with arguments, it runs one."""
    app = typer.Typer(
        name="berth",
        cls=Sectioned,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback(help=_HELP)(options)
    found = cast("Sectioned", typer.main.get_command(app))
    found.commands = Commands()
    for module in _MODULES:
        for name, (kind, function) in module.COMMANDS.items():
            found.commands[name] = partial(_command, name, kind, function)
    for name, (about, commands) in imaging.GROUPS.items():
        found.commands[name] = partial(_group, name, about, commands)
    return found


def _command(name: str, kind: type[Command], function: Callable[..., None]) -> Any:  # noqa: ANN401
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, cls=kind)(function)
    return typer.main.get_command(app)


def _group(name: str, about: str, commands: Mapping[str, _Kind]) -> Any:  # noqa: ANN401
    app = typer.Typer(
        name=name,
        cls=Listed,
        help=about,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
    )
    for verb, (kind, function) in commands.items():
        app.command(verb, cls=kind)(function)
    return typer.main.get_command(app)


def options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=helping.told_version, help="Print the version."
        ),
    ] = False,
) -> None:
    """Take what stands before any command."""


def run() -> None:
    """Run the command line with the arguments of the process; ends the process."""
    # OpenMP's threads spin while they wait: on a machine that also runs tasks, several of them
    # make a forecast ten times slower, never faster. Set before any library reads it.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    gc.set_threshold(*_THRESHOLDS)
    application()(prog_name="berth")


if __name__ == "__main__":
    run()
