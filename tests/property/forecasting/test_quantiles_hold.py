"""Whatever the residuals, runs and series: quantiles never cross, are finite and repeatable."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.model.capacity import DemandSeries
from engine.model.identifiers import PipelineName, TaskName
from engine.model.profiles import RunRecord
from engine.model.specs import TaskKind, TaskSpec
from engine.testing import samples
from forecasting import PoolForecaster, TaskForecaster
from forecasting.conformal import offsets
from forecasting.history import read_history, write_history
from forecasting.profiles.ranges import MOST_MEMORY_GIB

NAMES = st.text("abc-", min_size=1, max_size=5)
WHOLE = st.integers(0, 10**6)
AMOUNTS = st.floats(0.0, 1e5)
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "rows": WHOLE,
        "columns": st.integers(0, 500),
        "trials": st.integers(0, 100),
        "model": st.sampled_from(["knn", "svm", "tree+forest", "unheard"]),
        "volume_gib": st.floats(0.0, 1e4),
        "requests": st.floats(0.0, 1e4),
    },
)
RECORDS = st.builds(
    RunRecord,
    pipeline=NAMES.map(PipelineName),
    task=st.sampled_from(["train", "other"]).map(TaskName),
    kind=st.sampled_from(TaskKind),
    attributes=ATTRIBUTES,
    ended_at=st.floats(0.0, 2e9),
    duration_seconds=AMOUNTS,
    cpu_cores_mean=st.floats(0.0, 128.0),
    memory_gib_peak=st.floats(0.0, MOST_MEMORY_GIB),
    succeeded=st.booleans(),
)


@given(st.lists(st.floats(-50.0, 50.0), max_size=150), st.floats(0.01, 5.0), st.integers(1, 200))
def test_offsets_rise(residuals: list[float], spread: float, independent: int) -> None:
    found = offsets(residuals, spread, independent=independent)
    assert all(low <= high for low, high in pairwise(found))
    assert all(math.isfinite(value) for value in found)


@given(st.integers(0, 10_000))
def test_a_new_residual_is_covered_as_often_as_promised(seed: int) -> None:
    draws = np.random.default_rng(seed).exponential(size=(400, 21))
    covered = sum(draw[-1] <= offsets(draw[:-1].tolist(), 1.0)[3] for draw in draws)
    assert covered / 400 >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / 400)


@settings(deadline=None)
@given(st.sampled_from(TaskKind), st.lists(RECORDS, max_size=12))
def test_any_history_gives_a_finite_profile(kind: TaskKind, history: list[RunRecord]) -> None:
    task = TaskSpec(name=TaskName("train"), kind=kind)
    profile = TaskForecaster().profile(samples.pipeline(task), task, samples.fleet("a"), history)
    slots = [slot for slots in profile.use.values() for slot in slots]
    assert all(math.isfinite(slot.p99) for slot in slots)
    assert profile.replicas >= 1


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.one_of(st.just(math.nan), st.floats(0.0, 1e6)), min_size=96, max_size=200),
    st.integers(1, 200),
)
def test_any_demand_gives_a_finite_forecast(values: list[float], hours: int) -> None:
    known = (*values, *([3.0] * 48))
    series = DemandSeries(pool="p", unit="GPUs", starts_at=0.0, values=known)
    forecast = PoolForecaster().forecast(series, hours=hours, seed=1)
    assert len(forecast.hours) == hours
    assert all(math.isfinite(hour.p99) for hour in forecast.hours)
    assert math.isfinite(forecast.mase)


@given(st.lists(RECORDS, min_size=1, max_size=5))
def test_a_written_history_is_read_back(records: list[RunRecord]) -> None:
    read = read_history(write_history(records))
    assert [(r.pipeline, r.task, r.kind, r.succeeded) for r in read] == [
        (r.pipeline, r.task, r.kind, r.succeeded) for r in records
    ]
