"""What all commands share: their common options, errors with exit codes, and how to talk.

Results go to standard output, talk to standard error. Errors of the error tree are printed as
`api.report.errors` has them and end the process with their exit code.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from api.report.tables import Style
    from engine.model.errors import BerthError

INTERRUPTED = 130
_NARROWEST = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """How one call of a command talks: what the common options asked for.

    given: settings that were named on the command line (`home`, `fleet`, ...).
    options: values of the further options that its kind of command declares, by name.
    """

    json: bool = False
    quiet: bool = False
    colour: bool = False
    yes: bool = False
    dry_run: bool = False
    progress: bool = False
    url: str = ""
    given: Mapping[str, object] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def result(self, text: str) -> None:
        """Print a result."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """Print talk, unless it shall be quiet."""
        if not self.quiet:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def value(self, value: object) -> None:
        """Print a model value, or a sequence of them, as canonical JSON."""
        from engine.model import documents

        if isinstance(value, Sequence) and not isinstance(value, str):
            self.result("[" + ",".join(documents.encode(item) for item in value) + "]")
        else:
            self.result(documents.encode(value))

    def style(self) -> Style:
        """Return how results are laid out: as tables on a terminal, else by tabs.

        `BERTH_COLUMNS` in the environment asks for tables of that width wherever they go.
        """
        from api.report.tables import WIDTH, Style

        terminal = sys.stdout.isatty()
        aligned = terminal or os.environ.get("BERTH_COLUMNS", "").isdigit()
        width = min(WIDTH, max(_columns(), _NARROWEST)) if aligned else WIDTH
        zone = str(self.given.get("zone") or os.environ.get("BERTH_ZONE") or "UTC")
        return Style(width=width, tabs=not aligned, zone=zone, colour=self.colour and terminal)

    def confirm(self, question: str) -> None:
        """Ask before something is changed; `--yes` answers.

        Raises:
            RefusedError: when the answer is no, or when there is nobody to ask.
        """
        from engine.model.errors import RefusedError

        if self.yes:
            return
        if not sys.stdin.isatty():
            message = f"{question} Nobody is there to answer"
            raise RefusedError(message, fix="add `--yes` to answer beforehand", code="U002")
        if not typer.confirm(question, err=True):
            raise RefusedError("you said no; nothing was changed", code="U003")


def _columns() -> int:
    """Return the width asked for by `BERTH_COLUMNS`, else that of the terminal."""
    asked = os.environ.get("BERTH_COLUMNS", "")
    if asked.isdigit():
        return int(asked)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except OSError:
        return INTERRUPTED


def _common(
    *,
    json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print ids only, no talk.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="Print without colours.")] = False,
    home: Annotated[
        Path | None, typer.Option("--home", help="The data folder [BERTH_HOME, .berth].")
    ] = None,
    url: Annotated[
        str, typer.Option("--url", help="Address of the engine [BERTH_URL, what runs].")
    ] = "",
) -> None:
    """Declare the options that every command has."""


def _changing(
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")
    ] = False,
) -> None:
    """Declare the options of commands that change something."""


def _world(
    fleet: Annotated[
        Path | None, typer.Option("--fleet", help="The fleet file [BERTH_FLEET].")
    ] = None,
    zone: Annotated[str, typer.Option("--zone", help="Time zone of times shown.")] = "",
) -> None:
    """Declare the options of commands that look at the fleet."""


def _solving(
    *,
    progress: Annotated[
        bool, typer.Option("--progress", help="Tell of each better plan, without a terminal too.")
    ] = False,
) -> None:
    """Declare the options of commands that search for a plan."""


def _options(declaration: Any) -> list[Any]:  # noqa: ANN401 - typer's own types are private
    """Return the parameters that typer makes of a declaration."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(declaration)
    return list(typer.main.get_command(app).params)


_SETTINGS = ("home", "fleet", "zone")
_COMMON: dict[str, list[Any]] = {}
# Made on first use and shared by all commands: making them costs more than using them.


def _shared(name: str) -> list[Any]:
    if name not in _COMMON:
        declarations = {
            "common": _common,
            "changing": _changing,
            "world": _world,
            "solving": _solving,
        }
        _COMMON[name] = _options(declarations[name])
    return _COMMON[name]


class Command(TyperCommand):
    """A command with the common options; the function finds them as `context.obj`, a `Talk`."""

    groups: tuple[str, ...] = ("common",)
    declares: Callable[..., None] | None = None
    """Declares further options, which the function finds in `Talk.options`."""
    declares_more: Callable[..., None] | None = None
    """Declares some more of them, where there are many."""

    def __init__(self, name: str | None, **options: Any) -> None:  # noqa: ANN401 - as in typer
        declarations = (self.declares, self.declares_more)
        further = [option for each in declarations if each is not None for option in _options(each)]
        extra = [*further, *(option for group in self.groups for option in _shared(group))]
        self._further = [param.name for param in further]
        self._own = [param.name for param in extra]
        options["params"] = [*(options.get("params") or ()), *extra]
        super().__init__(name, **options)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer's own types are private
        """Run the command; its errors end the process with their exit code."""
        values = {name: ctx.params.pop(name) for name in self._own if name in ctx.params}
        further = {name: values.pop(name) for name in self._further}
        ctx.obj = talk = replace(_talk(values), options=further)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            talk.say("stopped")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            _end_with(error, talk)
            raise


class FleetCommand(Command):
    """A command that looks at the fleet: with `--fleet` and `--zone`."""

    groups = ("world", "common")


class SolvingCommand(Command):
    """A command that searches for a plan: with `--progress` beside those of `FleetCommand`."""

    groups = ("solving", "world", "common")


class ChangingCommand(Command):
    """A command that changes something: with `--yes` and `--dry-run`."""

    groups = ("changing", "common")


def _talk(values: Mapping[str, Any]) -> Talk:
    """Return how to talk, from the values of the common options."""
    return Talk(
        json=bool(values.get("json")),
        quiet=bool(values.get("quiet")),
        colour=not values.get("no_color") and not os.environ.get("NO_COLOR"),
        yes=bool(values.get("yes")),
        dry_run=bool(values.get("dry_run")),
        progress=bool(values.get("progress")),
        url=str(values.get("url") or ""),
        given={name: values[name] for name in _SETTINGS if values.get(name)},
    )


def _end_with(error: Exception, talk: Talk) -> None:
    """End the process for an error of the error tree or a full disk; return for any other."""
    from engine.model.errors import BerthError, RetryableError

    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        where = f" at {str(error.filename)!r}" if error.filename else ""
        message = f"the disk is full{where}"
        error = RetryableError(message, fix="make room on it and try again")
    if isinstance(error, BerthError):
        print_error(error, talk)
        raise typer.Exit(error.exit_code) from error


def print_error(error: BerthError, talk: Talk) -> None:
    """Print an error to standard error: as text, or with `--json` as a problem document."""
    import json

    from api.messages import problems
    from api.report.errors import error_text
    from api.report.tables import Style

    if talk.json:
        text = json.dumps(problems.problem(error), sort_keys=True, ensure_ascii=False)
    else:
        text = error_text(error, Style(colour=talk.colour and sys.stderr.isatty()))
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
