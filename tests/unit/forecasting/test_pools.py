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
from forecasting.pools import rolling
from forecasting.pools.features import filled, rows

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


@pytest.fixture(scope="module")
def alone() -> DemandForecast:
    """The forecast of a day after quiet weekends, from their own past only."""
    return PoolForecaster().forecast(quiet_weekends(wave(LEARNED)), hours=24, seed=1)


def test_what_the_last_days_do_not_show_is_learned(alone: DemandForecast) -> None:
    assert alone.mase < 0.6
    assert "boosted trees" in alone.method


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


def test_a_short_series_is_forecast_without_a_model() -> None:
    forecast = PoolForecaster().forecast(wave(10 * 24), hours=48, seed=1)
    assert "boosted" not in forecast.method


def test_two_days_are_enough_but_leave_nothing_to_test() -> None:
    forecast = PoolForecaster().forecast(wave(48), hours=336, seed=1)
    assert forecast.coverage == {}
    assert forecast.hours[-1].p95 > forecast.hours[0].p95


def test_a_constant_series_is_forecast_as_it_is() -> None:
    series = dataclasses.replace(wave(100), values=(7.0,) * 100)
    forecast = PoolForecaster().forecast(series, hours=24, seed=1)
    assert {hour.p50 for hour in forecast.hours} == {7.0}
    assert forecast.mase == 1.0


def test_a_naive_forecast_that_is_exact_bounds_the_ratio() -> None:
    past = rolling.Past(
        origins=np.array([24]),
        horizons=np.array([1]),
        actual=np.array([5.0]),
        naive=np.array([5.0]),
        scale=np.array([1.0]),
        medians={"other": np.array([4.0])},
    )
    assert rolling.honesty(past, ["other"]).mase == 1_000.0


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
    assert "boosted trees" in forecasts[0].method
    assert forecasts[0] == forecasts[1]


def test_series_beside_that_are_empty_or_unknown_are_left_out(alone: DemandForecast) -> None:
    series = quiet_weekends(wave(LEARNED))
    unknown = dataclasses.replace(series, values=(math.nan,) * 2_000)
    short = dataclasses.replace(series, values=(1.0,))
    assert PoolForecaster().forecast(series, hours=24, seed=1, beside=[unknown, short]) == alone


def test_gaps_are_filled_with_the_day_before() -> None:
    values = [math.nan, 2.0] + [3.0] * 22 + [math.nan, math.nan]
    assert filled(values)[[0, 24, 25]].tolist() == [2.0, 2.0, 2.0]


def test_no_feature_looks_past_its_origin() -> None:
    values = np.arange(600.0)
    origins, horizons = np.full(48, 500), np.arange(1, 49)
    spoilt = np.concatenate([values[:500], np.full(100, 1e9)])
    honest, other = rows(values, origins, horizons), rows(spoilt, origins, horizons)
    assert np.array_equal(honest.features, other.features)


@pytest.mark.slow
def test_gpu_demand_of_two_weeks_is_covered() -> None:
    packed = (DATA / "gpu-demand-hourly.csv.gz").read_bytes()
    first, *others = read_demand(gzip.decompress(packed).decode())
    forecast = PoolForecaster().forecast(first, hours=336, seed=7, beside=others)
    assert forecast.mase <= 1.05
    assert forecast.coverage["0.95"] >= 0.90


@pytest.mark.parametrize("hours", [48, 50, 60, 100])
def test_a_short_series_is_no_wider_than_it_ever_was(hours: int) -> None:
    series = wave(hours)
    forecast = PoolForecaster().forecast(series, hours=24, seed=1)
    assert max(hour.p95 for hour in forecast.hours) < 2.0 * max(series.values)


@pytest.mark.parametrize("value", [0.0, 7.5])
def test_what_never_changes_has_no_width(value: float) -> None:
    series = dataclasses.replace(wave(100), values=(value,) * 100)
    forecast = PoolForecaster().forecast(series, hours=24, seed=1)
    assert {each for hour in forecast.hours for each in hour.values} == {value}
