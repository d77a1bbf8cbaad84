"""Connections and their errors: the one place that knows SQLite from other databases."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import StaticPool

from engine.model.errors import (
    BerthError,
    ConflictError,
    DamagedError,
    RefusedError,
    RetryableError,
)
from engine.store import postgresql

WRITES = "berth_writes"
"""Execution option of connections that will write: they take SQLite's one write lock first."""

_READS = "berth_reads"
"""Execution option of connections that read one statement at a time."""
_BUSY_SECONDS = 10.0
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})


def is_memory(url: URL) -> bool:
    """Return whether the database lives in this process only."""
    return url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}


def place(url: URL) -> str:
    """Return what to call the database in messages: its file, or its URL without password."""
    if url.get_backend_name() == "sqlite":
        return "the database in memory" if is_memory(url) else str(url.database)
    return url.render_as_string(hide_password=True)


def options(url: URL) -> dict[str, Any]:
    """Return what `create_engine` needs to know about this kind of database."""
    if is_memory(url):
        # A second connection would see another, empty database.
        return {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": _BUSY_SECONDS}}
    return {
        "isolation_level": "READ COMMITTED",
        "pool_pre_ping": True,
        "connect_args": dict(postgresql.CONNECTION),
    }


def readers(url: URL) -> dict[str, Any]:
    """Return the execution options of connections that only read, one statement at a time."""
    # A lone statement needs no transaction around it.
    if url.get_backend_name() == "sqlite":
        return {_READS: True}
    return {"isolation_level": "AUTOCOMMIT"}


def connect(url: URL) -> Engine:
    """Return an engine whose connections are set up; the folder of a file is made.

    Raises:
        RefusedError: when the driver of the database is not installed.
    """
    try:
        engine = create_engine(url, **options(url))
    except ModuleNotFoundError as error:
        message = f"the driver of {place(url)!r} is not installed: {error}"
        raise RefusedError(message, fix="pip install 'berth[postgres]'") from error
    if url.get_backend_name() == "sqlite":
        if not is_memory(url):
            Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        event.listen(engine, "connect", _set_up)
        event.listen(engine, "begin", _begin)
    return engine


def _set_up(connection: sqlite3.Connection, _record: object) -> None:
    # The driver would begin transactions by itself, too late and never IMMEDIATE.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA busy_timeout={int(_BUSY_SECONDS * 1000)}")


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later may find the lock taken and its view
    # stale; taking the lock at the start makes it wait instead.
    asked = connection.get_execution_options()
    if asked.get(_READS, False):
        return
    connection.exec_driver_sql("BEGIN IMMEDIATE" if asked.get(WRITES, False) else "BEGIN")


def named(error: DBAPIError, where: str) -> BerthError:
    """Return the error of Berth that a foreign one stands for; `where` names the database."""
    full_code = getattr(error.orig, "sqlite_errorcode", None)
    if full_code is None:
        return postgresql.named(error, where)
    if isinstance(error, IntegrityError):
        return ConflictError(f"somebody else wrote to {where} first; nothing was written")
    code = full_code & 0xFF  # the upper bits only refine it
    if code in _DAMAGED:
        return DamagedError(
            f"{where!r} is damaged or is not a database: {error.orig}",
            fix=f"restore {where!r} from a backup, or move it away to start with an empty one",
        )
    if code in _BUSY:
        message = f"{where!r} was locked by another process for {_BUSY_SECONDS:.0f} s"
        return RetryableError(message, fix="end the other process, or try again")
    if code in _NO_ROOM:
        return RetryableError(
            f"{where!r} could not be written, nothing was changed: {error.orig}",
            fix=f"make room on the disk of {where!r} and try again",
        )
    return RefusedError(
        f"{where!r} cannot be used: {error.orig}",
        fix=f"check that {where!r} is a file that you may read and write",
    )
