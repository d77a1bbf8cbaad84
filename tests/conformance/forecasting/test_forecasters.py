"""Our forecasters, sizers and choosers of remedies keep the contracts of their ports."""

from __future__ import annotations

import pytest

from engine.dispatching.ladder import Ladder
from engine.ports import DemandForecaster, Forecaster, RemedyChooser, ServiceSizer
from engine.testing.demand_suite import DemandSuite
from engine.testing.forecaster_suite import ForecasterSuite
from engine.testing.remedy_suite import RemedySuite
from engine.testing.sizer_suite import SizerSuite
from forecasting import (
    DemandChooser,
    HourlySizer,
    LearnedRemedies,
    PoolForecaster,
    TaskForecaster,
)


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


class TestHourlySizer(SizerSuite):
    @pytest.fixture
    def sizer(self) -> ServiceSizer:
        return HourlySizer(PoolForecaster, seed=1)


class TestLearnedRemedies(RemedySuite):
    @pytest.fixture
    def chooser(self) -> RemedyChooser:
        return LearnedRemedies()


class TestLadder(RemedySuite):
    @pytest.fixture
    def chooser(self) -> RemedyChooser:
        return Ladder()
