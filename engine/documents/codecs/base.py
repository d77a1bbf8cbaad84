"""How a value of a document is read, written back and described, in one object each.

A codec reads a node into a model value, writes the value as people would, and gives its JSON
Schema; so the reader, the writer, the schema and the reference cannot disagree.
"""

from __future__ import annotations

import difflib
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from engine.documents.sources import Node, fault, trouble
from engine.model.errors import Fault
from engine.model.specs import Scalar

T = TypeVar("T")
Schema = dict[str, Any]
"""A JSON Schema; its values are JSON."""


class Codec(ABC, Generic[T]):
    """Reads, writes and describes one kind of value.

    `read` raises `TroubleError` with all faults of the value; `write` gives what `read` reads back
    as the same value; `schema` accepts everything that `read` accepts in form.
    """

    @abstractmethod
    def read(self, node: Node) -> T:
        """Return the value written at a node."""

    @abstractmethod
    def write(self, value: T) -> object:
        """Return the value as plain data for YAML or JSON."""

    @abstractmethod
    def schema(self) -> Schema:
        """Return the JSON Schema of what may be written."""


def alike(word: str, known: Sequence[str]) -> tuple[str, ...]:
    """Return up to three known words that look like `word`, nearest first."""
    folded = {item.casefold(): str(item) for item in known}
    close = difflib.get_close_matches(word.casefold(), list(folded), n=3, cutoff=0.6)
    return tuple(folded[item] for item in close)


