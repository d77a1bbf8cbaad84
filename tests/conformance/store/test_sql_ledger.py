"""The SQL ledger keeps the contract of the port: in memory, on disk and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.ports import Ledger
from engine.store import open_ledger
from engine.testing.ledger_suite import LedgerSuite
from tests.support import postgresql


class TestInMemory(LedgerSuite):
    @pytest.fixture
    def ledger(self) -> Iterator[Ledger]:
        with open_ledger("sqlite://") as ledger:
            yield ledger


class TestOnDisk(LedgerSuite):
    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Iterator[Ledger]:
        with open_ledger(f"sqlite:///{tmp_path}/berth.sqlite") as ledger:
            yield ledger


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[postgresql.PostgresqlServer, str]]:
    """A server, and the name of a database of it that holds nothing but the tables."""
    with postgresql.running() as made:
        url = made.database()
        open_ledger(url).close()
        yield made, url.partition("@/")[2].partition("?")[0]


class TestOnPostgresql(LedgerSuite):
    @pytest.fixture
    def ledger(self, server: tuple[postgresql.PostgresqlServer, str]) -> Iterator[Ledger]:
        made, migrated = server
        with open_ledger(made.database(migrated)) as ledger:
            yield ledger
