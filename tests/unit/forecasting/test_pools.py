"""Demand forecasts: methods chosen by honest tests, quantiles that cover what they promise."""

from __future__ import annotations

import dataclasses
import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from engine.capacity import read_demand
from engine.model.capacity import DemandForecast, DemandSeries
from engine.model.errors import InvalidInputError
from forecasting import PoolForecaster

DATA = Path(__file__).resolve().parents[3] / "examples" / "data"
HOUR = 3_600.0
LEARNED = 60 * 24
"""Hours of quiet weekends after which trees forecast best; they alone look at series beside."""


def wave(hours: int, *, noise: float = 5.0, seed: int = 1) -> DemandSeries:
    random = np.random.default_rng(seed)
    day = 100.0 + 30.0 * np.sin(np.arange(hours) * math.tau / 24)
    values = np.maximum(day + noise * random.standard_normal(hours), 0.0)
    return DemandSeries(pool="A100", unit="GPUs", starts_at=0.0, values=tuple(values.tolist()))


def quiet_weekends(series: DemandSeries) -> DemandSeries:
    values = tuple(
        value * (0.4 if hour // 24 % 7 >= 5 else 1.0) for hour, value in enumerate(series.values)
    )
    return dataclasses.replace(series, values=values)


def test_what_the_last_days_do_not_show_is_learned() -> None:
    forecast = PoolForecaster().forecast(quiet_weekends(wave(70 * 24)), hours=48, seed=1)
    assert forecast.mase < 0.6
    assert "trees" in forecast.method


@pytest.fixture(scope="module")
def ten_weeks() -> DemandForecast:
    """The forecast of two days after ten weeks."""
    known = wave(72 * 24)
    known = dataclasses.replace(known, values=known.values[: 70 * 24])
    return PoolForecaster().forecast(known, hours=48, seed=1)


def test_the_past_was_covered_as_promised(ten_weeks: DemandForecast) -> None:
    coverage = ten_weeks.coverage
    assert coverage["0.50"] == pytest.approx(0.5, abs=0.06)
    assert coverage["0.80"] >= 0.78
    assert coverage["0.95"] >= 0.93


def test_the_truth_of_new_hours_lies_under_p95(ten_weeks: DemandForecast) -> None:
    truth = wave(72 * 24).values[70 * 24 :]
    under = [t <= h.p95 for t, h in zip(truth, ten_weeks.hours, strict=True)]
    assert sum(under) >= 43


def test_pools_of_one_report_come_from_one_forecast() -> None:
    forecaster = PoolForecaster()
    first, second = wave(10 * 24), dataclasses.replace(wave(10 * 24, seed=2), pool="T4")
    together = [
        forecaster.forecast(first, hours=24, seed=1, beside=[second]),
        forecaster.forecast(second, hours=24, seed=1, beside=[first]),
    ]
    alone = [
        PoolForecaster().forecast(first, hours=24, seed=1, beside=[second]),
        PoolForecaster().forecast(second, hours=24, seed=1, beside=[first]),
    ]
    assert together == alone


def test_two_days_are_enough_but_leave_nothing_to_test() -> None:
    forecast = PoolForecaster().forecast(wave(48), hours=336, seed=1)
    assert forecast.coverage == {}
    assert forecast.hours[-1].p95 > forecast.hours[0].p95


def test_a_constant_series_is_forecast_as_it_is() -> None:
    series = dataclasses.replace(wave(100), values=(7.0,) * 100)
    forecast = PoolForecaster().forecast(series, hours=24, seed=1)
    assert {hour.p50 for hour in forecast.hours} == {7.0}
    assert forecast.mase == 1.0


@pytest.mark.parametrize("wrong", [-1.0, math.inf])
def test_what_is_no_demand_is_refused(wrong: float) -> None:
    series = dataclasses.replace(wave(100), values=(*wave(100).values, wrong))
    with pytest.raises(InvalidInputError, match="finite"):
        PoolForecaster().forecast(series, hours=24, seed=1)


def test_series_beside_are_read_up_to_the_same_instant_only() -> None:
    series = quiet_weekends(wave(LEARNED))
    later = wave(LEARNED + 500, seed=2)
    spoilt = dataclasses.replace(later, values=later.values[:LEARNED] + (1e9,) * 500)
    forecasts = [
        PoolForecaster().forecast(series, hours=24, seed=1, beside=[other])
        for other in (later, spoilt)
    ]
    assert "trees" in forecasts[0].method
    assert forecasts[0] == forecasts[1]


def test_series_beside_that_are_empty_or_unknown_are_left_out() -> None:
    series = quiet_weekends(wave(LEARNED))
    unknown = dataclasses.replace(series, values=(math.nan,) * 2_000)
    short = dataclasses.replace(series, values=(1.0,))
    with_others = PoolForecaster().forecast(series, hours=24, seed=1, beside=[unknown, short])
    assert with_others == PoolForecaster().forecast(series, hours=24, seed=1)


@pytest.mark.slow
def test_two_weeks_of_gpu_demand_are_better_than_the_last_day_and_covered() -> None:
    packed = (DATA / "gpu-demand-hourly.csv.gz").read_bytes()
    series = read_demand(gzip.decompress(packed).decode())
    forecaster = PoolForecaster()
    found = [
        forecaster.forecast(
            each, hours=336, seed=7, beside=[other for other in series if other is not each]
        )
        for each in series
    ]
    # One pool grows by steps, which the last day again follows best two weeks ahead.
    assert sum(each.mase for each in found) / len(found) <= 1.0
    assert max(each.mase for each in found) <= 1.15
    assert min(each.coverage["0.95"] for each in found) >= 0.88
