"""Reads the file in which people say what calls what, and what stands together.

Nothing needs it: relations are learned from what alarms name. It helps on the first day, and
where calls leave no labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.documents.sources import Node, fault
from engine.documents.yaml_text import parse_yaml
from engine.model.errors import Fault, InvalidInputError

_KEYS = ("calls", "together")


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Relations of entities (`service:cart`, `node:rack-7`, `cluster:east`).

    calls: caller and callee; circles are allowed. together: pairs without a direction.
    """

    calls: tuple[tuple[str, str], ...] = ()
    together: tuple[tuple[str, str], ...] = ()

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every relation, whatever its direction."""
        return (*self.calls, *self.together)


def load_topology(text: str, name: str) -> Topology:
    """Return the topology of a YAML text.

    Entities that no alarm ever names do no harm, and neither do circles of calls.

    Raises:
        InvalidInputError: with every fault of the text: unknown keys, entries that are no names,
            calls of oneself, groups of one, far too much text.
    """
    root, faults = parse_yaml(text, name)
    reader = _Reader(faults)
    members = reader.members(root)
    found = Topology(
        calls=tuple(dict.fromkeys(reader.calls(members.get("calls")))),
        together=tuple(dict.fromkeys(reader.together(members.get("together")))),
    )
    if reader.faults:
        raise InvalidInputError(name, reader.faults)
    return found


class _Reader:
    """Reads nodes and gathers faults."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = list(faults)

    def members(self, root: Node) -> Mapping[str, Node]:
        """Return the parts of the file; other keys are faults."""
        if root.members is None:
            self._add("S004", root, f"expected a mapping, found {root.shown()}")
            return {}
        for key, member in root.members.items():
            if key not in _KEYS:
                found = fault(
                    "S002",
                    member,
                    f"unknown key `{key}`",
                    fix="known: `calls`, `together`",
                    at=member.key_place,
                )
                self.faults.append(found)
        return root.members

    def calls(self, node: Node | None) -> Iterator[tuple[str, str]]:
        """Yield caller and callee."""
        if node is None:
            return
        if node.members is None:
            message = f"`calls` maps a caller to what it calls, found {node.shown()}"
            self._add("S004", node, message, fix="calls: {frontend: [cart, checkout]}")
            return
        for caller, callees in node.members.items():
            for callee, name in self._names(callees):
                if name == entity(caller):
                    self._add("S004", callee, f"{caller} calls itself", fix="leave it out")
                else:
                    yield entity(caller), name

    def together(self, node: Node | None) -> Iterator[tuple[str, str]]:
        """Yield each entity of a group with the first of it."""
        if node is None:
            return
        if node.items is None:
            message = f"`together` is a list of groups, found {node.shown()}"
            self._add("S004", node, message, fix="together: [[cart, node:rack-7]]")
            return
        for group in node.items:
            before = len(self.faults)
            names = list(dict.fromkeys(name for _, name in self._names(group)))
            if len(names) > 1:
                yield from ((names[0], other) for other in names[1:])
            elif len(self.faults) == before:
                self._add("S004", group, "a group needs two names or more")

    def _names(self, node: Node) -> Iterator[tuple[Node, str]]:
        if node.items is None:
            self._add("S004", node, f"expected a list of names, found {node.shown()}")
            return
        for item in node.items:
            if isinstance(item.value, str) and item.value.strip():
                yield item, entity(item.value)
            else:
                self._add("S004", item, f"expected a name, found {item.shown()}", fix="quote it")

    def _add(self, code: str, node: Node, message: str, *, fix: str = "") -> None:
        self.faults.append(fault(code, node, message, fix=fix))


def entity(name: str) -> str:
    """Return the entity that a name stands for: a service unless it says what it is.

    >>> entity("cart"), entity("node:rack-7")
    ('service:cart', 'node:rack-7')
    """
    stripped = name.strip()
    return stripped if ":" in stripped else f"service:{stripped}"
