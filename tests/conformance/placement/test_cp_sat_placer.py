"""The CP-SAT placer keeps the contract of the port."""

from __future__ import annotations

import pytest

from engine.ports import Placer
from engine.testing.placer_suite import PlacerSuite
from placement import CpSatPlacer


class TestCpSatPlacer(PlacerSuite):
    @pytest.fixture
    def placer(self) -> Placer:
        return CpSatPlacer()
