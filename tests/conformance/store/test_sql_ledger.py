"""The SQL ledger keeps the contract of the port, in memory and on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.ports import Ledger
from engine.store import open_ledger
from engine.testing.ledger_suite import LedgerSuite


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
