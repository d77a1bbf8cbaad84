"""Workers of a training: `workers: 4`, `workers: 1 to 4`, and `speed up: {2: 1.8, 4: 3.1}`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from engine.documents.codecs.base import Codec, Number, Schema, Whole
from engine.documents.codecs.containers import Mapped
from engine.documents.codecs.forms import Values
from engine.documents.sources import Node, fault, trouble
from engine.model.errors import Fault
from engine.model.specs import Workers

WORKERS_MAX = 1_024
_COUNT = Whole(1, WORKERS_MAX, "a number of workers")
_RANGE = re.compile(r"\s*(\d{1,9})\s+to\s+(\d{1,9})\s*")
_WHOLE = re.compile(r"\d{1,9}")
_FACTORS = Mapped(Number(0.01, WORKERS_MAX, "a speed-up"), "speed-ups")


class WorkersCodec(Codec[Workers]):
    """A number of workers, or a range from which a plan chooses."""

    def read(self, node: Node) -> Workers:
        """Return the range; one number is the range of that number."""
        match = _RANGE.fullmatch(node.value) if isinstance(node.value, str) else None
        if match is None and isinstance(node.value, str):
            message = f"a number or a range was expected, not {node.shown()!r}"
            raise trouble("S004", node, message, fix="for example `1 to 4`")
        ends = [node, node] if match is None else [_part(node, match[1]), _part(node, match[2])]
        least, most = (_COUNT.read(end) for end in ends)
        if least > most:
            message = f"{node.shown()!r} ends before it begins"
            raise trouble("S007", node, message, fix=f"write `{most} to {least}`")
        return Workers(least=least, most=most)

    def write(self, value: Workers) -> object:
        """Return the number, or the range in words."""
        return value.least if value.least == value.most else f"{value.least} to {value.most}"

    def schema(self) -> Schema:
        """Accept a number, or a range in words."""
        words: Schema = {"type": "string", "pattern": r"^\s*\d+\s+to\s+\d+\s*$"}
        return {"anyOf": [_COUNT.schema(), {**words, "examples": ["1 to 4"]}]}


class SpeedUpCodec(Codec[tuple[tuple[int, float], ...]]):
    """How many times faster than one worker several are, by their number."""

    def read(self, node: Node) -> tuple[tuple[int, float], ...]:
        """Return the speed-ups by number of workers, in the order of these."""
        found = _FACTORS.read(node)
        named = [int(key) if _WHOLE.fullmatch(key) else key for key in found]
        counts = [_COUNT.read(Node(node.path, name, node.place)) for name in named]
        if len(set(counts)) < len(counts):
            twice = next(count for count in counts if counts.count(count) > 1)
            message = f"{twice} workers are named twice"
            raise trouble("S008", node, message, fix="keep one of the two")
        pairs = zip(counts, found.values(), strict=True)
        return tuple(sorted(pair for pair in pairs if pair[0] > 1))

    def write(self, value: tuple[tuple[int, float], ...]) -> object:
        """Return the mapping."""
        return _FACTORS.write({str(count): factor for count, factor in value})

    def schema(self) -> Schema:
        """Accept a mapping from numbers to numbers."""
        return _FACTORS.schema()


def workers_faults(members: Mapping[str, Node], values: Values) -> list[Fault]:
    """Return faults of keys that need one another: who has workers starts them itself."""
    found: list[Fault] = []
    if "workers" in members and not values.keys() & {"command", "image"}:
        message = "the built-in training is one process, and no workers join it"
        fix = "add `command: [berth, train, $BERTH_FOLDER/net.py:recipe]`, or remove it"
        found.append(fault("S025", members["workers"], message, fix=fix))
    if "speed up" in members and "workers" not in members:
        message = "`speed up` is about workers, and there are none"
        found.append(fault("S025", members["speed up"], message, fix="add `workers: 1 to 4`"))
    return found


def _part(node: Node, text: str) -> Node:
    return Node(node.path, int(text), node.place)
