"""What a batch of writes comes to, worked out before anything is written. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.model import documents
from engine.model.errors import ConflictError
from engine.model.records import ABSENT, Check, Collection, Delete, Put, Write

Row = dict[str, Any]


@dataclass(slots=True)
class Changes:
    """Rows to write in one table; filled while the batch is worked out."""

    inserts: list[Row] = field(default_factory=list)
    updates: list[Row] = field(default_factory=list)
    deletes: list[str] = field(default_factory=list)


def key_of(write: Write) -> str:
    """Return the key that a write is about."""
    return write.collection.key(write.value) if isinstance(write, Put) else write.key


def keys_by_collection(writes: Iterable[Write]) -> dict[str, set[str]]:
    """Return the keys whose versions have to be known, by collection."""
    keys: dict[str, set[str]] = {}
    for write in writes:
        keys.setdefault(write.collection.name, set()).add(key_of(write))
    return keys


def row(collection: Collection[Any], value: object, version: int) -> Row:
    """Return a record as a row of its table."""
    found_by = {name: compute(value) for name, compute in collection.columns.items()}
    return {
        "key": collection.key(value),
        "version": version,
        **found_by,
        "body": documents.encode(value),
    }


def changes(
    writes: Sequence[Write], versions: Mapping[str, Mapping[str, int]]
) -> dict[str, Changes]:
    """Return the changes by collection, given the stored versions (absent keys are missing).

    Later writes of a batch see earlier ones.

    Raises:
        ConflictError: when an expected version is not the stored one.
    """
    now = {name: dict(known) for name, known in versions.items()}
    rows: dict[str, dict[str, Row | None]] = {}
    for write in writes:
        name, key = write.collection.name, key_of(write)
        version = now[name].get(key, ABSENT)
        if isinstance(write, Check):
            _compare(name, key, version, write.version)
        elif isinstance(write, Delete):
            now[name][key] = ABSENT
            rows.setdefault(name, {})[key] = None
        else:
            _compare(name, key, version, write.expected)
            now[name][key] = version + 1
            rows.setdefault(name, {})[key] = row(write.collection, write.value, version + 1)
    return {name: _sorted_out(keyed, versions[name]) for name, keyed in rows.items()}


def _compare(name: str, key: str, version: int, expected: int | None) -> None:
    if expected is not None and version != expected:
        raise ConflictError(
            f"{name} {key!r} has version {version}, not {expected}; nothing was written",
            fix="read it again and repeat the step",
        )


def _sorted_out(rows: Mapping[str, Row | None], stored: Mapping[str, int]) -> Changes:
    result = Changes()
    for key, written in rows.items():
        if written is not None:
            (result.updates if key in stored else result.inserts).append(written)
        elif key in stored:
            result.deletes.append(key)
    return result
