"""Two engines forecast demand; what each did on past nights says which of them speaks."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from engine.model.capacity import DemandForecast, DemandSeries
from engine.model.errors import InvalidInputError
from engine.model.profiles import Quantiles
from forecasting import DemandChooser
from forecasting.pools.forecaster import PoolForecaster
from forecasting.series import engine
from forecasting.series.panel import Panel

HOURS = 24


def wave(days: int, pool: str = "A100", *, seed: int = 1) -> DemandSeries:
    random = np.random.default_rng(seed)
    day = 100.0 + 30.0 * np.sin(np.arange(days * 24) * math.tau / 24)
    values = np.maximum(day + 5.0 * random.standard_normal(days * 24), 0.0)
    return DemandSeries(pool=pool, unit="GPUs", starts_at=0.0, values=tuple(values.tolist()))


def told(median: float, mase: float, *, tested: bool = True) -> DemandForecast:
    return DemandForecast(
        pool="A100",
        unit="GPUs",
        starts_at=240.0 * 3_600.0,
        hours=(Quantiles.constant(median),) * HOURS,
        method=f"constant {median:g}",
        mase=mase,
        coverage={"0.95": 0.9 if median > 1 else 1.0} if tested else {},
    )


@pytest.fixture
def chooser(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> DemandChooser:
    """A chooser between two constants with back-tests as the test wants them."""
    alone, together = request.param
    made = DemandChooser(least_pools=1)
    monkeypatch.setattr(PoolForecaster, "forecast", lambda *_, **__: alone)
    monkeypatch.setattr(made, "_together", lambda *_: together)
    return made


@pytest.mark.parametrize(
    ("chooser", "median", "mase"),
    [
        ((told(1.0, 0.5), told(2.0, 0.9)), 1.0, 0.5),
        ((told(1.0, 0.9), told(2.0, 0.5)), 2.0, 0.5),
        ((told(1.0, 0.80), told(2.0, 0.82)), 1.5, 0.81),
        ((told(1.0, 0.9), told(2.0, 0.5, tested=False)), 1.0, 0.9),
        ((told(1.0, 0.9, tested=False), told(2.0, 0.5)), 1.0, 0.9),
    ],
    indirect=["chooser"],
)
def test_the_engine_that_erred_less_speaks_and_both_where_they_are_close(
    chooser: DemandChooser, median: float, mase: float
) -> None:
    found = chooser.forecast(wave(10), hours=HOURS, seed=1)
    assert found.hours[0].p50 == median
    assert found.mase == pytest.approx(mase)


def test_a_few_pools_are_learned_each_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "forecast", lambda *_, **__: pytest.fail("nobody asks it"))
    series = wave(16)
    beside = [wave(16, f"pool-{number}", seed=number) for number in range(2, 8)]
    found = DemandChooser().forecast(series, hours=HOURS, seed=1, beside=beside)
    assert found == PoolForecaster().forecast(series, hours=HOURS, seed=1, beside=beside)


def test_pools_of_one_report_share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = wave(16), wave(16, "T4", seed=2)
    asked: list[tuple[str, ...]] = []
    real = engine.forecast

    def counted(series: Panel, **options: object) -> engine.PanelForecast:
        asked.append(series.names)
        return real(series, **options)

    monkeypatch.setattr(engine, "forecast", counted)
    chooser = DemandChooser(least_pools=1)
    for one, other in ((first, second), (second, first)):
        found = chooser.forecast(one, hours=HOURS, seed=1, beside=[other])
        assert found.pool == one.pool
        assert len(found.hours) == HOURS
    assert asked == [("A100", "T4")]


def test_series_beside_count_up_to_the_same_instant_and_only_where_they_can_be_demand() -> None:
    series = wave(16)
    later = wave(20, "T4", seed=2)
    spoilt = dataclasses.replace(later, values=later.values[: 16 * 24] + (1e9,) * 96)
    unknown = dataclasses.replace(series, pool="L4", values=(math.nan,) * 500)
    negative = dataclasses.replace(series, pool="H100", values=(-1.0,) * 500)
    found = [
        DemandChooser(least_pools=1).forecast(series, hours=HOURS, seed=1, beside=beside)
        for beside in ([later], [spoilt, unknown, negative])
    ]
    assert found[0] == found[1]


def test_zeros_are_forecast_as_zeros() -> None:
    series = dataclasses.replace(wave(16), values=(0.0,) * 384)
    found = DemandChooser(least_pools=1).forecast(series, hours=HOURS, seed=1)
    assert {hour.p50 for hour in found.hours} == {0.0}
    assert max(hour.p99 for hour in found.hours) < 1e-5


def test_a_series_of_one_value_is_refused_with_the_least_it_takes() -> None:
    series = dataclasses.replace(wave(16), values=(1.0,))
    with pytest.raises(InvalidInputError, match="has 1 known hour; a forecast needs 48"):
        DemandChooser(least_pools=1).forecast(series, hours=HOURS, seed=1)
