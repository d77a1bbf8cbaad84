"""Mappings with known keys: one table of fields drives reading, writing and the JSON Schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from engine.documents.codecs.base import Codec, Schema, check_name, unknown_key
from engine.documents.sources import Node, TroubleError, fault, trouble
from engine.model.errors import Fault

T = TypeVar("T")
Values = Mapping[str, Any]
"""What was read, by key; keys that were not written are absent."""


def present(values: Values, **names: str) -> dict[str, Any]:
    """Return constructor arguments for the keys that were written: attribute=key."""
    return {attribute: values[key] for attribute, key in names.items() if key in values}


@dataclass(frozen=True)
class Field:
    """One key: how its value is read, what it means, whether it must be there."""

    codec: Codec[Any]
    about: str
    required: bool = False


@dataclass(frozen=True)
class Form(Codec[T]):
    """A mapping with known keys that becomes one model value.

    build: makes the value of what was read; keys that were not written are absent, so that
        the defaults are those of the model and stand nowhere else. It may raise `TroubleError` by
        way of `complain`.
    take: the reverse; None for a key means that nothing would be written.
    """

    what: str
    fields: Mapping[str, Field]
    build: Callable[[Values], T]
    take: Callable[[T], Values]

    def read(self, node: Node) -> T:
        """Return the value; the faults of all fields come together."""
        faults: list[Fault] = []
        values = self.gather(node, faults)
        if faults:
            raise TroubleError(faults)
        return self.build(values)

    def gather(self, node: Node, faults: list[Fault]) -> Values:
        """Return what can be read; faults are added to `faults`."""
        if node.members is None:
            message = f"{self.what} was expected, not {node.shown()!r}"
            faults.append(fault("S004", node, message, fix=f"keys: {', '.join(self.fields)}"))
            return {}
        values: dict[str, Any] = {}
        for key, member in node.members.items():
            known = self.fields.get(key)
            if known is None:
                faults.append(unknown_key(key, member, tuple(self.fields)))
                continue
            try:
                values[key] = known.codec.read(member)
            except TroubleError as error:
                faults.extend(error.faults)
        faults.extend(
            fault("S003", node, f"key `{key}` is missing in {self.what}", fix=f"add `{key}: ...`")
            for key, known in self.fields.items()
            if known.required and key not in node.members
        )
        return values

    def write(self, value: T) -> dict[str, object]:
        """Return the mapping with every key that has a value, defaults included."""
        taken = self.take(value)
        return {
            key: known.codec.write(taken[key])
            for key, known in self.fields.items()
            if taken.get(key) is not None
        }

    def schema(self) -> Schema:
        """Accept a mapping with these keys and no others."""
        properties = {
            key: {"description": known.about, **known.codec.schema()}
            for key, known in self.fields.items()
        }
        required = [key for key, known in self.fields.items() if known.required]
        listed: Schema = {"required": required} if required else {}
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": properties,
            **listed,
        }


@dataclass(frozen=True)
class Brief(Codec[T]):
    """A form, or the value of one of its keys alone: `gpu: 2` for `gpu: {count: 2}`."""

    form: Form[T]
    key: str

    def read(self, node: Node) -> T:
        """Return the value; what is no mapping is read as that of the key."""
        if node.members is not None:
            return self.form.read(node)
        return self.form.build({self.key: self.form.fields[self.key].codec.read(node)})

    def write(self, value: T) -> object:
        """Return the whole mapping."""
        return self.form.write(value)

    def schema(self) -> Schema:
        """Accept either."""
        return {"anyOf": [self.form.schema(), self.form.fields[self.key].codec.schema()]}


@dataclass(frozen=True)
class Named(Codec[tuple[T, ...]]):
    """A mapping from names to values of one form, in the order written; never empty.

    `with_name` gives a value its name, `name_of` reads it back.
    """

    form: Form[T]
    with_name: Callable[[str, T], T]
    name_of: Callable[[T], str]
    length_max: int

    def read(self, node: Node) -> tuple[T, ...]:
        """Return all values; the faults of all members come together."""
        faults: list[Fault] = []
        values = self.gather(node, faults)
        if faults:
            raise TroubleError(faults)
        return values

    def gather(self, node: Node, faults: list[Fault]) -> tuple[T, ...]:
        """Return the values that can be read; faults are added to `faults`."""
        members = node.members
        if not members:
            message = f"a mapping from names to {self.form.what} was expected"
            shown = "an empty one" if members is not None else f"{node.shown()!r}"
            faults.append(fault("S004", node, f"{message}, not {shown}"))
            return ()
        if len(members) > self.length_max:
            raise trouble("S007", node, f"has more than {self.length_max} entries")
        values: list[T] = []
        for key, member in members.items():
            try:
                check_name(key, member, key=True)
            except TroubleError as error:
                faults.extend(error.faults)
            try:
                values.append(self.with_name(key, self.form.read(member)))
            except TroubleError as error:
                faults.extend(error.faults)
        return tuple(values)

    def write(self, value: tuple[T, ...]) -> dict[str, object]:
        """Return the mapping in the same order."""
        return {self.name_of(item): self.form.write(item) for item in value}

    def schema(self) -> Schema:
        """Accept a mapping of names to this form."""
        return {
            "type": "object",
            "minProperties": 1,
            "maxProperties": self.length_max,
            "additionalProperties": self.form.schema(),
        }
