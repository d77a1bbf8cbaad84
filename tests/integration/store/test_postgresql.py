"""The ledger on a real PostgreSQL server: writers that meet, servers that go, people locked out."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from engine.model.errors import (
    BerthError,
    ConflictError,
    RefusedError,
    RetryableError,
    UnreachableError,
)
from engine.model.records import ABSENT, CURSORS, Check, Cursor, Put
from engine.store import SqlLedger, open_ledger
from engine.store import postgresql as postgresql_store
from engine.store.tables import METADATA
from tests.support import postgresql
from tests.support.postgresql import PostgresqlServer

WRITERS = 4
TIMES = 15


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    with postgresql.running() as made:
        yield made


@pytest.fixture
def url(server: PostgresqlServer) -> str:
    return server.database()


@pytest.fixture
def ledgers(url: str) -> Iterator[list[SqlLedger]]:
    """Ledgers of engines that do not know each other."""
    made = [open_ledger(url) for _ in range(WRITERS)]
    yield made
    for ledger in made:
        ledger.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no writer lose its lock, or its transaction, because this machine is busy."""
    patience = {**postgresql_store.CONNECTION, "options": ""}
    monkeypatch.setattr(postgresql_store, "CONNECTION", patience)


def cursor(source: str, position: str = "1") -> Cursor:
    return Cursor(source=source, position=position)


def at_once(*work: Callable[[], object]) -> list[object]:
    with ThreadPoolExecutor(len(work)) as threads:
        return [each.result(300) for each in [threads.submit(one) for one in work]]


def test_migrations_arrive_at_the_tables_of_the_code(url: str) -> None:
    open_ledger(url).close()
    engine = create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


@pytest.mark.usefixtures("patient")
def test_engines_that_start_together_migrate_once(url: str) -> None:
    opened = at_once(*[lambda: open_ledger(url)] * WRITERS)
    for ledger in opened:
        assert isinstance(ledger, SqlLedger)
        ledger.close()


@pytest.mark.usefixtures("patient")
def test_of_many_engines_each_increment_counts_once(ledgers: list[SqlLedger]) -> None:
    ledgers[0].commit("test", [Put(CURSORS, cursor("n", "0"))])

    def count(ledger: SqlLedger) -> None:
        done = 0
        while done < TIMES:
            stored = ledger.get(CURSORS, "n")
            assert stored is not None
            following = cursor("n", str(int(stored.value.position) + 1))
            try:
                ledger.commit("test", [Put(CURSORS, following, stored.version)])
                done += 1
            except ConflictError:
                continue

    at_once(*(functools.partial(count, each) for each in ledgers))
    stored = ledgers[0].get(CURSORS, "n")
    assert stored is not None
    assert stored.value.position == str(WRITERS * TIMES)


@pytest.mark.usefixtures("patient")
def test_engines_that_write_different_records_do_not_disturb_each_other(
    ledgers: list[SqlLedger],
) -> None:
    def fill(number: int) -> None:
        for each in range(TIMES):
            ledgers[number].commit("test", [Put(CURSORS, cursor(f"{number}-{each}"), ABSENT)])

    at_once(*(functools.partial(fill, number) for number in range(WRITERS)))
    assert len(ledgers[0].select(CURSORS)) == WRITERS * TIMES


@pytest.mark.usefixtures("patient")
def test_of_two_checks_that_cross_only_one_passes(ledgers: list[SqlLedger]) -> None:
    meet = threading.Barrier(2)

    def write(ledger: SqlLedger, mine: str, other: str) -> bool:
        meet.wait(120)
        try:
            ledger.commit("test", [Check(CURSORS, other, ABSENT), Put(CURSORS, cursor(mine))])
        except ConflictError:
            return False
        return True

    for number in range(TIMES):
        a, b = f"a{number}", f"b{number}"
        passed = at_once(
            functools.partial(write, ledgers[0], a, b), functools.partial(write, ledgers[1], b, a)
        )
        assert sorted(map(bool, passed)) == [False, True]


def test_a_server_killed_and_started_again_is_found_by_the_same_ledger(
    server: PostgresqlServer, ledgers: list[SqlLedger]
) -> None:
    ledger = ledgers[0]
    ledger.commit("test", [Put(CURSORS, cursor("a"))])
    server.stop()
    try:
        with pytest.raises(UnreachableError, match="does not answer"):
            ledger.get(CURSORS, "a")
        with pytest.raises(UnreachableError, match="does not answer") as caught:
            ledger.commit("test", [Put(CURSORS, cursor("a", "2"))])
        assert "check that the database runs" in caught.value.fix
    finally:
        server.start()
    stored = ledger.get(CURSORS, "a")
    assert stored is not None
    assert stored.value.position == "1"
    ledger.commit("test", [Put(CURSORS, cursor("a", "2"), stored.version)])


def test_an_engine_halted_within_a_transaction_does_not_hold_others_up_for_ever(
    ledgers: list[SqlLedger],
) -> None:
    ledgers[0].commit("test", [Put(CURSORS, cursor("a"))])
    with ledgers[0]._writing_engine.connect() as halted:
        postgresql_store.lock(halted, [Put(CURSORS, cursor("a"))])
        ledgers[1].commit("test", [Put(CURSORS, cursor("a", "2"))])
        halted.invalidate()
    stored = ledgers[1].get(CURSORS, "a")
    assert stored is not None
    assert stored.value.position == "2"


@pytest.mark.parametrize(
    ("before", "after", "error", "message"),
    [
        ("/berth_", "/nosuch_", RefusedError, "does not let Berth in"),
        ("berth@", "nobody@", RefusedError, "does not let Berth in"),
        ("host=", "host=/nosuch", UnreachableError, "does not answer"),
    ],
)
def test_who_cannot_come_in_is_told_why(
    url: str, before: str, after: str, error: type[BerthError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        open_ledger(url.replace(before, after))
    assert caught.value.fix


def test_a_standby_is_named_as_what_it_is(server: PostgresqlServer, url: str) -> None:
    with open_ledger(url) as ledger:
        ledger.commit("test", [Put(CURSORS, cursor("a"))])
        name = url.partition("@/")[2].partition("?")[0]
        server.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        ledger._engine.dispose()
        with pytest.raises(UnreachableError, match="standby") as caught:
            ledger.commit("test", [Put(CURSORS, cursor("b"))])
        assert "target_session_attrs" in caught.value.fix
        assert len(ledger.select(CURSORS)) == 1


def test_a_record_that_stays_locked_may_be_tried_again(
    url: str, ledgers: list[SqlLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Put(CURSORS, cursor("a"))
    patience = {**postgresql_store.CONNECTION, "options": "-c lock_timeout=50ms"}
    monkeypatch.setattr(postgresql_store, "CONNECTION", patience)
    with SqlLedger(url) as hasty, ledgers[0]._writing_engine.connect() as holder:
        postgresql_store.lock(holder, [write])
        with pytest.raises(RetryableError, match="held by somebody else"):
            hasty.commit("test", [write])
        holder.rollback()
        hasty.commit("test", [write])
