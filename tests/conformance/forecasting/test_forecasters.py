"""Our forecasters keep the contracts of their ports."""

from __future__ import annotations

import pytest

from engine.ports import DemandForecaster, Forecaster
from engine.testing.demand_suite import DemandSuite
from engine.testing.forecaster_suite import ForecasterSuite
from forecasting import DemandChooser, PoolForecaster, TaskForecaster


class TestTaskForecaster(ForecasterSuite):
    @pytest.fixture
    def forecaster(self) -> Forecaster:
        return TaskForecaster()


class TestPoolForecaster(DemandSuite):
    @pytest.fixture
    def forecaster(self) -> DemandForecaster:
        return PoolForecaster()


class TestDemandChooser(DemandSuite):
    @pytest.fixture
    def forecaster(self) -> DemandForecaster:
        return DemandChooser(least_pools=1)
