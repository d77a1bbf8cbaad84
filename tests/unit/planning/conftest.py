"""A store in memory, a fleet of three clusters, and a planner without a solver."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.model.identifiers import PipelineName, TaskName
from engine.model.plans import (
    PlanRequest,
)
from engine.model.profiles import RunRecord
from engine.model.specs import TaskKind
from engine.planning import Planner
from engine.ports import Ledger
from engine.store import open_ledger
from engine.testing import samples
from engine.testing.clocks import ManualClock
from tests.support.planning import NOW, FirstPlacer, SampleForecaster


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    opened = open_ledger("sqlite://")
    yield opened
    opened.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def record() -> RunRecord:
    return RunRecord(
        pipeline=PipelineName("heart"),
        task=TaskName("etl"),
        kind=TaskKind.ETL,
        attributes={"rows": 303},
        ended_at=900.0,
        duration_seconds=10.0,
        cpu_cores_mean=0.9,
        memory_gib_peak=0.2,
    )


@pytest.fixture
def forecaster() -> SampleForecaster:
    return SampleForecaster()


@pytest.fixture
def placer() -> FirstPlacer:
    return FirstPlacer()


@pytest.fixture
def planner(forecaster: SampleForecaster, placer: FirstPlacer) -> Planner:
    return Planner(forecaster, placer, "test")


@pytest.fixture
def source() -> samples.FixedFleet:
    return samples.FixedFleet(samples.fleet("eu-1", "eu-2", "us-1"))


@pytest.fixture
def request_for(source: samples.FixedFleet) -> PlanRequest:
    return PlanRequest(pipelines=(samples.chain(),), fleet=source.fleet(), as_of=NOW)
