"""Whatever the runs: sizes are finite, quantiles rise, and units scale the answer."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.profiles.calibration import RollingErrors
from forecasting.profiles.coldstart import ColdStart, TaskRuns
from forecasting.profiles.sizing import MemorySizer

SIZES = st.floats(0.0, 1e4)
NEEDS = st.floats(1e-3, 1e3)
RUNS = st.lists(st.tuples(SIZES, NEEDS, st.floats(0.0, 100.0)), max_size=20)
TASKS = st.lists(
    st.builds(TaskRuns, preset=NEEDS, needs=st.lists(NEEDS, min_size=1, max_size=5).map(tuple)),
    min_size=3,
    max_size=6,
)


@settings(deadline=None, max_examples=40)
@given(RUNS, SIZES)
def test_any_runs_give_a_first_try_and_retries_that_grow(
    runs: list[tuple[float, float, float]], size: float
) -> None:
    sizer = MemorySizer()
    for run in runs:
        sizer.update(*run)
    held = sizer.first_try(size)
    assert math.isfinite(held)
    assert held > 0
    for _ in range(5):
        after = sizer.next_try(held)
        assert after > held
        held = after


@settings(deadline=None, max_examples=40)
@given(TASKS, NEEDS, st.lists(NEEDS, max_size=4))
def test_quantiles_of_new_tasks_rise_and_scale(
    tasks: list[TaskRuns], preset: float, needs: list[float]
) -> None:
    learned = ColdStart(tasks, seed=1)
    told = learned.quantiles(preset, needs)
    assert all(low <= high for low, high in pairwise(told.values))
    scaled = learned.quantiles(8.0 * preset, [8.0 * need for need in needs])
    assert scaled.p95 == pytest.approx(8.0 * told.p95, rel=1e-6)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=100))
def test_offsets_rise_whatever_the_errors(errors: list[float]) -> None:
    rolling = RollingErrors((0.5, 0.9, 0.99), window=40)
    for error in errors:
        rolling.add(error, rolling.offsets())
    offsets = rolling.offsets()
    assert offsets is not None
    assert all(low <= high for low, high in pairwise(offsets))
    assert len(rolling) == min(len(errors), 40)
