"""Reference pages of the faces, made from the code: command line, REST and settings."""

import dataclasses
import inspect
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from api.cli.main import application as command_line
from api.rest.app import create
from api.settings import Settings, load
from api.wiring import Application, build
from engine.model import errors

EXIT_CODES = (
    (0, "fine"),
    (1, "refused by a rule, or a followed run failed"),
    (2, "usage, or faults of a document"),
    (3, "the world changed since the plan was made"),
    (4, "infeasible, or a plan that leaves tasks out"),
    (5, "something does not answer"),
    (130, "stopped by Ctrl-C"),
)
OTHER_VARIABLES = (
    ("BERTH_URL", "address of the engine, instead of the one that runs on the data folder"),
    ("BERTH_COLUMNS", "tables of this width even where no terminal is"),
    ("NO_COLOR", "any value: no colours"),
)
CHANNELS = """\
Results go to standard output, talk to standard error. On a terminal results are tables of at most
100 columns; elsewhere their cells are separated by tabs and never cut.
"""
ORDER = """\
An argument wins over an environment variable, that over a key of `berth.toml` in the data folder,
that over the default. All wrong values are reported at once.
"""
LISTENS = """\
The engine listens at `http://127.0.0.1:8750` unless told otherwise. Its OpenAPI document is at
`/openapi.json`, and a page to try it at `/docs`.
"""
PLANS = """\
Plans are canonical JSON: the same bytes as from `berth plan --json` and from the Python client.
`POST /v1/plans` takes a pipeline as YAML (`application/yaml`) or JSON, or several as
`{"documents": [...]}`. `POST /v1/what-if` makes the same plan under changes, `POST /v1/sweep` for a
row of values of one key. `POST /v1/plans/{plan_id}/apply` takes an `Idempotency-Key`.
"""
PROBLEMS = """\
Errors are problem documents (RFC 9457, `application/problem+json`) with the members `kind`, `code`
and `fix`, and where they apply `faults`, `clashes` and `changes`. Their codes are those of
[](errors.md); these are the general ones:
"""
TESTING = frozenset({"crash_at", "crash_record"})
Rows = Iterable[Iterable[object]]
Parsed = Any
"""A command or parameter of typer, whose own types are private."""