def one_of(words: Sequence[str]) -> str:
    """Return the words for a sentence: `a, b or c`."""
    quoted = [f"`{word}`" for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


@dataclass(frozen=True)
class Text(Codec[str]):
    """Free text of a bounded length; numbers are read as they were written."""

    what: str = "text"
    length_max: int = 1_000

    def read(self, node: Node) -> str:
        """Return the text; structures and nothing are faults."""
        if node.members is not None or node.items is not None or node.value in (None, ""):
            raise trouble(
                "S004", node, f"{self.what} was expected, not {node.shown() or 'nothing'}"
            )
        text = node.shown()
        if len(text) > self.length_max:
            raise trouble("S007", node, f"is longer than {self.length_max} characters")
        return text

    def write(self, value: str) -> object:
        """Return the text itself."""
        return value

    def schema(self) -> Schema:
        """Accept a text."""
        return {"type": "string", "minLength": 1, "maxLength": self.length_max}


NAME_PATTERN = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
NAME_LENGTH_MAX = 40


def check_name(text: str, node: Node, *, key: bool = False) -> str:
    """Return a name that can be a folder, a Kubernetes object and a variable.

    Raises:
        TroubleError: when it cannot; the fix is the nearest name that can.
    """
    if NAME_PATTERN.fullmatch(text) and len(text) <= NAME_LENGTH_MAX:
        return text
    near = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-0123456789")[:NAME_LENGTH_MAX]
    near = near.strip("-")
    raise trouble(
        "S009",
        node,
        f"{text!r} is no name: at most {NAME_LENGTH_MAX} lower-case letters, digits and single "
        "dashes, a letter first",
        at=node.key_place if key else None,
        fix=f"write `{near}`" if near else "",
    )


@dataclass(frozen=True)
class Name(Codec[str]):
    """A name of ours."""

    def read(self, node: Node) -> str:
        """Return the name."""
        return check_name(Text("a name").read(node), node)

    def write(self, value: str) -> object:
        """Return the name itself."""
        return value

    def schema(self) -> Schema:
        """Accept a name."""
        return {
            "type": "string",
            "pattern": f"^{NAME_PATTERN.pattern}$",
            "maxLength": NAME_LENGTH_MAX,
        }


@dataclass(frozen=True)
class Word(Codec[str]):
    """One word of a closed list."""

    words: tuple[str, ...]
    what: str = "word"

    def read(self, node: Node) -> str:
        """Return the word; others are faults with those that look alike."""
        text = node.shown()
        if text not in self.words:
            near = alike(text, self.words)
            raise trouble(
                "S005",
                node,
                f"{text!r} is no {self.what}; use {one_of(self.words)}",
                candidates=near,
                fix=f"write `{near[0]}`" if near else "",
            )
        return text

    def write(self, value: str) -> object:
        """Return the word itself."""
        return str(value)

    def schema(self) -> Schema:
        """Accept one of the words."""
        return {"enum": list(self.words)}


@dataclass(frozen=True)
class Flag(Codec[bool]):
    """`true` or `false`."""

    def read(self, node: Node) -> bool:
        """Return the truth value; YAML 1.1's `yes` and `on` are named in the fault."""
        if isinstance(node.value, bool):
            return node.value
        raise trouble("S004", node, f"`true` or `false` was expected, not {node.shown()!r}")

    def write(self, value: bool) -> object:  # noqa: FBT001 - the signature of Codec
        """Return the truth value itself."""
        return value

    def schema(self) -> Schema:
        """Accept a truth value."""
        return {"type": "boolean"}


@dataclass(frozen=True)
class Number(Codec[float]):
    """A number without a unit, between two bounds that are allowed themselves."""

    low: float
    high: float
    what: str = "a number"

    def read(self, node: Node) -> float:
        """Return the number."""
        value = node.value
        # Python counts truth values among the whole numbers.
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise trouble("S004", node, f"{self.what} was expected, not {node.shown()!r}")
        check_range(float(value), node, self.low, self.high)
        return float(value)

    def write(self, value: float) -> object:
        """Return the number, whole ones without a point."""
        return int(value) if float(value).is_integer() else value

    def schema(self) -> Schema:
        """Accept a number between the bounds."""
        return {"type": "number", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True)
class Whole(Codec[int]):
    """A whole number between two bounds that are allowed themselves."""

    low: int
    high: int
    what: str = "a whole number"

    def read(self, node: Node) -> int:
        """Return the number."""
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int):
            raise trouble("S004", node, f"{self.what} was expected, not {node.shown()!r}")
        check_range(value, node, self.low, self.high)
        return value

    def write(self, value: int) -> object:
        """Return the number itself."""
        return value

    def schema(self) -> Schema:
        """Accept a whole number between the bounds."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


def check_range(
    value: float,
    node: Node,
    low: float,
    high: float,
    shown: Callable[[float], object] = "{:g}".format,
) -> None:
    """Refuse a number outside its bounds or not finite; `shown` writes a bound for people.

    Raises:
        TroubleError: naming the bound that it passes.
    """
    text = node.shown()
    if not math.isfinite(value):
        raise trouble("S007", node, f"{text!r} is not a finite number", fix="write a number")
    if value < 0 <= low:
        raise trouble("S007", node, f"{text!r} is negative", fix="remove the minus sign")
    if value < low:
        bound = shown(low)
        message = f"{text!r} is below {bound}, the least allowed"
        raise trouble("S007", node, message, fix=f"write `{bound}` or more")
    if value > high:
        bound = shown(high)
        message = f"{text!r} is above {bound}, the most allowed"
        raise trouble("S007", node, message, fix=f"write `{bound}` or less")


@dataclass(frozen=True)
class ScalarCodec(Codec[Scalar]):
    """Any single value: a parameter of a task."""

    def read(self, node: Node) -> Scalar:
        """Return the value as YAML or JSON understands it."""
        value = node.value
        if not isinstance(value, str | int | float | bool):
            raise trouble("S004", node, f"a single value was expected, not {node.shown()}")
        if isinstance(value, float):
            check_range(value, node, -math.inf, math.inf)
        return value

    def write(self, value: Scalar) -> object:
        """Return the value itself."""
        return value

    def schema(self) -> Schema:
        """Accept text, numbers and truth values."""
        return {"type": ["string", "number", "boolean"]}


def unknown_key(key: str, member: Node, known: Sequence[str]) -> Fault:
    """Return the fault of a key nobody knows, with those that look alike."""
    near = alike(key, known)
    return fault(
        "S002",
        member,
        f"unknown key `{key}`",
        at=member.key_place,
        candidates=near,
        fix=f"write `{near[0]}`" if near else f"known keys: {', '.join(known)}",
    )
