"""The store of simulations keeps what every store keeps."""

from __future__ import annotations

import pytest

from engine.ports import Ledger
from engine.testing.ledger_suite import LedgerSuite
from simulations.ledger import MemoryLedger


class TestMemoryLedger(LedgerSuite):
    """The contract of the port `Ledger`."""

    @pytest.fixture
    def ledger(self) -> Ledger:
        """Return an empty ledger."""
        return MemoryLedger()