def table(header: Iterable[str], rows: Rows) -> str:
    """Returns a Markdown table."""
    lines = [list(header), *(list(map(str, row)) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines
    )


def cli_page() -> str:
    """Returns the page of every command with its arguments and options."""
    commands: Mapping[str, Any] = command_line().commands
    shared = _shared(commands.values())
    parts = [
        "# Command line\n",
        CHANNELS,
        "## Exit codes\n",
        table(("code", "meaning"), EXIT_CODES),
        "## Options of every command\n",
        table(("option", "meaning"), shared.values()),
    ]
    for name, command in commands.items():
        parts += [f"## berth {name}\n", *_command(name, command, shared.keys())]
    return "\n".join(parts)


def _shared(commands: Iterable[Parsed]) -> dict[str, tuple[str, str]]:
    """Returns the options that all commands have, by name."""
    every = [{param.name: _option(param) for param in _options(command)} for command in commands]
    return {name: row for name, row in every[0].items() if all(name in one for one in every)}


def _options(command: Parsed) -> list[Parsed]:
    return [param for param in command.params if param.param_type_name == "option"]


def _option(param: Parsed) -> tuple[str, str]:
    names = ", ".join(f"`{name}`" for name in param.opts)
    value = "" if param.is_flag else f" {(param.metavar or param.name.strip('_')).upper()}"
    default = param.default
    plain = isinstance(default, str | int | float) and not isinstance(default, bool)
    told = f" Default: `{default}`." if plain and default != "" else ""
    more = " May be given several times." if param.multiple else ""
    return names + value, f"{param.help or ''}{more}{told}"


def _command(name: str, command: Parsed, shared: Iterable[str]) -> Iterator[str]:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [_option(param) for param in _options(command) if param.name not in set(shared)]
    shown = " ".join(_usage(param) for param in arguments)
    yield f"```text\nberth {name}{' [OPTIONS]' if options else ''} {shown}".rstrip() + "\n```\n"
    text, _, example = inspect.cleandoc(command.help or "").partition("Example: ")
    yield text.strip() + "\n"
    if arguments:
        rows = [(f"`{_usage(param)}`", param.help or "") for param in arguments]
        yield table(("argument", "meaning"), rows)
    if options:
        yield table(("option", "meaning"), options)
    if example:
        yield f"Example:\n\n```text\n{example.strip()}\n```\n"


def _usage(param: Parsed) -> str:
    word = (param.metavar or param.name.upper()).strip("[]")
    return word if param.required else f"[{word}]"


def settings_page() -> str:
    """Returns the page of every setting with its names and its default."""
    options = {
        param.name: param
        for command in command_line().commands.values()
        for param in _options(command)
    }
    told = meanings(Settings)
    rows = [
        (
            f"`{field.name}`",
            f"`BERTH_{field.name.upper()}`",
            f"`{options[field.name].opts[0]}`" if field.name in options else "",
            _default(field),
            told.get(field.name) or options[field.name].help.partition(" [")[0],
        )
        for field in dataclasses.fields(Settings)
        if field.name not in TESTING
    ]
    return "\n".join(
        [
            "# Settings and environment variables\n",
            ORDER,
            table(("key of berth.toml", "variable", "option", "default", "meaning"), rows),
            "`home` cannot stand in `berth.toml`, which is found through it.\n",
            "## Other variables\n",
            table(("variable", "meaning"), ((f"`{n}`", text) for n, text in OTHER_VARIABLES)),
            "What a task finds in its environment is told under [](../tasks.md).\n",
        ]
    )


def _default(field: "dataclasses.Field[Any]") -> str:
    if field.name == "home":
        return "`.berth`"
    if field.name == "fleet":
        return "`fleet.yaml` in the data folder or here"
    return "" if field.default in {None, "", dataclasses.MISSING} else f"`{field.default}`"


def meanings(kind: type) -> dict[str, str]:
    """Returns what the docstring of a class says of its fields (`name, name: text.`)."""
    names = [field.name for field in dataclasses.fields(kind)]
    either = "|".join(sorted(names, key=len, reverse=True))
    text = " ".join((inspect.getdoc(kind) or "").split())
    parts = re.split(rf"\b((?:{either})(?:, (?:{either}))*): ", text)
    found = {}
    for group, meaning in zip(parts[1::2], parts[2::2], strict=True):
        told = (
            meaning.strip().replace("; None means ", "; without one ").partition("; None where")[0]
        )
        found.update(dict.fromkeys(group.split(", "), told))
    return found


def rest_page() -> str:
    """Returns the page of every endpoint, from the OpenAPI document."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load({"database": "sqlite://"}, environment={}, folder=Path(folder))
        application = Application(build(settings))
        document = create(application).openapi()
        application.close()
    rows = [
        (verb.upper(), f"`{path}`", _first(operation), _parameters(operation))
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
    ]
    problems = sorted(
        (kind.default_code, kind.__name__, kind.exit_code)
        for kind in (errors.BerthError, *_below(errors.BerthError))
    )
    return "\n".join(
        [
            "# REST\n",
            LISTENS,
            table(("verb", "path", "what it does", "parameters"), rows),
            PLANS,
            PROBLEMS,
            table(("code", "class", "exit code of the command line"), problems),
        ]
    )


def _below(kind: type[errors.BerthError]) -> Iterator[type[errors.BerthError]]:
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from _below(child)


def _first(operation: Mapping[str, Any]) -> str:
    return str(operation.get("description", "")).partition("\n\n")[0].replace("\n", " ")


def _parameters(operation: Mapping[str, Any]) -> str:
    named = [item["name"] for item in operation.get("parameters", ()) if item["in"] != "path"]
    return ", ".join(f"`{name}`" for name in named)
