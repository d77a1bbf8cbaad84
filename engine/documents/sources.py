"""Documents as trees of nodes that know where they were written.

YAML and plain mappings become the same tree, so one reader serves the file, the client and
REST; only the places differ: line and column for YAML, a path alone for the others.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode

from engine.model.errors import Fault, InvalidInputError

TEXT_LENGTH_MAX = 1_000_000
"""Characters; the largest pipelines people write have some ten thousand."""
NODE_COUNT_MAX = 50_000
"""Nodes after aliases are expanded, so that a few lines of aliases cannot fill the memory."""
DEPTH_MAX = 12
"""Levels of nesting; the deepest document of ours has six."""

_TAG = "tag:yaml.org,2002:"

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
        children = self.members.values() if self.members is not None else (self.items or ())
        for child in children:
            if path == child.path or path.startswith((f"{child.path}.", f"{child.path}[")):
                return child.find(path) or child
        return None


@dataclass(slots=True)
class Trouble(Exception):
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
) -> Trouble:
    """Return the exception for one fault; arguments as in `fault`."""
    return Trouble([fault(code, node, message, fix=fix, candidates=candidates, at=at)])


def child_path(parent: str, key: str) -> str:
    """Return the path of a key below a path."""
    return f"{parent}.{key}" if parent else key


def parse_yaml(text: str, name: str) -> Node:
    """Parse YAML 1.2 into a tree. Duplicate keys and foreign tags are faults.

    Raises:
        InvalidInputError: when the text is not one YAML document of a sensible size; faults of
            its syntax come one at a time, since nothing after the first can be trusted.
    """
    lines = text.splitlines()
    if len(text) > TEXT_LENGTH_MAX:
        message = f"has {len(text):,} characters, more than {TEXT_LENGTH_MAX:,}"
        raise InvalidInputError(name, [Fault(code="S001", message=message)])
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except RecursionError as error:
        message = f"is nested deeper than {DEPTH_MAX} levels"
        raise InvalidInputError(name, [Fault(code="S001", message=message)]) from error
    except YAMLError as error:
        raise InvalidInputError(name, [_syntax_fault(error, lines)]) from error
    if root is None:
        fix = "start from `berth init NAME`"
        raise InvalidInputError(name, [Fault(code="S001", message="is empty", fix=fix)])
    walk = _Walk(lines)
    try:
        tree = walk.node(root, "", NOWHERE, 0)
    except Trouble as error:
        raise InvalidInputError(name, error.faults) from error
    if walk.faults:
        raise InvalidInputError(name, walk.faults)
    return tree


def _syntax_fault(error: YAMLError, lines: Sequence[str]) -> Fault:
    """Return the fault of a text that is not YAML, placed where the parser gave up."""
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return Fault(code="S001", message=f"is not YAML: {str(error).splitlines()[0]}")
    line, column = error.problem_mark.line, error.problem_mark.column
    return Fault(
        code="S001",
        message=f"is not YAML: {error.problem or error.context}",
        line=line + 1,
        column=column + 1,
        source_line=lines[line] if line < len(lines) else "",
        fix="check brackets, quotes, colons and indentation up to here",
    )


class _Walk:
    """Turns the parser's nodes into ours; keeps count and gathers faults that allow going on."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._count = 0
        self.faults: list[Fault] = []

    def node(self, raw: YamlNode, path: str, key_place: Place, depth: int) -> Node:
        """Return our node of a parser's node and of everything below it."""
        self._count += 1
        place = self._place(raw)
        here = Node(path, None, place, key_place)
        if depth > DEPTH_MAX:
            raise trouble("S001", here, f"is nested deeper than {DEPTH_MAX} levels")
        if self._count > NODE_COUNT_MAX:
            raise trouble("S001", here, f"has more than {NODE_COUNT_MAX:,} values")
        if isinstance(raw, MappingNode):
            return Node(path, self._members(raw, path, depth), place, key_place)
        if isinstance(raw, SequenceNode):
            items = [
                self.node(item, f"{path}[{index}]", NOWHERE, depth + 1)
                for index, item in enumerate(raw.value)
            ]
            return Node(path, items, place, key_place)
        return Node(path, self._scalar(raw, here), place, key_place)

    def _members(self, raw: MappingNode, path: str, depth: int) -> dict[str, Node]:
        members: dict[str, Node] = {}
        for raw_key, raw_value in raw.value:
            place = self._place(raw_key)
            if not isinstance(raw_key, ScalarNode):
                here = Node(path, None, place)
                self.faults.append(fault("S004", here, "a key must be a word, not a structure"))
                continue
            key = str(raw_key.value)
            member = self.node(raw_value, child_path(path, key), place, depth + 1)
            if key in members:
                first = members[key].key_place.line
                message = f"key `{key}` was written before, on line {first}"
                self.faults.append(
                    fault("S008", member, message, at=place, fix="keep one of the two")
                )
                continue
            members[key] = member
        return members

    def _scalar(self, raw: YamlNode, here: Node) -> Value:
        text = str(raw.value)
        match str(raw.tag).removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return _whole(text)
            case "float":
                return float(
                    text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan")
                )
            case "str" | "timestamp":
                return text
            case _:
                message = f"tag `{raw.tag}` is not understood here"
                self.faults.append(fault("S001", here, message, fix="remove the tag"))
                return text

    def _place(self, raw: YamlNode) -> Place:
        start = cast("StringMark", raw.start_mark)
        end = cast("StringMark", raw.end_mark)
        line = self._lines[start.line] if start.line < len(self._lines) else ""
        one_line = end.line == start.line
        # A block ends at the start of the next line; its caret goes to the end of its own first.
        length = (end.column if one_line else len(line)) - start.column
        plain = one_line and isinstance(raw, ScalarNode) and not raw.style
        return Place(start.line + 1, start.column + 1, max(1, length), line, plain)


def _whole(text: str) -> int:
    """Return a YAML 1.2 integer: decimal, 0x or 0o, with underscores."""
    return int(text.replace("_", ""), 0 if text.lstrip("+-")[:2] in {"0x", "0o"} else 10)


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
    if value is None or isinstance(value, str | int | float | bool):
        return Node(path, value)
    message = f"`{path}` is a {type(value).__name__}; use text, numbers, lists and mappings"
    faults.append(fault("S004", Node(path, None), message))
    return Node(path, None)


def _numbered(path: str, items: Sequence[object]) -> Iterator[tuple[str, object]]:
    return ((f"{path}[{index}]", item) for index, item in enumerate(items))


def place_faults(text: str, faults: Sequence[Fault], *, name: str) -> tuple[Fault, ...]:
    """Return faults that have only a path with the line and column of that path in a YAML text.

    Raises:
        InvalidInputError: when the text is not YAML.
    """
    root = parse_yaml(text, name)
    placed: list[Fault] = []
    for item in faults:
        node = root.find(item.path)
        if item.line or node is None:
            placed.append(item)
            continue
        placed.append(
            fault(item.code, node, item.message, fix=item.fix, candidates=item.candidates)
        )
    return tuple(placed)
