"""How far a super-alarm reaches, drawn: the likely cause, what is alarmed, whose pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.model import alarms

WIDTH = 720
ROW = 34
NODE = 24
COLUMNS = (0, 260, 520)
NODE_WIDTH = 200
NAMES_MOST = 8
LETTERS_MOST = 28

Line = tuple[int, int, int, int]
"""From where to where: x and y, twice."""


@dataclass(frozen=True, slots=True)
class Node:
    """A box with its name; `full` is the name where it was cut."""

    x: int
    y: int
    text: str
    full: str
    kind: str


@dataclass(frozen=True, slots=True)
class Reach:
    """Boxes and the lines between them, and the whole in words."""

    nodes: tuple[Node, ...]
    lines: tuple[Line, ...]
    height: int
    words: str


def reach(group: alarms.SuperAlarm) -> Reach | None:
    """Return the drawing, None while no cause is known or nothing but it is alarmed."""
    cause = group.likely
    subjects = list(dict.fromkeys(alarm.subject for alarm in group.alarms))
    others = [subject for subject in subjects if cause is None or subject != cause.subject]
    if cause is None or not (others or group.pipelines):
        return None
    names = _shortened(others)
    pipelines = _shortened(group.pipelines)
    source = cause.subject or cause.title
    height = max(1, len(names), len(pipelines)) * ROW
    first = _column(0, [source], height, "cause")
    middle = _column(1, names, height, "alarmed")
    last = _column(2, pipelines, height, "pipeline")
    lines = _lines(first[0], middle, last, group)
    told = f"{source} reaches {', '.join(names) or 'nothing else that is alarmed'}"
    harmed = f"; harmed or at risk: {', '.join(pipelines)}" if pipelines else ""
    return Reach((*first, *middle, *last), lines, height, told + harmed)


def _shortened(names: Sequence[str]) -> list[str]:
    more = len(names) - NAMES_MOST
    return [*names[:NAMES_MOST], *([f"and {more} more"] if more > 0 else [])]


def _lines(
    cause: Node, alarmed: Sequence[Node], pipelines: Sequence[Node], group: alarms.SuperAlarm
) -> tuple[Line, ...]:
    """Return lines from the cause to what is alarmed, and on to the pipelines that own it."""
    if not alarmed:
        return tuple(_line(cause, node) for node in pipelines)
    owners = {alarm.subject: alarm.labels.get("pipeline", "") for alarm in group.alarms}
    lines = [_line(cause, node) for node in alarmed]
    for node in alarmed:
        mine = owners.get(node.full) or node.full.partition(":")[2].partition("/")[0]
        lines += [_line(node, other) for other in pipelines if other.full == mine]
    return tuple(lines)


def _column(place: int, names: Sequence[str], height: int, kind: str) -> list[Node]:
    begin = (height - len(names) * ROW) // 2
    return [
        Node(COLUMNS[place], begin + number * ROW + (ROW - NODE) // 2, _short(name), name, kind)
        for number, name in enumerate(names)
    ]


def _line(start: Node, end: Node) -> Line:
    return start.x + NODE_WIDTH, start.y + NODE // 2, end.x, end.y + NODE // 2


def _short(name: str) -> str:
    return name if len(name) <= LETTERS_MOST else f"{name[: LETTERS_MOST - 1]}…"
