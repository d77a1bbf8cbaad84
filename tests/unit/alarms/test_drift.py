"""A model is retrained for a drift that lasts, not for season, noise or a fault that passed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alarms.detection import drift
from alarms.detection.discoveries import FleetDiscoveries
from alarms.detection.drift import DriftSettings, DriftTriggers
from alarms.detection.settings import Worse

HALF_HOUR = 1_800.0
LEARNED = 30 * 48


def triggered(values: np.ndarray, *, worse: Worse = Worse.HIGHER) -> list[int]:
    triggers = DriftTriggers()
    found = []
    for place, value in enumerate(values.tolist()):
        if triggers.observe("heart", place * HALF_HOUR, value, worse=worse) is not None:
            triggers.retrained("heart")
            found.append(place)
    return found


def white(size: int = 3_000, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=size)


def test_noise_needs_no_retraining() -> None:
    assert triggered(white()) == []


def test_a_season_needs_no_retraining() -> None:
    assert triggered(white() + 5 * np.sin(np.arange(3_000) * 2 * np.pi / 48)) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_series_that_wanders_needs_no_retraining(seed: int) -> None:
    values = white(seed=seed)
    for place in range(1, len(values)):
        values[place] += 0.9 * values[place - 1]
    assert triggered(values) == []


def test_a_drift_that_lasts_asks_once() -> None:
    values = white()
    values[2_000:] += 1.5
    (place,) = triggered(values)
    assert 2_000 <= place < 2_400


def test_a_slow_drift_asks() -> None:
    values = white()
    values[1_800:] += np.minimum(1.0, np.arange(1_200) / 600) * 1.5
    assert len(triggered(values)) == 1


def test_a_fault_that_passes_does_not_ask() -> None:
    values = white()
    values[2_000:2_050] += 8
    assert triggered(values) == []


def test_a_change_for_the_better_does_not_ask() -> None:
    values = white()
    values[2_000:] -= 2
    assert triggered(values) == []
    assert len(triggered(values, worse=Worse.LOWER)) == 1
    assert len(triggered(values, worse=Worse.EITHER)) == 1


def test_a_significant_but_small_drift_does_not_ask() -> None:
    values = white(8_000)
    values[2_000:] += 0.15
    assert triggered(values) == []


def test_the_finding_says_what_is_normal() -> None:
    triggers = DriftTriggers(DriftSettings(season_slots=1))
    values = white()
    values[2_000:] += 2
    findings = [
        finding
        for place, value in enumerate(values.tolist())
        if (finding := triggers.observe("heart", place * HALF_HOUR, value)) is not None
    ]
    assert findings[0].test.startswith("drift of the mean of ")
    assert findings[0].value > findings[0].high > findings[0].usual
    assert findings[0].p_value < 0.02


def test_the_error_of_a_season_that_few_values_tell_counts() -> None:
    """Statistics of models that do not drift scatter by one, also with ten values a slot."""
    settings = DriftSettings(block_values=8, season_slots=24)
    learned, newest = 30 * 8, 4 * 8
    slots = [place // 6 % 24 for place in range(learned + newest)]
    counts = [
        np.bincount(slots[learned + at : learned + at + 8], minlength=24) for at in (0, 8, 16, 24)
    ]
    found = []
    for seed in range(400):
        values = white(learned + newest, seed).tolist()
        reference = drift._Reference(settings, slots[:learned], values[:learned])
        rest = [
            reference.rest(slot, value)
            for slot, value in zip(slots[learned:], values[learned:], strict=True)
        ]
        found.append((np.mean(rest) - reference.mean) / reference.error(counts))
    assert 0.85 < np.std(found) < 1.1


def by_the_minute(amplitude: float, days: int, seed: int = 1) -> np.ndarray:
    """A value a minute with a daily season; the norm of the watch loop takes four hours."""
    size = days * 1_440
    return white(size, seed) + amplitude * np.sin(np.arange(size) * 2 * np.pi / 1_440)


def asked(values: np.ndarray) -> list[int]:
    """Return when a model asks, in minutes, if nobody trains it."""
    triggers = DriftTriggers(DriftSettings(block_values=8, reference_blocks=30))
    told = (triggers.observe("heart", 60.0 * at, value) for at, value in enumerate(values.tolist()))
    return [at for at, finding in enumerate(told) if finding is not None]


def test_a_season_that_the_first_hours_do_not_show_needs_no_retraining() -> None:
    """Of so many models, each alone under its rate, hardly one asks."""
    assert sum(bool(asked(by_the_minute(2.0, 3, seed))) for seed in range(12)) <= 2


@pytest.mark.parametrize("amplitude", [0.0, 2.0])
def test_a_drift_is_found_within_hours_once_a_season_was_seen(amplitude: float) -> None:
    values = by_the_minute(amplitude, 3)
    values[2_000:] += 1.0
    assert 2_000 <= asked(values)[0] < 2_240


def test_a_drift_within_the_first_season_is_found_in_the_next() -> None:
    values = by_the_minute(0.0, 3)
    values[600:] += 1.0
    assert 1_440 <= asked(values)[0] < 1_680


def test_hours_without_values_in_the_first_season_are_not_judged() -> None:
    values = by_the_minute(2.0, 3)
    values[300:600] = np.nan
    values[1_440 + 300 : 1_440 + 600] += 3.0
    assert asked(values) == []


def test_a_norm_that_knows_the_season_is_learned_once() -> None:
    """What comes later is no part of it: a drift right after the first blocks is found."""
    values = white(LEARNED + 480)
    values[LEARNED:] += 1.5
    assert len(triggered(values)) == 1


def test_a_value_that_is_no_number_counts_for_nothing() -> None:
    assert DriftTriggers().observe("heart", 0.0, math.nan) is None


def test_a_single_model_has_the_rate_for_a_period() -> None:
    discoveries = FleetDiscoveries(0.1, period_tests=10)
    assert not any(discoveries.test("heart", 1.0) for _ in range(1_000))
    assert discoveries.level == pytest.approx(0.01)
    assert discoveries.test("heart", 0.009)


def test_more_models_share_the_rate_and_a_discovery_lends_level_for_a_period() -> None:
    discoveries = FleetDiscoveries(0.1, period_tests=10)
    for number in range(10):
        discoveries.test(f"model-{number}", 1.0)
    assert discoveries.level == pytest.approx(0.001)
    assert discoveries.test("model-0", 0.0)
    assert not discoveries.test("model-1", 0.0015 + 0.0006)
    assert discoveries.test("model-2", 0.0019)
    for _ in range(10):
        for number in range(10):
            discoveries.test(f"model-{number}", 1.0)
    assert discoveries.level == pytest.approx(0.001)


def test_false_discoveries_are_few() -> None:
    random = np.random.default_rng(1)
    discoveries = FleetDiscoveries(0.1, period_tests=10)
    false = true = 0
    for _ in range(100):
        for number in range(50):
            is_null = number % 10 > 0
            p_value = random.random() if is_null else random.random() * 1e-6
            if discoveries.test(f"model-{number}", p_value):
                false += is_null
                true += not is_null
    assert false / (false + true) <= 0.1
    assert true == 500
