"""What every `DemandForecaster` keeps; subclass `DemandSuite` and give it a fixture."""

from __future__ import annotations

import dataclasses
import math

import pytest

from engine.model import documents
from engine.model.capacity import DemandSeries
from engine.model.errors import InvalidInputError
from engine.ports import DemandForecaster

HOUR = 3_600.0


def demand(hours: int, *, level: float = 100.0) -> DemandSeries:
    """Return demand with a daily wave and a little noise that is the same each time."""
    values = tuple(
        level * (1.0 + 0.3 * math.sin(hour * math.tau / 24)) + (hour * 7_919) % 11
        for hour in range(hours)
    )
    return DemandSeries(pool="A100", unit="GPUs", starts_at=HOUR * 400_000, values=values)


class DemandSuite:
    """The contract of the port `DemandForecaster`."""

    @pytest.fixture
    def forecaster(self) -> DemandForecaster:
        """Return the forecaster under test."""
        raise NotImplementedError

    @pytest.mark.parametrize("known", [48, 100, 500])
    def test_it_starts_where_the_series_ends(
        self, forecaster: DemandForecaster, known: int
    ) -> None:
        """One set of quantiles for each hour asked for, from the first unknown hour on."""
        series = demand(known)
        forecast = forecaster.forecast(series, hours=30, seed=1)
        assert len(forecast.hours) == 30
        assert forecast.starts_at == series.starts_at + known * HOUR
        assert (forecast.pool, forecast.unit) == (series.pool, series.unit)

    def test_under_two_days_are_refused(self, forecaster: DemandForecaster) -> None:
        """47 values say nothing about a day."""
        with pytest.raises(InvalidInputError, match="A100"):
            forecaster.forecast(demand(47), hours=24, seed=1)

    def test_unknown_hours_do_not_count(self, forecaster: DemandForecaster) -> None:
        """A series of gaps is as short as what is known of it."""
        series = demand(60)
        gaps = (math.nan,) * 20 + series.values[20:]
        with pytest.raises(InvalidInputError):
            forecaster.forecast(dataclasses.replace(series, values=gaps), hours=24, seed=1)

    def test_gaps_are_borne(self, forecaster: DemandForecaster) -> None:
        """An unknown hour here and there leaves a finite forecast."""
        series = demand(400)
        values = tuple(
            math.nan if hour % 37 == 0 else value for hour, value in enumerate(series.values)
        )
        forecast = forecaster.forecast(dataclasses.replace(series, values=values), hours=24, seed=1)
        assert all(math.isfinite(hour.p99) for hour in forecast.hours)

    def test_the_same_arguments_give_the_same_bytes(self, forecaster: DemandForecaster) -> None:
        """A report can be made again byte for byte."""
        first, second = (forecaster.forecast(demand(400), hours=24, seed=1) for _ in range(2))
        assert documents.encode(first) == documents.encode(second)

    def test_the_daily_wave_is_found(self, forecaster: DemandForecaster) -> None:
        """The median of the next day is within a tenth of the wave's height of the truth."""
        forecast = forecaster.forecast(demand(480), hours=24, seed=1)
        truth = demand(504).values[480:]
        errors = [abs(h.p50 - t) for h, t in zip(forecast.hours, truth, strict=True)]
        assert sum(errors) / len(errors) < 10.0

    def test_coverage_is_a_share_by_level(self, forecaster: DemandForecaster) -> None:
        """What was covered in the past is stated by level, rising with it."""
        coverage = forecaster.forecast(demand(500), hours=24, seed=1).coverage
        shares = [share for _, share in sorted(coverage.items())]
        assert shares == sorted(shares)
        assert all(0.0 <= share <= 1.0 for share in shares)

    def test_other_series_do_not_change_what_is_answered(
        self, forecaster: DemandForecaster
    ) -> None:
        """Series beside it may be learned from; the forecast stays one of the series' own level."""
        series = demand(480)
        large = dataclasses.replace(demand(480, level=9_000.0), pool="T4")
        forecast = forecaster.forecast(series, hours=24, seed=1, beside=[large])
        assert forecast.pool == "A100"
        assert max(hour.p95 for hour in forecast.hours) < 300.0
