"""Reads settings: arguments win over the environment, that over `berth.toml`, that over defaults.

All faults are reported at once, each with the name by which the value was given.
"""

from __future__ import annotations

import math
import re
import shlex
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from api.settings.values import Settings
from engine.model.errors import Fault, InvalidInputError

CODE_VALUE = "U010"
CODE_UNKNOWN = "U011"
CODE_FILE = "U012"

ACTS = ("re-plan", "retrain", "stop", "retry", "roll back")
"""What the watch loop may do without a person."""
_PREFIX = "BERTH_"
_PORT_MAX = 65_535
_LEASE_LEAST_SECONDS, _LEASE_MOST_SECONDS = 1.0, 300.0


@dataclass(frozen=True, slots=True)
class _Given:
    """A value as it was given, and how a person would find it."""

    where: str
    value: object


def load(
    arguments: Mapping[str, object],
    *,
    environment: Mapping[str, str],
    folder: Path,
) -> Settings:
    """Return the settings.

    arguments: field name to value; None means not given. environment: `BERTH_HOME` and so on.
    folder: where relative paths start, and the data folder `.berth` unless told otherwise.

    Raises:
        InvalidInputError: with every wrong value and unknown key at once.
    """
    faults: list[Fault] = []
    given = _given(arguments, environment)
    home = folder / str(given["home"].value if "home" in given else ".berth")
    for name, item in _from_file(home / "berth.toml", faults).items():
        given.setdefault(name, item)
    values: dict[str, Any] = {}
    for name, item in given.items():
        try:
            values[name] = _READERS[name](item.value)
        except (TypeError, ValueError) as error:
            message = f"`{item.where}` is {item.value!r}: {error}"
            faults.append(Fault(code=CODE_VALUE, message=message, path=name))
    if faults:
        raise InvalidInputError("settings", faults)
    for name in _PATHS & values.keys():
        values[name] = (folder / values[name]).absolute()
    values["home"] = home.absolute()
    values.setdefault("fleet", _found(values["home"] / "fleet.yaml", folder / "fleet.yaml"))
    values.setdefault("kubernetes", _found(values["home"] / "kubernetes.toml"))
    return Settings(**values)


def _given(arguments: Mapping[str, object], environment: Mapping[str, str]) -> dict[str, _Given]:
    """Return what arguments and environment say, by field."""
    given: dict[str, _Given] = {}
    for name in _READERS:
        option, variable = "--" + name.replace("_", "-"), _PREFIX + name.upper()
        if arguments.get(name) is not None:
            given[name] = _Given(option, arguments[name])
        elif environment.get(variable, ""):
            given[name] = _Given(variable, environment[variable])
    return given


def _from_file(path: Path, faults: list[Fault]) -> dict[str, _Given]:
    """Return what the settings file says; its faults are added to `faults`."""
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except NotADirectoryError:
        message = f"the data folder {str(path.parent)!r} is not a folder"
        faults.append(Fault(code=CODE_FILE, message=message, fix="choose another with --home"))
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        faults.append(Fault(code=CODE_FILE, message=f"cannot read {str(path)!r}: {error}"))
        return {}
    known = sorted(_READERS.keys() - {"home"})
    for name in values.keys() - set(known):
        near = tuple(get_close_matches(name, known, n=1))
        message = f"unknown key `{name}` in {str(path)!r}"
        fix = f"did you mean `{near[0]}`?" if near else "remove it"
        faults.append(
            Fault(code=CODE_UNKNOWN, message=message, path=name, candidates=tuple(known), fix=fix)
        )
    return {
        name: _Given(f"{name} in {path}", value) for name, value in values.items() if name in known
    }


def _found(*paths: Path) -> Path | None:
    """Return the first path that is a file."""
    return next((path.absolute() for path in paths if path.is_file()), None)


def _text(value: object) -> str:
    if not isinstance(value, (str, Path)):
        raise TypeError("a text is needed")
    return str(value)


def _path(value: object) -> Path:
    text = _text(value)
    if not text:
        raise ValueError("a path is needed")
    return Path(text)


