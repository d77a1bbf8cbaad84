"""`model.toml`: what a model's repository says of it. All faults are reported at once."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from engine.model.errors import Fault, InvalidInputError
from executors.packaging.oci import bases

FILE = "model.toml"
WEIGHTS_FILE = "weights.json"
GOLDEN_FILE = "golden.json"
REQUIREMENTS_FILE = "requirements.txt"
HISTORY_FILE = "history.json"
NAME = re.compile(r"(?=.{1,128}\Z)[a-z0-9]+(?:[._-][a-z0-9]+)*\Z")
_CLASS = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*:[A-Za-z_]\w*\Z")
_KNOWN = frozenset(
    {"name", "format", "file", "class", "features", "target", "family", "classes", "base"}
    | {"python", "compile", "tests", "deploy"}
)
_PICKLED = ".pkl"
_TESTS = {"latency_ms_p99": 100.0, "size_mib": 2048.0}
_DEPLOY = frozenset({"image", "test", "production", "promote"})


class Format(StrEnum):
    """How a model is stored."""

    ONNX = "onnx"
    SKOPS = "skops"
    TORCH = "torch"
    SERIES = "series"
    PYTHON = "python"
    PICKLE = "pickle"
    """Of scikit-learn; served where an administrator allows the signed package."""


class Promotion(StrEnum):
    """When what passed in test goes to production."""

    BY_HAND = "by hand"
    AFTER_TESTS = "when tests pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A column of the input."""

    name: str
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """One `model.toml`, checked.

    file: the weights of a plain object; class_name: `MODULE:CLASS` of a wrapper.
    is_asked: whether the image's server is started, and asked, before anything is promoted.
    image: repository in a registry, "" for none. test, production: addresses of model servers.
    """

    name: str
    format: Format
    file: str = ""
    class_name: str = ""
    features: tuple[Feature, ...]
    target: str = "target"
    family: str = ""
    classes: tuple[int, ...] | None = None
    base: str = bases.DEBIAN
    python: str = "python3"
    is_compiled: bool = False
    latency_ms_p99: float = _TESTS["latency_ms_p99"]
    size_mib: float = _TESTS["size_mib"]
    is_asked: bool = True
    image: str = ""
    test: str = ""
    production: str = ""
    promotion: Promotion = Promotion.BY_HAND


def format_of(folder: Path) -> str:
    """Return the format that the `model.toml` of a folder names; "" where none can be read."""
    try:
        return str(tomllib.loads((folder / FILE).read_text(encoding="utf-8")).get("format", ""))
    except (OSError, ValueError):
        return ""


def read(text: str, document: str = FILE) -> ModelSettings:
    """Read a `model.toml`.

    Raises:
        InvalidInputError: with every fault.
    """
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        fault = Fault(code="M002", message=f"is not TOML: {error}")
        raise InvalidInputError(document, [fault]) from error
    reader = _Reader(given)
    found = reader.settings()
    if reader.faults or found is None:
        raise InvalidInputError(document, reader.faults)
    return found


