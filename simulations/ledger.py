"""The store in a dictionary: what `engine.store` does, without a database, for long replays."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from engine.model.errors import ConflictError
from engine.model.records import (
    ABSENT,
    Check,
    Collection,
    Column,
    Delete,
    Put,
    Stored,
    Write,
)

T = TypeVar("T")


class MemoryLedger:
    """Keeps records in memory. Port `Ledger`; may be called from several threads."""

    def __init__(self) -> None:
        self._records: dict[str, dict[str, Stored[Any]]] = {}
        self._lock = threading.Lock()

    def get(self, collection: Collection[T], key: str) -> Stored[T] | None:
        """Return one record, or None."""
        with self._lock:
            return self._records.get(collection.name, {}).get(key)

    def select(
        self,
        collection: Collection[T],
        *,
        where: Mapping[str, Column | Sequence[Column]] | None = None,
        order_by: str = "",
        descending: bool = False,
        since: float | None = None,
        limit: int = 10_000,
    ) -> Sequence[Stored[T]]:
        """Return records whose columns equal `where`, ordered by `order_by`, then by key.

        Raises:
            ValueError: when the collection has no such column.
        """
        unknown = {*(where or {}), *((order_by,) if order_by else ())} - collection.columns.keys()
        if unknown:
            raise ValueError(f"{collection.name} has no column {min(unknown)!r}")
        with self._lock:
            found: list[Stored[T]] = list(self._records.get(collection.name, {}).values())
        for name, wanted in (where or {}).items():
            column = collection.columns[name]
            any_of = wanted if _is_several(wanted) else (wanted,)
            found = [one for one in found if column(one.value) in cast("Sequence[Column]", any_of)]
        if order_by and since is not None:
            by = collection.columns[order_by]
            found = [one for one in found if _is_after(by(one.value), since)]
        if order_by:
            by = collection.columns[order_by]
            found.sort(
                key=lambda one: (cast("float", by(one.value)), collection.key(one.value)),
                reverse=descending,
            )
        else:
            found.sort(key=lambda one: collection.key(one.value))
        return found[:limit]

    def commit(self, name: str, writes: Sequence[Write]) -> None:
        """Write all or nothing.

        Raises:
            ConflictError: when an expected version is not the stored one; nothing was written.
        """
        staged: dict[tuple[str, str], Stored[Any] | None] = {}
        with self._lock:
            for write in writes:
                kept = write.collection.name
                key = write.collection.key(write.value) if isinstance(write, Put) else write.key
                known = staged.get((kept, key), self._records.get(kept, {}).get(key))
                version = ABSENT if known is None else known.version
                if isinstance(write, Delete):
                    staged[kept, key] = None
                    continue
                wanted = write.version if isinstance(write, Check) else write.expected
                if wanted is not None and wanted != version:
                    raise ConflictError(
                        f"{kept} {key!r} has version {version}, not {wanted} ({name})",
                        fix="read it again and repeat the step",
                    )
                if isinstance(write, Put):
                    staged[kept, key] = Stored(write.value, version + 1)
            for (kept, key), stored in staged.items():
                records = self._records.setdefault(kept, {})
                if stored is None:
                    records.pop(key, None)
                else:
                    records[key] = stored


def _is_several(wanted: Column | Sequence[Column]) -> bool:
    return isinstance(wanted, Sequence) and not isinstance(wanted, str)


def _is_after(value: Column, since: float) -> bool:
    return isinstance(value, float | int) and value > since
