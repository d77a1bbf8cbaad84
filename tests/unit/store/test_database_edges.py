"""What databases refuse, told in our own words: keys written twice, servers without room."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import DBAPIError

from engine.model.errors import (
    BerthError,
    ConflictError,
    RefusedError,
    RetryableError,
    UnreachableError,
)
from engine.model.records import CURSORS, Cursor, Put
from engine.store import SqlLedger, databases, open_ledger


class CodedError(Exception):
    """As psycopg reports what a server says, with its code."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


def doubled(ledger: SqlLedger) -> None:
    with ledger._writing() as connection:
        connection.exec_driver_sql("UPDATE cursors SET version = 9")
        connection.exec_driver_sql("INSERT INTO cursors SELECT * FROM cursors")


def test_a_key_that_is_there_already_in_sqlite_is_a_conflict_and_nothing_is_written() -> None:
    with open_ledger("sqlite://") as ledger:
        ledger.commit("test", [Put(CURSORS, Cursor(source="a", position="1"))])
        with pytest.raises(ConflictError, match="somebody else wrote"):
            doubled(ledger)
        stored = ledger.get(CURSORS, "a")
    assert stored is not None
    assert stored.version == 1


@pytest.mark.parametrize(
    ("sqlstate", "said", "kind", "told", "fix"),
    [
        ("53100", "No space left on device", RetryableError, "has no room", "make room"),
        ("53300", "too many clients already", RetryableError, "has no room", "more connections"),
        ("55P03", "lock timeout", RetryableError, "held by somebody else", "pg_stat_activity"),
        ("25006", "read-only transaction", UnreachableError, "is a standby", "read-write"),
        ("42501", "permission denied", RefusedError, "does not let Berth in", "rights"),
        ("", "password authentication failed", RefusedError, "does not let Berth in", "password"),
        ("57P01", "terminating connection", UnreachableError, "does not answer", "may be reached"),
    ],
)
def test_what_a_postgresql_server_says_becomes_what_to_do(
    sqlstate: str, said: str, kind: type[BerthError], told: str, fix: str
) -> None:
    error = DBAPIError("", None, CodedError(sqlstate, said))
    named = databases.named(error, "the store")
    assert type(named) is kind
    assert told in named.message
    assert said in named.message
    assert fix in named.fix
