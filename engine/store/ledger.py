"""The port `Ledger` on SQL tables."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from types import TracebackType
from typing import TypeVar

from sqlalchemy import Connection, Table, bindparam, delete, insert, make_url, update
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from engine.model import documents
from engine.model.errors import RefusedError
from engine.model.records import Collection, Column, Stored, Write
from engine.store import batches, databases, postgresql, queries, schema
from engine.store.tables import TABLES

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
_KEYS_AT_ONCE = 500
# Databases bound the number of parameters of a statement (SQLite 32,766).


class SqlLedger:
    """Keeps every collection in a table of its own; made by `open_ledger`.

    May be called from several threads: readers see the last commit and never wait; writers of
    this process queue. Values read are checked against their type.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._where = databases.place(self._url)
        self._engine = databases.connect(self._url)
        self._writing_engine = self._engine.execution_options(**{databases.WRITES: True})
        self._reading_engine = self._engine.execution_options(**databases.readers(self._url))
        self._locks_by_key = self._engine.dialect.name == "postgresql"
        self._writer = threading.Lock()
        # In memory there is one connection, which readers have to share with the writer.
        self._reader: AbstractContextManager[object] = (
            self._writer if databases.is_memory(self._url) else nullcontext()
        )

    def migrate(self) -> None:
        """Bring the tables to the newest revision.

        Raises:
            RefusedError: when a newer version of Berth wrote the database.
            DamagedError: when it is not a database, or damaged.
        """
        with self._writing() as connection:
            schema.migrate(connection, self._where)

    def get(self, collection: Collection[T], key: str) -> Stored[T] | None:
        """Return one record, or None."""
        with self._reading() as connection:
            found = connection.execute(queries.one(collection.name), {"key": key}).one_or_none()
        return None if found is None else _stored(collection, found.body, found.version)

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
        query, parameters = queries.several(
            collection.name,
            where or {},
            order_by=order_by,
            descending=descending,
            since=since,
            limit=limit,
        )
        with self._reading() as connection:
            rows = connection.execute(query, parameters).all()
        return [_stored(collection, found.body, found.version) for found in rows]

    def commit(self, name: str, writes: Sequence[Write]) -> None:
        """Write all or nothing; durable on return.

        Raises:
            ConflictError: when an expected version is not the stored one; nothing was written.
            RetryableError: when the disk is full or the file is locked; nothing was written.
        """
        if not writes:
            return
        _LOG.debug("commit %s: %d writes", name, len(writes))
        keys = batches.keys_by_collection(writes)
        with self._writing() as connection:
            if self._locks_by_key:
                postgresql.lock(connection, writes)
            versions = {table: _versions(connection, table, keys[table]) for table in keys}
            for table, changed in batches.changes(writes, versions).items():
                _write(connection, TABLES[table], changed)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def __enter__(self) -> SqlLedger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Generator[Connection]:
        with self._named(), self._reader, self._reading_engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Generator[Connection]:
        with self._named(), self._writer, self._writing_engine.begin() as connection:
            yield connection

    @contextmanager
    def _named(self) -> Generator[None]:
        try:
            yield
        except DBAPIError as error:
            raise databases.named(error, self._where) from error


def open_ledger(url: str) -> SqlLedger:
    """Open the store, making or migrating its tables.

    url: `sqlite:///PATH` (its folder is made), `sqlite://` for memory, or
        `postgresql+psycopg://USER@HOST/NAME`.

    Raises:
        DamagedError: when the file is no database or is damaged.
        RefusedError: when the URL cannot be used, the file may not be written, or a newer
            version of Berth wrote it.
        RetryableError: when the disk is full or the file is locked.
    """
    try:
        ledger = SqlLedger(url)
    except (ArgumentError, NoSuchModuleError) as error:
        message = f"the store {url!r} cannot be opened: {error}"
        raise RefusedError(message, fix="write it as sqlite:///PATH/berth.sqlite") from error
    try:
        ledger.migrate()
    except BaseException:
        ledger.close()
        raise
    return ledger


def _stored(collection: Collection[T], body: str, version: int) -> Stored[T]:
    return Stored(documents.decode(collection.type, body), version)


def _versions(connection: Connection, name: str, keys: set[str]) -> dict[str, int]:
    """Return the stored versions of some keys."""
    versions: dict[str, int] = {}
    remaining = iter(sorted(keys))
    while chunk := list(islice(remaining, _KEYS_AT_ONCE)):
        rows = connection.execute(queries.versions(name), {"keys": chunk})
        versions.update((row.key, row.version) for row in rows)
    return versions


def _write(connection: Connection, table: Table, changed: batches.Changes) -> None:
    if changed.deletes:
        gone = delete(table).where(table.c.key == bindparam("gone"))
        connection.execute(gone, [{"gone": key} for key in changed.deletes])
    if changed.updates:
        statement = update(table).where(table.c.key == bindparam("same_key"))
        rows = [{**row, "same_key": row["key"]} for row in changed.updates]
        connection.execute(statement, rows)
    if changed.inserts:
        connection.execute(insert(table), changed.inserts)