class _Reader:
    """Reads values and collects faults."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self.faults: list[Fault] = []

    def settings(self) -> ModelSettings | None:
        """Return what was given; None, or something beside faults, when it has faults."""
        for key in sorted(set(self._given) - _KNOWN):
            self._fault(key, f"unknown key `{key}`", "remove it; see `berth model init`")
        name = self._text("name")
        if not NAME.match(name):
            self._fault(
                "name", f"`name` is {name!r}", "use at most 128 small letters, digits and - . _"
            )
        kind = self._choice("format", Format, self._text("format"))
        file, class_name = self._weights(kind)
        tests, deploy = (
            self._table("tests", {*_TESTS, "ask_image"}),
            self._table("deploy", set(_DEPLOY)),
        )
        features = self._features()
        said = str(deploy.get("promote", Promotion.BY_HAND))
        promotion = self._choice("deploy.promote", Promotion, said)
        latency = self._number(tests, "latency_ms_p99")
        size = self._number(tests, "size_mib")
        asked = self._flag(tests, "ask_image")
        classes = self._classes()
        if self.faults or kind is None or promotion is None:
            return None
        return ModelSettings(
            name=name,
            format=kind,
            file=file,
            class_name=class_name,
            features=features,
            target=self._text("target") or "target",
            family=self._text("family") or kind.value,
            classes=classes,
            base=self._text("base") or bases.DEBIAN,
            python=self._text("python") or "python3",
            is_compiled=self._given.get("compile") is True,
            latency_ms_p99=latency,
            size_mib=size,
            is_asked=asked,
            image=str(deploy.get("image", "")),
            test=str(deploy.get("test", "")),
            production=str(deploy.get("production", "")),
            promotion=promotion,
        )

    def _weights(self, kind: Format | None) -> tuple[str, str]:
        """Return the file of a plain object, and the class of a wrapper."""
        file, class_name = self._text("file"), self._text("class")
        if kind is Format.PYTHON and not _CLASS.match(class_name):
            self._fault("class", f"`class` is {class_name!r}", 'write it as "MODULE:CLASS"')
        if kind is not None and kind is not Format.PYTHON and not file:
            fix = f'name the weights, as in file = "model.{kind}"'
            self._fault("file", "`file` is missing", fix)
        if kind is Format.PICKLE and file and not file.endswith(_PICKLED):
            self._fault("file", f"`file` is {file!r}", f'name a pickle "model{_PICKLED}"')
        return file, class_name

    def _fault(self, path: str, message: str, fix: str) -> None:
        self.faults.append(Fault(code="M002", message=message, path=path, fix=fix))

    def _text(self, key: str) -> str:
        value = self._given.get(key, "")
        if not isinstance(value, str):
            self._fault(key, f"`{key}` is {value!r}, not a text", f'write {key} = "..."')
            return ""
        return value

    def _choice(self, key: str, kinds: Any, value: str) -> Any:  # noqa: ANN401 - any enum
        known = [kind.value for kind in kinds]
        if value in known:
            return kinds(value)
        self._fault(key, f"`{key}` is {value!r}", f"use one of: {', '.join(known)}")
        return None

    def _table(self, key: str, known: set[str]) -> Mapping[str, Any]:
        table = self._given.get(key, {})
        if not isinstance(table, dict):
            self._fault(key, f"`{key}` is {table!r}, not a table", f"write [{key}]")
            return {}
        for name in sorted(set(table) - known):
            self._fault(f"{key}.{name}", f"unknown key `{name}` in [{key}]", "remove it")
        return cast("dict[str, Any]", table)

    def _number(self, table: Mapping[str, Any], key: str) -> float:
        value = table.get(key, _TESTS[key])
        fine = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not fine or not math.isfinite(value) or value <= 0:
            self._fault(f"tests.{key}", f"`{key}` is {value!r}", "write a number above 0")
            return _TESTS[key]
        return float(value)

    def _flag(self, table: Mapping[str, Any], key: str) -> bool:
        value = table.get(key, True)
        if not isinstance(value, bool):
            self._fault(f"tests.{key}", f"`{key}` is {value!r}", "write true or false")
            return True
        return value

    def _features(self) -> tuple[Feature, ...]:
        given = self._given.get("features", [])
        entries = given if isinstance(given, list) else []
        found = []
        for entry in entries:
            fields = {"name": entry} if isinstance(entry, str) else entry
            if not isinstance(fields, dict) or not isinstance(fields.get("name"), str):
                self._fault("features", f"{entry!r} is no feature", 'write {name = "age"}')
                continue
            found.append(Feature(name=fields["name"], unit=str(fields.get("unit", ""))))
        names = [feature.name for feature in found]
        if not names or len(set(names)) != len(names):
            message = f"`features` is {names!r}: each column once is needed"
            self._fault("features", message, 'write features = ["age", "weight"]')
        return tuple(found)

    def _classes(self) -> tuple[int, ...] | None:
        given = self._given.get("classes")
        if given is None:
            return None
        if not isinstance(given, list) or not all(isinstance(value, int) for value in given):
            self._fault("classes", f"`classes` is {given!r}", "write classes = [0, 1]")
            return None
        return tuple(given)
