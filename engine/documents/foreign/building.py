"""What both readers share: names, resources, kinds, and the tasks that come out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from engine.documents.codecs.base import NAME_LENGTH_MAX
from engine.documents.foreign.turns import MOST, Over
from engine.model.specs import Scalar

DEPTH_MAX = 16
"""Groups within groups."""
OPENED_MAX = 1_000
"""Templates, groups and tasks that are read: what uses itself twice doubles with each level."""
TASKS_MAX = 1_000
GROWTH_MAX = 1_000_000
"""Characters that values add where they are put in: what is handed on twice doubles each time."""
_CORES_MIN = 0.01
_WHOLE = re.compile(r"-?[0-9]{1,9}")
_KINDS = (
    ("train", ("train", "fit", "tune", "learn")),
    ("evaluate", ("eval", "compare", "validate", "score", "pick")),
    ("package", ("package", "build", "image")),
    ("features", ("feature", "prepare", "preprocess", "transform")),
)
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([A-Za-z]*)")
_BYTES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
          "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}  # fmt: skip


@dataclass(slots=True)
class Task:
    """A task as it will be written; `when` holds conditions that all must be true."""

    name: str
    line: int
    after: list[str] = field(default_factory=list)
    when: list[str] = field(default_factory=list)
    keys: dict[str, object] = field(default_factory=dict)
    parameters: dict[str, Scalar] = field(default_factory=dict)
    each: list[dict[str, Scalar]] | Over | None = None


@dataclass(slots=True)
class Room:
    """What texts may still grow by, in characters."""

    left: int = GROWTH_MAX

    def take(self, size: int) -> bool:
        """Return whether there was room for as much, which is taken then."""
        if size > self.left:
            return False
        self.left -= size
        return True


def in_order(waits: Mapping[str, set[str]]) -> Iterator[str]:
    """Yield names after those that they wait for, by their order else; a circle opens at its first.

    waits: the names that each one waits for; others than its keys do not count.
    """
    left = {name: len(before & waits.keys()) for name, before in waits.items()}
    followers: dict[str, list[str]] = {}
    for name, before in waits.items():
        for one in before:
            followers.setdefault(one, []).append(name)
    place = {name: index for index, name in enumerate(waits)}
    ready = [name for name, count in left.items() if not count]
    while left:
        following: list[str] = []
        for name in ready or [next(iter(left))]:
            del left[name]
            yield name
            for one in followers.get(name, ()):
                if one in left:
                    left[one] -= 1
                    following += [one] if not left[one] else []
        ready = sorted(following, key=place.__getitem__)


def whole(text: str) -> int | None:
    """Return a text as a whole number of at most nine digits; None when it is none."""
    return int(text) if _WHOLE.fullmatch(text) else None


def name_of(text: str, taken: Iterable[str]) -> str:
    """Return a name of ours, near to another system's, that is not taken."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    plain = plain if plain[:1].isalpha() else f"t-{plain}".strip("-")
    plain = plain[: NAME_LENGTH_MAX - 4].strip("-")
    known = set(taken)
    if plain not in known:
        return plain
    return next(f"{plain}-{n}" for n in range(2, TASKS_MAX + 2) if f"{plain}-{n}" not in known)


def kind_of(name: str) -> str:
    """Return the kind that a name suggests: it only guides the forecast of a task's needs."""
    for kind, words in _KINDS:
        if any(word in name for word in words):
            return kind
    return "etl"


def cores(text: str) -> str | None:
    """Return a quantity of CPU of Kubernetes in our words; None for zero."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2] not in {"", "m"}:
        return None
    count = float(match[1]) / (1000 if match[2] else 1)
    return f"{max(_CORES_MIN, count):g} cores" if count else None


def gib(text: str) -> str | None:
    """Return a quantity of memory of Kubernetes in our words."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2] not in _BYTES:
        return None
    return f"{float(match[1]) * _BYTES[match[2]] / 2**30:.4g} GiB"


def written(name: str, tasks: Iterable[Task]) -> dict[str, object]:
    """Return a pipeline document of ours."""
    found: dict[str, object] = {}
    for task in tasks:
        keys: dict[str, object] = {"kind": kind_of(task.name)}
        if task.after:
            keys["after"] = list(dict.fromkeys(task.after))
        if task.when:
            whens = list(dict.fromkeys(task.when))
            parts = whens if len(whens) == 1 else [f"({when})" for when in whens]
            keys["when"] = " && ".join(parts)
        keys.update(task.keys)
        if isinstance(task.each, Over):
            keys["each"] = {task.each.parameter: f"{task.each.task}.{task.each.output}"}
            keys["most"] = MOST
        elif task.each:
            keys["each"] = task.each
        if task.parameters:
            keys["parameters"] = dict(task.parameters)
        found[task.name] = keys
    return {"pipeline": name_of(name, ()), "tasks": found}


def literal(value: Scalar) -> str:
    """Return a value as CEL has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


def scalar(text: str) -> Scalar:
    """Return a text as a number or truth where it is one."""
    if text in {"true", "false"}:
        return text == "true"
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        # Not a number, and infinity, are no values of ours.
        return value if abs(value) < float("inf") else text
    return text


def exact(text: str) -> Scalar:
    """Return a text as a number or truth where that is written just so: `1.10` and `007` stay."""
    value = scalar(text)
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    return value if shown == text else text


def flattened(value: object) -> dict[str, Scalar]:
    """Return an item of a loop as parameters: `item`, or `item.key` for each key of a mapping."""
    if isinstance(value, Mapping):
        return {
            f"item.{key}": inner
            for key, inner in value.items()
            if isinstance(inner, str | int | float | bool)
        }
    return {"item": value} if isinstance(value, str | int | float | bool) else {}
