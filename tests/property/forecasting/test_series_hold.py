"""Whatever the series: quantiles rise from 0 on, and units and order do not matter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from forecasting.series import boosting, engine, reconciling, replay
from forecasting.series.panel import Panel, panel

LITTLE = boosting.Effort(seeds=1, iterations=5, least_in_leaf=20)
BACKTEST = engine.Backtest(nights=3, most_smoothed=0)
FEW = settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.too_slow])
VALUES = st.one_of(st.just(math.nan), st.just(0.0), st.floats(0.0, 1e9))


def said(series: Panel, hours: int = 30) -> engine.PanelForecast:
    return engine.forecast(series, hours=hours, seed=1, effort=LITTLE, backtest=BACKTEST)


def waves(seed: int, count: int = 3) -> Panel:
    random = np.random.default_rng(seed)
    hours = np.arange(26 * 24)
    rows = [
        random.uniform(1, 100) * (2 + np.sin((hours + random.uniform(0, 24)) * math.tau / 24))
        + random.exponential(5.0, size=len(hours))
        for _ in range(count)
    ]
    return panel([(f"s{place}", row.tolist()) for place, row in enumerate(rows)])


@FEW
@given(st.lists(VALUES, min_size=1, max_size=200), st.integers(1, 80))
def test_quantiles_of_anything_rise_and_are_not_negative(values: list[float], hours: int) -> None:
    found = said(panel([("odd", [*values, 3.0]), ("none", [0.0])]), hours).quantiles
    assert found.shape == (2, hours, len(replay.LEVELS))
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (np.diff(found, axis=2) >= 0).all()


@pytest.mark.slow
@FEW
@given(st.integers(0, 10_000), st.sampled_from([2.0**-10, 8.0, 2.0**30]))
def test_other_units_scale_the_answer(seed: int, factor: float) -> None:
    series = waves(seed)
    scaled = Panel(names=series.names, values=series.values * factor)
    np.testing.assert_allclose(said(scaled).quantiles, factor * said(series).quantiles, rtol=1e-6)


@FEW
@given(st.floats(0.0, 1e9), st.integers(1, 700))
def test_a_constant_series_is_forecast_as_itself(value: float, known: int) -> None:
    found = said(panel([("constant", [value] * known)])).quantiles
    np.testing.assert_allclose(found, value, rtol=1e-9)


@pytest.mark.slow
@FEW
@given(st.integers(0, 10_000), st.permutations(range(4)))
def test_the_order_of_series_changes_nothing(seed: int, order: list[int]) -> None:
    series = waves(seed, 4)
    other = Panel(names=tuple(series.names[n] for n in order), values=series.values[order])
    first, second = said(series), said(other)
    assert first.quantiles[order].tobytes() == second.quantiles.tobytes()
    assert tuple(first.evidence[n] for n in order) == second.evidence


@given(
    arrays.arrays(np.float64, (4, 3, 3), elements=st.floats(0.0, 1e6)),
    arrays.arrays(np.float64, 4, elements=st.floats(0.0, 1e6)),
)
def test_reconciled_medians_add_up(quantiles: np.ndarray, errors: np.ndarray) -> None:
    rising = np.sort(quantiles, axis=2)
    names = ["total", "tenant", "a", "b"]
    sums = reconciling.summing(names, {"total": ["tenant", "b"], "tenant": ["a"]})
    found = reconciling.reconciled(rising, 1, sums, errors)
    total, tenant, first, second = found[..., 1]
    np.testing.assert_allclose(total, tenant + second, rtol=1e-6, atol=1e-3)
    np.testing.assert_allclose(tenant, first, rtol=1e-6, atol=1e-3)
    assert (found >= 0).all()
    assert (np.diff(found, axis=2) >= 0).all()
