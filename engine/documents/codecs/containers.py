"""Lists, mappings with free keys, and values that may be `auto`, around codecs of their items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from engine.documents.codecs.base import Codec, Schema
from engine.documents.sources import Node, TroubleError, fault, trouble
from engine.model.errors import Fault

T = TypeVar("T")


@dataclass(frozen=True)
class Listed(Codec[tuple[T, ...]]):
    """A list without repetitions; a single item may stand without brackets."""

    item: Codec[T]
    length_max: int = 1_000
    unique: bool = True

    def read(self, node: Node) -> tuple[T, ...]:
        """Return all items; the faults of all items come together."""
        if node.value is None:
            raise trouble("S004", node, "a list was expected, not nothing", fix="remove the key")
        nodes = [node] if node.items is None else list(node.items)
        if len(nodes) > self.length_max:
            raise trouble("S007", node, f"has more than {self.length_max} items")
        values: list[T] = []
        faults: list[Fault] = []
        for item in nodes:
            try:
                value = self.item.read(item)
            except TroubleError as error:
                faults.extend(error.faults)
                continue
            if self.unique and value in values:
                message = f"{item.shown()!r} is listed twice"
                faults.append(fault("S008", item, message, fix="remove one"))
            values.append(value)
        if faults:
            raise TroubleError(faults)
        return tuple(values)

    def write(self, value: tuple[T, ...]) -> object:
        """Return a list; one item stands without brackets."""
        written = [self.item.write(item) for item in value]
        return written[0] if len(written) == 1 else written

    def schema(self) -> Schema:
        """Accept an item or a list of items."""
        item = self.item.schema()
        listed: Schema = {"type": "array", "items": item, "maxItems": self.length_max}
        if self.unique:
            listed["uniqueItems"] = True
        return {"anyOf": [item, listed]}


@dataclass(frozen=True)
class Mapped(Codec[dict[str, T]]):
    """A mapping whose keys are free words."""

    item: Codec[T]
    what: str = "a mapping"

    def read(self, node: Node) -> dict[str, T]:
        """Return the mapping; the faults of all members come together."""
        if node.members is None:
            raise trouble("S004", node, f"{self.what} was expected, not {node.shown()!r}")
        values: dict[str, T] = {}
        faults: list[Fault] = []
        for key, member in node.members.items():
            try:
                values[key] = self.item.read(member)
            except TroubleError as error:
                faults.extend(error.faults)
        if faults:
            raise TroubleError(faults)
        return values

    def write(self, value: Mapping[str, T]) -> object:
        """Return the mapping with its members written."""
        return {key: self.item.write(item) for key, item in value.items()}

    def schema(self) -> Schema:
        """Accept a mapping of such members."""
        return {"type": "object", "additionalProperties": self.item.schema()}


@dataclass(frozen=True)
class Auto(Codec[T | None]):
    """A value, or `auto`: let Berth forecast it."""

    item: Codec[T]

    def read(self, node: Node) -> T | None:
        """Return the value, None for `auto`."""
        return None if node.value == "auto" else self.item.read(node)

    def write(self, value: T | None) -> object:
        """Return `auto` for None."""
        return "auto" if value is None else self.item.write(value)

    def schema(self) -> Schema:
        """Accept the value or `auto`."""
        return {"anyOf": [{"const": "auto"}, self.item.schema()]}
