"""The store on disk: damage, full disks, other revisions, terms, numbers and the lock."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Table, create_engine, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.schema import CreateTable

from engine.model.dispatches import Run, RunCause, RunState
from engine.model.errors import (
    BerthError,
    ConflictError,
    DamagedError,
    RefusedError,
    RetryableError,
    UnreachableError,
)
from engine.model.identifiers import PipelineName, PlanId, RunId
from engine.model.records import (
    ATTEMPTS,
    COLLECTIONS,
    CURSORS,
    RUNS,
    TERMS,
    Check,
    Cursor,
    Put,
)
from engine.store import begin_term, databases, lock_folder, next_run_id, open_ledger, schema
from engine.store.ledger import SqlLedger
from engine.store.tables import METADATA, TABLES
from engine.testing.clocks import ManualClock


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "home" / "berth.sqlite"


@pytest.fixture
def ledger(file: Path) -> Iterator[SqlLedger]:
    with open_ledger(f"sqlite:///{file}") as ledger:
        yield ledger


def cursor(position: str = "1") -> Put[Cursor]:
    return Put(CURSORS, Cursor(source="a", position=position))


def run(number: int, created_at: float) -> Run:
    return Run(
        run_id=RunId(f"r-{number}"),
        pipeline=PipelineName("heart"),
        plan_id=PlanId("p-a"),
        cause=RunCause.SUBMITTED,
        state=RunState.ACTIVE,
        created_at=created_at,
    )


POSTGRESQL = make_url("postgresql+psycopg://").get_dialect()()


class OvertakenError(Exception):
    """As psycopg reports a transaction that lost against another."""

    sqlstate = "40001"


class TestFile:
    def test_what_was_committed_is_there_after_opening_again(self, file: Path) -> None:
        for position in ("1", "2"):
            with open_ledger(f"sqlite:///{file}") as ledger:
                ledger.commit("test", [cursor(position)])
        with open_ledger(f"sqlite:///{file}") as ledger:
            stored = ledger.get(CURSORS, "a")
        assert stored is not None
        assert (stored.value.position, stored.version) == ("2", 2)

    @pytest.mark.parametrize(
        ("pragma", "value"),
        [
            ("journal_mode", "wal"),
            ("synchronous", 2),
            ("foreign_keys", 1),
            ("busy_timeout", 10_000),
        ],
    )
    def test_connections_are_durable(self, ledger: SqlLedger, pragma: str, value: object) -> None:
        with ledger._reading() as connection:
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() == value

    def test_a_file_that_is_no_database_is_named(self, tmp_path: Path) -> None:
        file = tmp_path / "notes.txt"
        file.write_text("not a database " * 100, encoding="utf-8")
        with pytest.raises(DamagedError, match=r"notes\.txt") as caught:
            open_ledger(f"sqlite:///{file}")
        assert "notes.txt" in caught.value.fix

    def test_a_truncated_file_is_damaged(self, file: Path) -> None:
        with open_ledger(f"sqlite:///{file}") as ledger:
            ledger.commit("test", [cursor()])
        os.truncate(file, file.stat().st_size // 2)
        with pytest.raises(DamagedError, match=r"berth\.sqlite"):
            open_ledger(f"sqlite:///{file}")

    def test_a_damaged_record_is_named(self, ledger: SqlLedger, file: Path) -> None:
        ledger.commit("test", [cursor()])
        with sqlite3.connect(file) as connection:
            connection.execute("UPDATE cursors SET body = '{}'")
        connection.close()
        with pytest.raises(DamagedError, match="Cursor"):
            ledger.get(CURSORS, "a")

    def test_a_folder_in_place_of_the_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(RefusedError, match="cannot be used"):
            open_ledger(f"sqlite:///{tmp_path}")

    def test_on_a_full_disk_nothing_is_half_written(self, ledger: SqlLedger) -> None:
        ledger.commit("test", [cursor()])
        with ledger._reading() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=1")
        large = [Put(CURSORS, Cursor(source=f"s{n}", position="x" * 3_000)) for n in range(50)]
        with pytest.raises(RetryableError, match="nothing was changed") as caught:
            ledger.commit("test", [cursor("2"), *large])
        assert "make room" in caught.value.fix
        assert [stored.value.position for stored in ledger.select(CURSORS)] == ["1"]

    def test_after_room_was_made_the_same_write_passes(self, ledger: SqlLedger) -> None:
        large = [Put(CURSORS, Cursor(source=f"s{n}", position="x" * 3_000)) for n in range(50)]
        for pages in (1, 100_000):
            with ledger._reading() as connection:
                connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
            if pages == 1:
                with pytest.raises(RetryableError):
                    ledger.commit("test", large)
        ledger.commit("test", large)
        assert len(ledger.select(CURSORS)) == 50

    def test_a_file_locked_by_another_process_may_be_tried_again(
        self, ledger: SqlLedger, file: Path
    ) -> None:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with ledger._reading() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout=1")
        with pytest.raises(RetryableError, match="locked by another process"):
            ledger.commit("test", [cursor()])
        other.close()


class TestUrls:
    @pytest.mark.parametrize("url", ["", "berth.sqlite", "nosuch://host/name"])
    def test_what_is_no_url_of_a_database_is_refused(self, url: str) -> None:
        with pytest.raises(RefusedError, match="cannot be opened"):
            open_ledger(url)

    def test_a_missing_driver_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "psycopg", None)
        with pytest.raises(RefusedError, match="driver") as caught:
            open_ledger("postgresql+psycopg://berth:secret@localhost/berth")
        assert "secret" not in caught.value.message
        assert caught.value.fix == "pip install 'berth[postgres]'"

    def test_other_engines_are_left_as_they_are(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made = object()
        monkeypatch.setattr(databases, "create_engine", lambda *_args, **_options: made)
        assert databases.connect(make_url("postgresql+psycopg://localhost/berth")) is made

    @pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
    def test_every_table_can_be_made_on_postgresql(self, table: Table) -> None:
        text = str(CreateTable(table).compile(dialect=POSTGRESQL))
        assert "body TEXT NOT NULL" in text


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (IntegrityError("", None, Exception()), ConflictError),
            (DBAPIError("", None, OvertakenError()), ConflictError),
            (DBAPIError("", None, Exception("no route")), UnreachableError),
        ],
    )
    def test_foreign_errors_become_ours(self, error: DBAPIError, kind: type[BerthError]) -> None:
        assert isinstance(databases.named(error, "the store"), kind)


class TestSchema:
    def test_every_collection_has_a_table(self) -> None:
        assert set(TABLES) == {collection.name for collection in COLLECTIONS}

    def test_migrations_arrive_at_the_tables_of_the_code(self, file: Path) -> None:
        with open_ledger(f"sqlite:///{file}"):
            pass
        engine = create_engine(f"sqlite:///{file}")
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        engine.dispose()

    def test_a_newer_revision_is_refused(self, file: Path) -> None:
        with open_ledger(f"sqlite:///{file}"):
            pass
        with sqlite3.connect(file) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.close()
        with pytest.raises(RefusedError, match="'9999'") as caught:
            open_ledger(f"sqlite:///{file}")
        assert "newer" in caught.value.fix

    def test_the_newest_revision_is_stored(self, file: Path) -> None:
        with open_ledger(f"sqlite:///{file}"):
            pass
        with sqlite3.connect(file) as connection:
            found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        connection.close()
        assert found == [(schema.newest_revision(),)]


class TestNumbers:
    def test_runs_are_numbered_from_one(self, ledger: SqlLedger) -> None:
        assert next_run_id(ledger) == "r-1"

    def test_a_clock_that_was_set_back_repeats_no_number(self, ledger: SqlLedger) -> None:
        newer = [Put(RUNS, run(number, 1_000.0)) for number in range(1, 101)]
        ledger.commit("test", [*newer, Put(RUNS, run(101, 1.0)), Put(RUNS, run(102, 2.0))])
        assert next_run_id(ledger) == "r-103"

    def test_terms_count_up_and_are_the_version(self, ledger: SqlLedger) -> None:
        terms = [begin_term(ledger, ManualClock(5.0), "me") for _ in range(3)]
        assert [term.number for term in terms] == [1, 2, 3]
        ledger.commit("test", [Check(TERMS, "engine", 3)])
        with pytest.raises(ConflictError):
            ledger.commit("test", [Check(TERMS, "engine", 2)])

    def test_a_term_begun_by_another_is_passed_over(self, ledger: SqlLedger) -> None:
        class Racing(SqlLedger):
            def commit(self, name: str, writes: object) -> None:
                raise ConflictError("another was first")

        with Racing("sqlite://") as racing:
            racing.migrate()
            with pytest.raises(ConflictError, match="10 terms"):
                begin_term(racing, ManualClock(), "me")


class TestLock:
    def test_a_second_engine_is_refused_with_the_pid_of_the_first(self, tmp_path: Path) -> None:
        with (
            lock_folder(tmp_path / "home"),
            pytest.raises(RefusedError, match=rf"pid {os.getpid()}\).*home"),
        ):
            lock_folder(tmp_path / "home")

    def test_a_released_folder_may_be_locked_again(self, tmp_path: Path) -> None:
        lock = lock_folder(tmp_path)
        lock.release()
        lock.release()
        with lock_folder(tmp_path):
            assert (tmp_path / "engine.lock").read_text() == f"{os.getpid()}\n"

    def test_a_killed_engine_leaves_no_lock(self, tmp_path: Path) -> None:
        code = (
            "import os, signal, sys; from pathlib import Path\n"
            "from engine.store import lock_folder\n"
            "lock_folder(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
        )
        killed = subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
        assert killed.returncode == -9
        lock_folder(tmp_path).release()

    def test_a_full_disk_is_named_and_leaves_no_lock(self, tmp_path: Path) -> None:
        (tmp_path / "engine.lock").symlink_to("/dev/full")
        with pytest.raises(RetryableError, match=r"engine\.lock' cannot be written: No space"):
            lock_folder(tmp_path)
        (tmp_path / "engine.lock").unlink()
        (tmp_path / "engine-one.lock").symlink_to("/dev/full")
        with pytest.raises(RetryableError, match=r"engine-one\.lock"):
            lock_folder(tmp_path, "one")
        lock_folder(tmp_path).release()

    @pytest.mark.parametrize("blocked", ["home", "home/engine.lock"])
    def test_a_folder_that_cannot_be_written_is_named(self, tmp_path: Path, blocked: str) -> None:
        (tmp_path / blocked).parent.mkdir(exist_ok=True)
        (tmp_path / blocked).symlink_to("/proc/none/there")
        with pytest.raises(RetryableError, match=rf"{blocked}' cannot be written") as refused:
            lock_folder(tmp_path / "home")
        assert "BERTH_HOME" in refused.value.fix


def test_several_missing_columns_are_found(ledger: SqlLedger) -> None:
    ledger.commit("test", [cursor()])
    assert ledger.select(ATTEMPTS, where={"cluster": None}) == []
    assert ledger.select(ATTEMPTS, where={"cluster": [None, "eu"]}) == []


class TestReplicas:
    def test_replicas_share_a_folder_each_with_its_own_name(self, tmp_path: Path) -> None:
        with lock_folder(tmp_path, "a"), lock_folder(tmp_path, "b"):
            with pytest.raises(RefusedError, match="another engine"):
                lock_folder(tmp_path, "a")
            with pytest.raises(RefusedError) as caught:
                lock_folder(tmp_path)
            assert "BERTH_REPLICA" in caught.value.fix
        lock_folder(tmp_path).release()

    def test_where_one_engine_is_alone_no_replica_starts(self, tmp_path: Path) -> None:
        with lock_folder(tmp_path), pytest.raises(RefusedError):
            lock_folder(tmp_path, "a")
