"""Widths of many series from few nights: each as wide as its own past and all errors tell."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from forecasting.series import boosting, engine, replay, spreads
from forecasting.series.panel import DAY, Known, Panel, panel
from forecasting.series.replay import Replay
from forecasting.series.traits import DISAGREEING, traits

COUNT = 80
HOURS = 21 * DAY
LEVELS = (0.05, 0.5, 0.95)
METHODS: tuple[str, ...] = (*DISAGREEING, "mean of three days")
LITTLE = boosting.Effort(seeds=1, iterations=10, least_in_leaf=20)
BACKTEST = engine.Backtest(nights=2, afresh=False, most_smoothed=0)


def noisy(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Returns (n, hours) levels with noise that differs by series, and its deviations."""
    random = np.random.default_rng(seed)
    # Half the hours of each day are five times as noisy as the others.
    spread = np.exp(random.uniform(-1.0, 1.0, COUNT))[:, None] * np.where(
        np.arange(HOURS + 2 * DAY) % DAY < DAY // 2, 5.0, 1.0
    )
    return 1_000.0 + spread * random.standard_normal(spread.shape), spread


def shown(values: np.ndarray, known: int) -> spreads.Shown:
    """Returns what forecasts of 1,000 showed at two nights and at the present."""
    origins = np.asarray([known - 2 * DAY, known - DAY, known])
    before = Known(values[:, :known])
    everyone = np.arange(len(values))
    unit = np.stack([before.change(everyone, np.full(len(values), at)) for at in origins])
    medians = np.full((3, len(values), 2 * DAY), 1_000.0)
    actual = np.full_like(medians, math.nan)
    for place, origin in enumerate(origins):
        there = values[:, origin : min(origin + 2 * DAY, known)]
        actual[place, :, : there.shape[1]] = there
    said: dict[str, np.ndarray] = dict.fromkeys(METHODS, np.asarray(medians[0]))
    return spreads.Shown(
        origins=origins,
        unit=unit,
        medians=medians,
        actual=actual,
        traits=np.stack(
            [
                traits(before.values[:, :origin], unit[place], medians[place], said)
                for place, origin in enumerate(origins)
            ]
        ),
    )


def test_noisy_series_and_hours_are_wider_and_covered() -> None:
    values, spread = noisy()
    found = spreads.quantiles(shown(values, HOURS), 2, LEVELS)
    assert found is not None
    low, middle, high = np.moveaxis(found, 2, 0)
    assert (middle == 1_000.0).all()
    width, ahead = (high - low) / 2, spread[:, HOURS:]
    assert np.median(width / (1.645 * ahead)) == pytest.approx(1.0, abs=0.2)
    assert np.corrcoef(np.log(width.ravel()), np.log(ahead.ravel()))[0, 1] > 0.95
    actual = values[:, HOURS:]
    assert ((low <= actual) & (actual <= high)).mean() == pytest.approx(0.9, abs=0.03)


def test_a_series_that_erred_more_than_its_past_is_wider() -> None:
    values, _ = noisy()
    told = shown(values, HOURS)
    worse = told.actual.copy()
    worse[:, 7] = 1_000.0 + 4.0 * (worse[:, 7] - 1_000.0)
    before, after = (
        spreads.quantiles(each, 2, LEVELS)
        for each in (told, dataclasses.replace(told, actual=worse))
    )
    assert before is not None
    assert after is not None
    growth = (after[..., 2] - 1_000.0) / (before[..., 2] - 1_000.0)
    assert growth[7].mean() > 1.3
    assert np.median(growth) == pytest.approx(1.0, abs=0.1)


def test_too_few_errors_teach_nothing() -> None:
    values, _ = noisy()
    assert spreads.quantiles(shown(values[:20], HOURS), 2, LEVELS) is None


def test_a_constant_series_has_no_width() -> None:
    values, _ = noisy()
    values[3] = 1_000.0
    found = spreads.quantiles(shown(values, HOURS), 2, LEVELS)
    assert found is not None
    assert (found[3] == 1_000.0).all()


def test_traits_do_not_depend_on_units_or_on_how_long_a_series_is() -> None:
    values, _ = noisy()
    values[:, :1] = math.nan
    medians = np.full((COUNT, 30), 900.0)
    unit = np.full(COUNT, 3.0)
    said = dict.fromkeys(METHODS, medians + 1.0)
    first = traits(values, unit, medians, said)
    scaled = {name: 8.0 * each for name, each in said.items()}
    second = traits(8.0 * values, 8.0 * unit, 8.0 * medians, scaled)
    np.testing.assert_allclose(first, second, atol=1e-5)
    assert np.isfinite(traits(values[:, :5], unit, medians, said)).all()


def replayed(series: Panel, *, told: bool) -> Replay:
    """Returns the replay of two nights and the present of a panel."""
    now = series.values.shape[1]
    blocks = [[now - 2 * DAY, now - DAY, now]]
    learned = replay.learn(series, [blocks[0][0]], hours=DAY, seed=1, effort=LITTLE)
    parts = replay.chunks(
        series, blocks, learned, hours=DAY, levels=LEVELS, smoothed=False, shown=told
    )
    return replay.joined([replay.judge(part) for part in parts])


def test_few_nights_of_many_series_are_looked_at_together() -> None:
    values, _ = noisy()
    named = [(f"s{place:02}", row[:HOURS].tolist()) for place, row in enumerate(values)]
    series = panel(named)
    found = engine.forecast(
        series, hours=DAY, seed=1, levels=LEVELS, effort=LITTLE, backtest=BACKTEST
    )
    plain = replayed(series, told=False)
    together = replay.widened(replayed(series, told=True), LEVELS)
    assert replay.widened(plain, LEVELS) is plain
    assert found.quantiles.tobytes() == together.quantiles[-1].tobytes()
    # Nothing was known at the first night and too little at the second: widths are as they were.
    assert together.quantiles[:2].tobytes() == plain.quantiles[:2].tobytes()
    assert together.quantiles[-1].tobytes() != plain.quantiles[-1].tobytes()
    assert (np.diff(found.quantiles, axis=2) >= 0.0).all()
    actual = values[:, HOURS : HOURS + DAY]
    low, _, high = np.moveaxis(found.quantiles, 2, 0)
    covered = ((low <= actual) & (actual <= high)).mean()
    assert covered == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize(("count", "together"), [(48, True), (8, False)])
def test_a_panel_of_a_few_dozen_series_is_looked_at_together_too(
    count: int, *, together: bool
) -> None:
    values, _ = noisy()
    named = [(f"s{place:02}", row[:HOURS].tolist()) for place, row in enumerate(values[:count])]
    series = panel(named)
    found = engine.forecast(
        series, hours=DAY, seed=1, levels=LEVELS, effort=LITTLE, backtest=BACKTEST
    )
    plain = replayed(series, told=False)
    assert (found.quantiles.tobytes() != plain.quantiles[-1].tobytes()) == together