def _whole(low: int, high: int | None = None) -> Callable[[object], int]:
    """Return a reader of whole numbers within bounds."""
    bounds = f"from {low} to {high}" if high is not None else f"of at least {low}"

    def read(value: object) -> int:
        problem = f"a whole number {bounds} is needed"
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise TypeError(problem)
        try:
            number = int(value)
        except ValueError:
            raise ValueError(problem) from None
        if number < low or (high is not None and number > high):
            raise ValueError(problem)
        return number

    return read


def _words(value: object) -> str:
    text = _text(value)
    try:
        shlex.split(text)
    except ValueError as error:
        raise ValueError(f"words as a shell reads them are needed: {error}") from None
    if "\0" in text:
        raise ValueError("words as a shell reads them are needed, without a zero byte")
    return text


def _program(value: object) -> str:
    text = _words(value)
    if not shlex.split(text):
        raise ValueError("the words by which a program is called are needed")
    return text


def _interpreter(value: object) -> str:
    text = _text(value)
    if not text or text.startswith("-") or "\0" in text:
        raise ValueError("the path or name of a program is needed")
    return text


def _image(value: object) -> str:
    text = _text(value)
    if text.startswith("-") or any(letter.isspace() or letter == "\0" for letter in text):
        raise ValueError("the name of an image is needed; `container_options` is for options")
    return text


def _positive(value: object) -> float:
    return _number(value, "a number above 0 is needed", lambda number: number > 0)


def _not_negative(value: object) -> float:
    return _number(value, "a number of at least 0 is needed", lambda number: number >= 0)


def _number(value: object, problem: str, allows: Callable[[float], bool]) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(problem)
    try:
        number = float(value)
    except ValueError:
        raise ValueError(problem) from None
    if not (math.isfinite(number) and allows(number)):
        raise ValueError(problem)
    return number


def _name(value: object) -> str:
    name = _text(value)
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", name):
        raise ValueError("a name of small letters, digits, `-` and `.` is needed")
    return name


def _lease(value: object) -> float:
    seconds = _positive(value)
    if not _LEASE_LEAST_SECONDS <= seconds <= _LEASE_MOST_SECONDS:
        raise ValueError(f"{_LEASE_LEAST_SECONDS:g} to {_LEASE_MOST_SECONDS:g} seconds are needed")
    return seconds


def _sizing(value: object) -> str:
    name = _text(value)
    if name not in {"advise", "apply"}:
        raise ValueError("`advise` or `apply` is needed")
    return name


def _acts(value: object) -> str:
    names = [name.strip() for name in _text(value).split(",")]
    unknown = [name for name in names if name not in {*ACTS, "none"}]
    if unknown or ("none" in names and len(names) > 1):
        raise ValueError(f"some of {', '.join(ACTS)} are needed, with commas between, or none")
    return ", ".join(names)


def _switch(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    name = _text(value)
    if name not in {"on", "off"}:
        raise ValueError("`on` or `off` is needed")
    return name


def _zone(value: object) -> str:
    name = _text(value)
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("an IANA zone such as `Europe/Paris` is needed") from None
    return name


_READERS: dict[str, Callable[[object], object]] = {
    "home": _path,
    "fleet": _path,
    "rules": _path,
    "topology": _path,
    "demand": _path,
    "history": _path,
    "kubernetes": _path,
    "senders": _path,
    "prometheus": _path,
    "channels": _path,
    "mlflow": _text,
    "database": _text,
    "host": _text,
    "port": _whole(0, _PORT_MAX),
    "replica": _name,
    "lease_seconds": _lease,
    "zone": _zone,
    "container_image": _image,
    "container_podman": _program,
    "container_options": _words,
    "container_python": _interpreter,
    "sizing": _sizing,
    "acts": _acts,
    "acts_per_day": _whole(1),
    "acts_budget": _positive,
    "flap_seconds": _not_negative,
    "runs_kept_days": _positive,
    "demand_network": _switch,
    "clock_factor": _positive,
    "window_seconds": _positive,
    "season_seconds": _positive,
    "seed": _whole(0),
    "forecaster": _text,
    "placer": _text,
    "detector": _text,
    "work_limit": _positive,
    "request_bytes_max": _whole(1_024),
    "crash_at": _text,
    "crash_record": _path,
}
_PATHS = frozenset(
    {
        "fleet",
        "rules",
        "topology",
        "demand",
        "history",
        "kubernetes",
        "senders",
        "prometheus",
        "channels",
        "crash_record",
    }
)
