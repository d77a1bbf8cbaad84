"""What PostgreSQL does in its own way: connections, locks and errors; `databases` knows SQLite's.

A batch compares versions, so nobody may write the same keys between the comparison and the commit,
keys that are not there yet included. Each batch therefore takes advisory locks for its keys first:
shared for those it only checks, in one order, so that batches that meet wait and never fail.
Serializable transactions would do as well, but on small tables they fail by accident, many times
in a row.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from engine.model.errors import (
    BerthError,
    ConflictError,
    RefusedError,
    RetryableError,
    UnreachableError,
)
from engine.model.records import Check, Write
from engine.store.batches import key_of

CONNECTION: Mapping[str, Any] = {
    "connect_timeout": 5,
    "application_name": "berth",
    # A server that vanished without a word is noticed within a quarter of a minute.
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
    # An engine that was halted in the middle of a transaction must not hold its locks for ever:
    # the one that takes over waits for them.
    "options": "-c idle_in_transaction_session_timeout=5s -c lock_timeout=8s"
    " -c statement_timeout=60s",
}
"""Arguments of every connection."""

MIGRATION_LOCK = 0x6265727468
"""Key of the advisory lock under which one process at a time migrates."""

_LOCKS_CLASS = 0x62657274
_BUCKETS = 1_024
# Keys share locks, so that no batch takes more of them than a server has room for.
_LOCK = "pg_advisory_xact_lock"
_OVERTAKEN = frozenset({"40001", "40P01"})
# Serialization failure, deadlock. Nothing was written and the step may be repeated.
_LOCKED = frozenset({"55P03", "57014"})
_NO_ROOM_CLASS = "53"
_READ_ONLY = "25006"
_RIGHTS = frozenset({"42501", "28000", "28P01"})
_NOT_LET_IN = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "no password supplied",
    "permission denied",
)
# What the server says before there is a session comes without a code, in English unless it was
# set to another language; then it counts as a server that does not answer, which is tried again.


def lock(connection: Connection, writes: Sequence[Write]) -> None:
    """Wait until nobody else writes the keys of a batch, up to the end of the transaction."""
    exclusive: dict[int, bool] = {}
    for write in writes:
        name = f"{write.collection.name}/{key_of(write)}"
        bucket = zlib.crc32(name.encode()) % _BUCKETS
        exclusive[bucket] = exclusive.get(bucket, False) or not isinstance(write, Check)
    calls = (
        f"{_LOCK if alone else _LOCK + '_shared'}({_LOCKS_CLASS}, {bucket})"
        for bucket, alone in sorted(exclusive.items())
    )
    connection.exec_driver_sql(f"SELECT {', '.join(calls)}")


def named(error: DBAPIError, where: str) -> BerthError:
    """Return the error of Berth that a foreign one stands for; `where` names the database."""
    code, said = _code(error), str(error.orig).strip()
    if isinstance(error, IntegrityError) or code in _OVERTAKEN:
        return ConflictError(f"somebody else wrote to {where} first; nothing was written")
    if code in _LOCKED:
        message = f"{where} was held by somebody else for too long, nothing was written: {said}"
        return RetryableError(message, fix="see pg_stat_activity for who holds it, or wait")
    if code == _READ_ONLY:
        fix = "name every server in the URL, with `target_session_attrs=read-write`"
        return UnreachableError(f"{where} is a standby that takes no writes: {said}", fix=fix)
    if code.startswith(_NO_ROOM_CLASS):
        fix = "make room on its disk, or allow more connections"
        return RetryableError(f"{where} has no room, nothing was written: {said}", fix=fix)
    if code in _RIGHTS or (not code and any(words in said for words in _NOT_LET_IN)):
        fix = "check user, password and name of the database in the URL, and the user's rights"
        return RefusedError(f"{where} does not let Berth in: {said}", fix=fix)
    message = f"{where} does not answer: {said}"
    return UnreachableError(message, fix="check that the database runs and may be reached")


def _code(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")
