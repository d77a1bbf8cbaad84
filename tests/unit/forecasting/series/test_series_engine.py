"""The forecast of many series: nothing ahead is seen, shifts are followed, faults are named."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.model.errors import InvalidInputError
from forecasting.series import boosting, engine, parallel, replay
from forecasting.series.panel import Known, Panel, filled, panel
from forecasting.series.rows import grid, rows

LITTLE = boosting.Effort(seeds=1, iterations=10, least_in_leaf=20)
BACKTEST = engine.Backtest(nights=6, most_smoothed=0)
MEDIAN = replay.LEVELS.index(0.5)
P90 = replay.LEVELS.index(0.9)


def wave(hours: int, *, level: float = 100.0, seed: int = 1) -> list[float]:
    random = np.random.default_rng(seed)
    day = 1.0 + 0.3 * np.sin(np.arange(hours) * math.tau / 24)
    noise = 0.03 * random.standard_normal(hours)
    return [float(value) for value in level * (day + noise)]


def said(series: Panel, hours: int = 24) -> engine.PanelForecast:
    return engine.forecast(series, hours=hours, seed=1, effort=LITTLE, backtest=BACKTEST)


def test_what_comes_after_an_origin_changes_nothing_said_at_it() -> None:
    honest = panel([("a", wave(900)), ("b", wave(900, level=7.0, seed=2))])
    spoilt = Panel(names=honest.names, values=honest.values.copy())
    spoilt.values[:, 840:] = 1e6
    blocks = [[768, 792], [816, 840]]
    first, second = (
        replay.joined(replay.replay(each, blocks, hours=24, seed=1, effort=LITTLE))
        for each in (honest, spoilt)
    )
    assert first.quantiles.tobytes() == second.quantiles.tobytes()


def test_no_feature_looks_past_its_origin() -> None:
    values = np.arange(600.0)[None, :]
    spoilt = values.copy()
    spoilt[:, 500:] = 1e9
    at = grid(np.array([0]), np.array([500]), np.arange(1, 337))
    first, second = (rows(Known(each), *at) for each in (values, spoilt))
    unit = np.ones(336)
    assert first.features(unit).tobytes() == second.features(unit).tobytes()


def test_gaps_are_filled_from_before_only() -> None:
    gaps = np.array([[math.nan, 2.0, *[3.0] * 22, math.nan, math.nan, math.nan]])
    found = filled(gaps)[0]
    assert math.isnan(found[0])
    assert found[[24, 25, 26]].tolist() == [3.0, 2.0, 3.0]


def test_a_single_value_is_forecast_as_it_is() -> None:
    found = said(panel([("new", [5.0])]), hours=3)
    assert found.quantiles[0, :, MEDIAN].tolist() == [5.0, 5.0, 5.0]
    assert found.evidence[0].coverage == {}


def test_nothing_is_forecast_after_nothing() -> None:
    found = said(panel([("idle", [0.0] * 800)]))
    assert found.quantiles.max() == 0.0


def test_a_shift_of_level_is_followed_within_days() -> None:
    values = wave(700) + wave(96, level=300.0)
    found = said(panel([("shifted", values)]))
    assert np.median(found.quantiles[0, :, MEDIAN]) > 240.0


def test_a_series_that_is_rarely_used_keeps_room_for_use() -> None:
    random = np.random.default_rng(3)
    values = np.where(random.uniform(size=900) < 0.2, 50.0, 0.0).tolist()
    found = said(panel([("rare", values)]))
    assert found.quantiles[0, :, MEDIAN].max() < 25.0
    assert found.quantiles[0, :, P90].mean() > 20.0


def test_a_short_series_is_forecast_beside_long_ones() -> None:
    found = said(panel([("long", wave(900)), ("short", wave(60, level=9.0))]))
    assert 5.0 < found.quantiles[1, :, MEDIAN].mean() < 13.0


def test_quantiles_cover_the_past_as_promised() -> None:
    series = panel([(f"s{n}", wave(1_000, seed=n)) for n in range(4)])
    found = engine.forecast(
        series,
        hours=24,
        seed=1,
        effort=LITTLE,
        backtest=engine.Backtest(nights=20, most_smoothed=0),
    )
    shares = [each.coverage[0.9] for each in found.evidence]
    assert 0.85 <= float(np.mean(shares)) <= 0.95


def test_every_backend_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "CHUNK", 2)
    series = panel([(f"s{n}", wave(700, seed=n)) for n in range(5)])
    workers = parallel.Workers(jobs=2, backend=parallel.Backend.THREADING)
    answers = [
        engine.forecast(
            series, hours=24, seed=1, effort=LITTLE, backtest=BACKTEST, apply=apply
        ).quantiles.tobytes()
        for apply in (map, workers)
    ]
    assert answers[0] == answers[1]


def test_all_faults_of_a_panel_are_named_together() -> None:
    with pytest.raises(InvalidInputError) as caught:
        panel([("a", [1.0]), ("a", [-2.0]), ("c", [math.nan]), ("d", [math.inf])])
    said_of = " ".join(fault.message for fault in caught.value.faults)
    assert all(part in said_of for part in ("two series", "-2.0", "no known value", "inf"))


def test_no_series_at_all_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no series"):
        panel([])


@pytest.mark.parametrize("hours", [0, 45 * 24 + 1])
def test_a_horizon_out_of_range_is_refused(hours: int) -> None:
    with pytest.raises(InvalidInputError, match="horizon"):
        said(panel([("a", [1.0])]), hours)


@pytest.mark.parametrize("levels", [(0.5, 0.4), (0.1, 0.9), (0.5, 1.0)])
def test_levels_that_do_not_rise_through_the_median_are_refused(levels: tuple[float, ...]) -> None:
    with pytest.raises(InvalidInputError, match="levels"):
        engine.forecast(panel([("a", [1.0])]), hours=1, seed=1, levels=levels)
