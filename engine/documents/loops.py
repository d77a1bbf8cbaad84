"""Loops over parameters: a task with `each` becomes one task for each of its values.

    train: {kind: train, each: {family: [knn, tree]}, at once: 1, model: "{{family}}"}

becomes `train-1` and `train-2`, which are planned, run, retried and explained like any other task.
Lists of several parameters are combined; a list of mappings names each combination itself. A value
reaches the command as a parameter, and wherever `{{NAME}}` stands in the task. What comes after
`train` comes after all of them, and a condition may read `train` as the list of the outputs of
those that succeeded: `train.exists(t, t.quality > 0.9)`.

Of a list that a task writes only the most values are known: `turns_form`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import cast

from engine.documents.codecs.base import Codec, ScalarCodec, Schema
from engine.documents.sources import Node, TroubleError, fault, trouble
from engine.documents.turns_form import TURN, VALUES_MAX, turns
from engine.model.errors import Fault
from engine.model.specs import Scalar, Turn

_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][\w.-]*)\s*\}\}")
_SCALAR = ScalarCodec()
_KEYS = {"each", "most"}


class Each(Codec[tuple[Mapping[str, Scalar], ...]]):
    """The values of a loop: lists by parameter, or a list of parameters with values."""

    def read(self, node: Node) -> tuple[Mapping[str, Scalar], ...]:
        """Return the parameters of each task, in order; structures of other shapes are faults."""
        rows = _product(node) if node.members is not None else _listed(node)
        if not 1 <= len(rows) <= VALUES_MAX:
            text = f"the loop has {len(rows)} values, 1 to {VALUES_MAX} were expected"
            raise trouble("S023", node, text, fix="loop inside the command over the rest")
        return rows

    def write(self, value: tuple[Mapping[str, Scalar], ...]) -> object:
        """Return a list of mappings."""
        return [dict(row) for row in value]

    def schema(self) -> Schema:
        """Accept lists by parameter, or a list of mappings."""
        scalar = {"type": ["string", "number", "boolean"]}
        listed = {"type": "array", "items": scalar, "minItems": 1, "maxItems": VALUES_MAX}
        row = {"type": "object", "additionalProperties": scalar, "minProperties": 1}
        return {
            "anyOf": [
                {"type": "object", "additionalProperties": listed, "minProperties": 1},
                {"type": "array", "items": row, "minItems": 1, "maxItems": VALUES_MAX},
                {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "minProperties": 1,
                    "maxProperties": 1,
                },
            ]
        }


def _product(node: Node) -> tuple[Mapping[str, Scalar], ...]:
    names: list[str] = []
    columns: list[list[Scalar]] = []
    count = 1
    for name, values in (node.members or {}).items():
        if values.items is None or not _NAME.fullmatch(name):
            text = f"the parameter {name!r} needs a list of values, and a name of letters"
            raise trouble("S023", values, text, fix=f"write `{name}: [...]`")
        names.append(name)
        columns.append([_SCALAR.read(item) for item in values.items])
        count *= len(columns[-1])
        if count > VALUES_MAX:
            text = f"the loop has {count} values or more, at most {VALUES_MAX} were expected"
            raise trouble("S023", node, text, fix="loop inside the command over the rest")
    if not names:
        return ()
    return tuple(dict(zip(names, row, strict=True)) for row in itertools.product(*columns))


def _listed(node: Node) -> tuple[Mapping[str, Scalar], ...]:
    if node.items is None:
        raise trouble("S023", node, "lists by parameter were expected, as `family: [knn, tree]`")
    rows: list[Mapping[str, Scalar]] = []
    for item in node.items[: VALUES_MAX + 1]:
        if not item.members:
            raise trouble("S023", item, "a mapping of parameters was expected, as `{family: knn}`")
        rows.append({name: _SCALAR.read(value) for name, value in item.members.items()})
    return tuple(rows)


def expanded(root: Node, faults: list[Fault]) -> Node:
    """Return a pipeline with every loop written out; adds the faults of loops that cannot be."""
    tasks = (root.members or {}).get("tasks")
    if tasks is None or not any(_loops(task) for task in (tasks.members or {}).values()):
        return root
    instances: dict[str, list[str]] = {}
    written: dict[str, Node] = {}
    for name, task in (tasks.members or {}).items():
        if not _loops(task):
            written[name] = task
            continue
        try:
            single = _written_out(task, name)
        except TroubleError as error:
            faults.extend(error.faults)
            written[name] = _without(task)
            continue
        instances[name] = list(single)
        taken = single.keys() & (tasks.members or {}).keys()
        faults.extend(_taken(task, name, one) for one in sorted(taken))
        written |= single
    members = {name: _after(task, instances) for name, task in written.items()}
    inner = Node(tasks.path, members, tasks.place, tasks.key_place)
    return Node(root.path, {**(root.members or {}), "tasks": inner}, root.place, root.key_place)


def _written_out(task: Node, name: str) -> dict[str, Node]:
    """Return the tasks of a loop, by name.

    Raises:
        TroubleError: with what is wrong with the values of the loop.
    """
    found = turns(task)
    if found is not None:
        return {
            (one := f"{name}-{turn.number}"): _turn(_instance(task, name, one, {}), turn)
            for turn in found
        }
    rows = Each().read((task.members or {})["each"])
    names = [f"{name}-{number}" for number in range(1, len(rows) + 1)]
    return {one: _instance(task, name, one, row) for one, row in zip(names, rows, strict=True)}


def _turn(task: Node, turn: Turn) -> Node:
    """Return a task of a loop over a list that is not known yet, with its number in it."""
    at = f"{task.path}.turn"
    told = {
        key: Node(f"{at}.{key}", cast("Scalar", value), task.key_place, task.key_place)
        for key, value in TURN.write(turn).items()
    }
    node = Node(at, told, task.key_place, task.key_place)
    members = {**(task.members or {}), "turn": node}
    return Node(task.path, members, task.place, task.key_place)


def _taken(task: Node, loop: str, one: str) -> Fault:
    text = f"the loop `{loop}` becomes `{one}`, which stands here too"
    return fault("S023", task, text, at=task.key_place, fix="rename one")


def _loops(task: Node) -> bool:
    return "each" in (task.members or {})


def _without(task: Node) -> Node:
    members = {key: node for key, node in (task.members or {}).items() if key not in _KEYS}
    return Node(task.path, members, task.place, task.key_place)


def _instance(task: Node, loop: str, name: str, row: Mapping[str, Scalar]) -> Node:
    """Return one task of a loop."""
    path = f"tasks.{name}"
    members = dict(_moved(_without(task), task.path, path, row).members or {})
    given = members.get("parameters")
    at = f"{path}.parameters"
    own = {
        key: Node(f"{at}.{key}", value, task.key_place, task.key_place)
        for key, value in row.items()
    }
    place = given or Node(at, None, task.place, task.key_place)
    members["parameters"] = Node(
        at, {**((given.members or {}) if given else {}), **own}, place.place, place.key_place
    )
    members["loop"] = Node(f"{path}.loop", loop, task.key_place, task.key_place)
    return Node(path, members, task.place, task.key_place)


def _moved(node: Node, old: str, new: str, row: Mapping[str, Scalar]) -> Node:
    """Return a tree under another path, with the values of a loop where it names them."""
    path = new + node.path.removeprefix(old)
    if node.members is not None:
        members = {key: _moved(child, old, new, row) for key, child in node.members.items()}
        return Node(path, members, node.place, node.key_place)
    if node.items is not None:
        items = [_moved(child, old, new, row) for child in node.items]
        return Node(path, items, node.place, node.key_place)
    value = node.scalar
    if isinstance(value, str):
        value = _PLACEHOLDER.sub(lambda found: _shown(row, found), value)
    return Node(path, value, node.place, node.key_place)


def _shown(row: Mapping[str, Scalar], found: re.Match[str]) -> str:
    """Return a value of the loop as text; a name that is not of the loop stays as it was."""
    if found[1] not in row:
        return found[0]
    value = row[found[1]]
    return str(value).lower() if isinstance(value, bool) else str(value)


def _after(task: Node, instances: Mapping[str, Sequence[str]]) -> Node:
    """Return a task that comes after every instance of the loops it comes after."""
    node = (task.members or {}).get("after")
    if node is None:
        return task
    items: list[Node] = []
    for item in node.items if node.items is not None else [node]:
        for name in instances.get(item.shown(), [item.shown()]):
            same = name == item.shown()
            items.append(item if same else Node(item.path, name, item.place, item.key_place))
    numbered = [
        Node(f"{node.path}[{index}]", item.value, item.place, item.key_place)
        for index, item in enumerate(items)
    ]
    after = Node(node.path, numbered, node.place, node.key_place)
    members = {**(task.members or {}), "after": after}
    return Node(task.path, members, task.place, task.key_place)
