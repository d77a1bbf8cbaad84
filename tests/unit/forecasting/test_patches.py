"""A network competes for demand where it is asked for, and is the same for the same seed."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import numpy as np
import pytest

from engine.model.capacity import DemandSeries
from engine.model.errors import NotFoundError
from forecasting import DemandChooser, PoolForecaster
from forecasting.pools import forecaster
from forecasting.pools.features import Vector, rows
from tests.support.later import Later

patches: Any = Later("forecasting.pools.patches")

WEEKS = 10


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundredth of the usual learning tells most of what these tests ask."""
    monkeypatch.setattr("forecasting.pools.patches._STEPS", 6)
    monkeypatch.setattr("forecasting.pools.patches._WINDOWS", 400)


def quiet_weekends(seed: int = 1) -> Vector:
    random = np.random.default_rng(seed)
    hours = np.arange(WEEKS * 168)
    day = 100.0 + 30.0 * np.sin(hours * math.tau / 24) + random.normal(0.0, 3.0, len(hours))
    return np.where(hours // 24 % 7 >= 5, 0.4, 1.0) * day


def said(values: Vector, end: int, seed: int = 1, horizon: int = 48) -> Vector:
    learned = patches.fit([(values, end)], seed=seed)
    origins, horizons = np.full(horizon, end), np.arange(1, horizon + 1)
    told: Vector = learned.predict(
        values[:end], origins, horizons, rows(values[:end], origins, horizons)
    )
    return told


@pytest.mark.slow
def test_what_the_last_day_does_not_show_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forecasting.pools.patches._STEPS", 60)
    values = quiet_weekends()
    end = WEEKS * 168 - 48  # a Saturday follows
    error = np.abs(said(values, end) - values[end:]).mean()
    naive = np.abs(values[end - 24 : end][np.arange(48) % 24] - values[end:]).mean()
    assert error < 0.6 * naive


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_leaves_others_their_chance() -> None:
    values = quiet_weekends()
    patches.torch.manual_seed(5)
    before = patches.torch.get_rng_state()
    first, second = (said(values, 1_400) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert patches.torch.equal(patches.torch.get_rng_state(), before)
    assert said(values, 1_400, seed=2).tobytes() != first.tobytes()


def test_nothing_behind_the_end_is_looked_at() -> None:
    values = quiet_weekends()
    spoilt = np.concatenate([values[:1_400], np.full(len(values) - 1_400, 1e9)])
    assert said(values, 1_400).tobytes() == said(spoilt, 1_400).tobytes()


def test_behind_a_week_the_last_one_is_said_again() -> None:
    values = quiet_weekends()
    changes = said(values, 1_400, horizon=170)
    known = rows(values[:1_400], np.full(170, 1_400), np.arange(1, 171))
    first, again = (changes[place] - known.day_ago[place] for place in (0, 168))
    assert first == pytest.approx(again)


def test_a_series_that_is_too_short_teaches_nothing() -> None:
    values = quiet_weekends()
    alone = patches.fit([(values, 1_400)], seed=1)
    beside = patches.fit([(values, 1_400), (values[:350], 350)], seed=1)
    at = np.full(24, 1_400), np.arange(1, 25)
    known = rows(values[:1_400], *at)
    both = [each.predict(values[:1_400], *at, known) for each in (alone, beside)]
    assert both[0].tobytes() == both[1].tobytes()


@pytest.mark.slow
def test_it_competes_only_where_it_is_asked_for() -> None:
    series = DemandSeries(
        pool="A100", unit="GPUs", starts_at=0.0, values=tuple(quiet_weekends().tolist())
    )
    one = PoolForecaster(network=True).forecast(series, hours=24, seed=1)
    again = DemandChooser(network=True).forecast(series, hours=24, seed=1)
    without = PoolForecaster().forecast(series, hours=24, seed=1)
    assert one == again
    assert one.mase <= 1.05 * without.mase
    assert forecaster.NETWORK not in without.method


def test_without_torch_the_wish_is_refused_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(NotFoundError, match="torch is not installed") as caught:
        PoolForecaster(network=True)
    assert "berth[torch]" in caught.value.fix
    PoolForecaster()
