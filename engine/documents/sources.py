"""Documents as trees of nodes that know where they were written.

YAML and plain mappings become the same tree, so one reader serves the file, the client and
REST; only the places differ: line and column for YAML, a path alone for the others.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from engine.model.errors import Fault, InvalidInputError
from engine.model.specs import WHOLE_MAX

DEPTH_MAX = 12
"""Levels of nesting; the deepest document of ours has six."""

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was written; line and column count from 1, 0 means nowhere."""

    line: int = 0
    column: int = 0
    length: int = 1
    source_line: str = ""
    verbatim: bool = False
    """Whether the characters stand there as the value has them (no quotes, one line)."""

    def within(self, offset: int, length: int) -> Place:
        """Return the place of some characters of a scalar, or this place when that is unknown."""
        if not self.verbatim:
            return self
        return Place(self.line, self.column + offset, max(1, length), self.source_line)


NOWHERE = Place()
_WORD = re.compile(r"[^.\[]+")


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a document with its path (`tasks.train.after[0]`) and its places."""

    path: str
    value: Value | Mapping[str, Node] | Sequence[Node]
    place: Place = NOWHERE
    key_place: Place = NOWHERE
    """Of the key that names this value in its mapping."""

    @property
    def scalar(self) -> Value:
        """The value of a node that is neither a mapping nor a list."""
        return cast("Value", self.value)

    @property
    def members(self) -> Mapping[str, Node] | None:
        """The entries of a mapping, None for anything else."""
        return self.value if isinstance(self.value, Mapping) else None

    @property
    def items(self) -> Sequence[Node] | None:
        """The items of a list, None for anything else."""
        value = self.value
        return value if isinstance(value, Sequence) and not isinstance(value, str) else None

    def shown(self) -> str:
        """Return the value as people would write it, for messages."""
        if self.members is not None:
            return "a mapping"
        if self.items is not None:
            return "a list"
        if self.value is None:
            return "nothing"
        return str(self.value).lower() if isinstance(self.value, bool) else str(self.value)

    def find(self, path: str) -> Node | None:
        """Return the node of a path below this one, or the nearest one above it."""
        if path == self.path:
            return self
        for child in self._candidates(path):
            if path == child.path or path.startswith((f"{child.path}.", f"{child.path}[")):
                return child.find(path) or child
        return None

    def _candidates(self, path: str) -> Iterable[Node]:
        """Return the children that may lie on a path: the one its next word names, or all."""
        if self.members is None:
            return self.items or ()
        word = _WORD.match(path, len(self.path) + 1 if self.path else 0)
        child = self.members.get(word[0]) if word else None
        return self.members.values() if child is None else (child,)


@dataclass(slots=True)
class TroubleError(Exception):
    """A value cannot be read; its faults are those of the document."""

    faults: list[Fault] = field(default_factory=list)


def fault(
    code: str,
    node: Node,
    message: str,
    *,
    fix: str = "",
    candidates: Sequence[str] = (),
    at: Place | None = None,
) -> Fault:
    """Return a fault placed at a node, or at `at` when the place is more exact."""
    place = at or node.place
    return Fault(
        code=code,
        message=message,
        path=node.path,
        line=place.line,
        column=place.column,
        length=place.length,
        source_line=place.source_line,
        candidates=tuple(candidates),
        fix=fix,
    )


def trouble(
    code: str,
    node: Node,
    message: str,
    *,
    fix: str = "",
    candidates: Sequence[str] = (),
    at: Place | None = None,
) -> TroubleError:
    """Return the exception for one fault; arguments as in `fault`."""
    return TroubleError([fault(code, node, message, fix=fix, candidates=candidates, at=at)])


def plain(node: Node) -> object:
    """Return a tree as plain dictionaries, lists and scalars."""
    if node.members is not None:
        return {key: plain(member) for key, member in node.members.items()}
    if node.items is not None:
        return [plain(item) for item in node.items]
    return node.scalar


def child_path(parent: str, key: str) -> str:
    """Return the path of a key below a path."""
    return f"{parent}.{key}" if parent else key


def from_plain(value: object, name: str) -> Node:
    """Return the tree of plain dictionaries, lists and scalars (of REST or the client).

    Raises:
        InvalidInputError: when something in it is neither.
    """
    faults: list[Fault] = []
    tree = _plain_node(value, "", faults, 0)
    if faults:
        raise InvalidInputError(name, faults)
    return tree


def _plain_node(value: object, path: str, faults: list[Fault], depth: int) -> Node:
    if depth > DEPTH_MAX:
        faults.append(fault("S001", Node(path, None), f"is nested deeper than {DEPTH_MAX} levels"))
        return Node(path, None)
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, object]", value).items()
        return Node(
            path,
            {
                str(key): _plain_node(item, child_path(path, str(key)), faults, depth + 1)
                for key, item in entries
            },
        )
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        listed = list(_numbered(path, cast("Sequence[object]", value)))
        return Node(path, [_plain_node(item, at, faults, depth + 1) for at, item in listed])
    if isinstance(value, datetime.datetime):
        return Node(path, value.isoformat())
    if isinstance(value, int) and abs(value) > WHOLE_MAX:
        return Node(path, math.inf)
    if value is None or isinstance(value, str | int | float | bool):
        return Node(path, value)
    message = f"`{path}` is a {type(value).__name__}; use text, numbers, lists and mappings"
    faults.append(fault("S004", Node(path, None), message))
    return Node(path, None)


def _numbered(path: str, items: Sequence[object]) -> Iterator[tuple[str, object]]:
    return ((f"{path}[{index}]", item) for index, item in enumerate(items))
