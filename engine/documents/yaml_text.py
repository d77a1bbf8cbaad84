"""YAML into trees of nodes; the only home of ruamel.yaml here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from ruamel.yaml import YAML
from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode

from engine.documents.sources import (
    DEPTH_MAX,
    NOWHERE,
    Node,
    Place,
    TroubleError,
    Value,
    child_path,
    fault,
    plain,
    trouble,
)
from engine.model.errors import Fault, InvalidInputError
from engine.model.specs import WHOLE_MAX

TEXT_LENGTH_MAX = 500_000
"""Characters; the largest pipelines people write have some ten thousand."""
NODE_COUNT_MAX = 50_000
"""Nodes after aliases are expanded, so that a few lines of aliases cannot fill the memory."""
_WHOLE_LENGTH_MAX = 400
"""Characters of a whole number; Python does not read thousands of digits."""

_TOO_DEEP = f"is nested deeper than {DEPTH_MAX} levels"
_TAG = "tag:yaml.org,2002:"


def parse_yaml(text: str, name: str, *, depth_max: int = DEPTH_MAX) -> tuple[Node, list[Fault]]:
    """Parse YAML 1.2 into a tree, with the faults that allow going on (a key written twice).

    Raises:
        InvalidInputError: when the text is not one YAML document of a sensible size; faults of
            its syntax come one at a time, since nothing after the first can be trusted.
    """
    lines = text.splitlines()
    if len(text) > TEXT_LENGTH_MAX:
        message = f"has {len(text):,} characters, more than {TEXT_LENGTH_MAX:,}"
        raise InvalidInputError(name, [Fault(code="S001", message=message)])
    yaml = YAML(typ="safe", pure=True)
    # Refused while it is read: the parser takes seconds for what is a thousand levels deep.
    yaml.max_depth = depth_max + 1
    try:
        root = yaml.compose(text)
    except YAMLError as error:
        raise InvalidInputError(name, [_syntax_fault(error, lines)]) from error
    if root is None:
        fix = "start from `berth init NAME`"
        raise InvalidInputError(name, [Fault(code="S001", message="is empty", fix=fix)])
    walk = _Walk(lines, depth_max)
    try:
        tree = walk.node(root, "", NOWHERE, 0)
    except TroubleError as error:
        raise InvalidInputError(name, error.faults) from error
    return tree, walk.faults


def _syntax_fault(error: YAMLError, lines: list[str]) -> Fault:
    """Return the fault of a text that is not YAML, placed where the parser gave up."""
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return Fault(code="S001", message=f"is not YAML: {str(error).splitlines()[0]}")
    line, column = error.problem_mark.line, error.problem_mark.column
    is_deep = isinstance(error, MaxDepthExceededError)
    return Fault(
        code="S001",
        message=_TOO_DEEP if is_deep else f"is not YAML: {error.problem or error.context}",
        line=line + 1,
        column=column + 1,
        source_line=lines[line] if line < len(lines) else "",
        fix="" if is_deep else "check brackets, quotes, colons and indentation up to here",
    )


class _Walk:
    """Turns the parser's nodes into ours; keeps count and gathers faults that allow going on."""

    def __init__(self, lines: list[str], depth_max: int) -> None:
        self._depth_max = depth_max
        self._lines = lines
        self._count = 0
        self.faults: list[Fault] = []

    def node(self, raw: YamlNode, path: str, key_place: Place, depth: int) -> Node:
        """Return our node of a parser's node and of everything below it."""
        self._count += 1
        place = self._place(raw)
        here = Node(path, None, place, key_place)
        if depth > self._depth_max:
            raise trouble("S001", here, _TOO_DEEP)
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


def _whole(text: str) -> int | float:
    """Return a YAML 1.2 integer: decimal, 0x or 0o, with underscores; infinite beyond its range."""
    if len(text) > _WHOLE_LENGTH_MAX:
        return math.inf
    found = int(text.replace("_", ""), 0 if text.lstrip("+-")[:2] in {"0x", "0o"} else 10)
    return math.inf if abs(found) > WHOLE_MAX else found


def plain_value(text: str, *, name: str) -> object:
    """Return what a YAML text says, as plain data; for values given on a command line.

    Raises:
        InvalidInputError: when the text is not YAML.
    """
    root, faults = parse_yaml(text, name)
    if faults:
        raise InvalidInputError(name, faults)
    return plain(root)


def place_faults(text: str, faults: Sequence[Fault], *, name: str) -> tuple[Fault, ...]:
    """Return faults that have only a path with the line and column of that path in a YAML text.

    Raises:
        InvalidInputError: when the text is not YAML.
    """
    root, _ = parse_yaml(text, name)
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
