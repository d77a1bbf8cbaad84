"""Both built-in scanners keep the contract of the port."""

from __future__ import annotations

import pytest

from engine.ports import Scanner
from engine.testing.scanner_suite import ScannerSuite
from executors.packaging.security.sandbox.calls import ConfinedScanner
from executors.packaging.security.scanning.offline import OfflineScanner


class TestOfflineScanner(ScannerSuite):
    @pytest.fixture
    def scanner(self) -> Scanner:
        return OfflineScanner()


class TestConfinedScanner(ScannerSuite):
    @pytest.fixture
    def scanner(self) -> Scanner:
        return ConfinedScanner()
