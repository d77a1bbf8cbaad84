"""How surprising a value is follows from what the series did before, and from nothing else."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from alarms.detection.detector import StatisticalDetector
from alarms.detection.sequences.detector import SequenceDetector, SequenceSettings
from alarms.detection.sequences.looks import View
from alarms.detection.sequences.medians import ThinnedMedian
from alarms.detection.sequences.patterns import PatternMemory
from alarms.detection.sequences.peaks import Peaks
from alarms.detection.sequences.shifts import CumulativeShift
from alarms.detection.sequences.tails import MOST_SURPRISE, Shape, Tail
from alarms.detection.settings import DetectionSettings
from engine.model.alarms import Alarm
from engine.model.signals import Layer, Signal

STEP_SECONDS = 300.0
DAY = 288


def filled(shape: Shape, values: np.ndarray) -> Tail:
    tail = Tail(shape, kept=20, least=100)
    for value in values.tolist():
        tail.observe(value)
    return tail


def surprises(values: list[float], settings: SequenceSettings | None = None) -> list[float]:
    detector = SequenceDetector(settings)
    return [detector.observe(place * STEP_SECONDS, value) for place, value in enumerate(values)]


def daily(days: int, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=days * DAY)
    return 10 * np.sin(2 * np.pi * np.arange(days * DAY) / DAY) + noise


def test_a_power_tail_knows_its_power() -> None:
    pareto = np.random.default_rng(1).pareto(2.0, 20_000) + 1
    tail = filled(Shape.POWER, pareto)
    # P(value > x) = x ** -2, so 1,000 has a probability of one in a million.
    assert tail.observe(1_000.0) == pytest.approx(6, abs=1.5)


def test_an_exponential_tail_knows_its_mean() -> None:
    tail = filled(Shape.EXPONENTIAL, np.random.default_rng(1).exponential(1.0, 20_000))
    assert tail.observe(6 * math.log(10)) == pytest.approx(6, abs=1.2)


@pytest.mark.parametrize("shape", Shape)
def test_reach_is_the_value_of_a_surprise(shape: Shape) -> None:
    tail = filled(shape, np.random.default_rng(1).exponential(1.0, 5_000))
    reach = tail.reach(5.0)
    assert tail.observe(reach) == pytest.approx(5.0, abs=0.01)


def test_ordinary_values_are_no_surprise() -> None:
    assert filled(Shape.POWER, np.arange(1.0, 1_001.0)).observe(500.0) == 0.0


def test_nothing_is_surprising_before_enough_was_seen() -> None:
    tail = filled(Shape.POWER, np.ones(50))
    assert tail.observe(1e9) == 0.0
    assert math.isinf(tail.reach(3.0))


def test_the_first_value_unlike_zero_is_a_surprise_with_a_bound() -> None:
    tail = filled(Shape.POWER, np.zeros(1_000))
    assert tail.observe(1e-9) == pytest.approx(3.0, abs=0.01)


def test_surprise_has_a_limit() -> None:
    assert filled(Shape.POWER, np.ones(1_000)).observe(1e300) == MOST_SURPRISE


def test_the_median_is_exact_at_first_and_close_later() -> None:
    median = ThinnedMedian()
    for value in (5.0, 1.0, 3.0):
        median.observe(value)
    assert median.median == 3.0
    for value in np.random.default_rng(1).normal(7, 1, 20_000).tolist():
        median.observe(value)
    assert median.median == pytest.approx(7, abs=0.3)


def test_a_known_pattern_is_near_and_a_new_one_far() -> None:
    memory = PatternMemory(step=1, width=4, most=16)
    seen = [memory.observe(value) for value in [0.0, 1.0, 2.0, 3.0] * 10]
    assert seen[:4] == [None, None, None, None]
    assert seen[-1] == 0.0
    assert memory.observe(50.0) == pytest.approx(12.5, abs=0.8)


def test_a_full_memory_moves_towards_what_comes() -> None:
    memory = PatternMemory(step=1, width=2, most=1)
    distances = [memory.observe(value) or 0.0 for value in [0.0] * 3 + [1.0] * 60]
    assert 0.5 < max(distances) <= 1.0
    assert distances[-1] < 0.01


def test_patterns_are_of_means() -> None:
    memory = PatternMemory(step=3, width=2, most=8)
    seen = [memory.observe(value) for value in [1.0, 2.0, 3.0] * 5]
    assert [place for place, found in enumerate(seen) if found is not None] == [8, 11, 14]
    assert seen[14] == 0.0


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_small_shift_that_lasts_adds_up(sign: int) -> None:
    shift = CumulativeShift(slots=1, rate=0.2, allowance=0.5, memory=1_000)
    noise = np.random.default_rng(1).normal(size=1_000)
    before = [shift.observe(0, value) for value in noise.tolist()]
    after = [shift.observe(0, value + 1.5 * sign) for value in noise[:20].tolist()]
    assert max(after) > 1.5 * max(before)
    expected, low, high = shift.band(max(before))
    assert low <= expected <= high
    assert (high if sign > 0 else low) == expected


def test_a_wandering_series_is_no_shift() -> None:
    shift = CumulativeShift(slots=1, rate=0.2, allowance=1.5, memory=4_000)
    noise = np.random.default_rng(1).normal(size=5_000).tolist()
    last, sums = 0.0, []
    for value in noise:
        last = 0.95 * last + value
        sums.append(shift.observe(0, last))
    assert max(sums[500:]) < 4


def test_a_peak_is_told_once_unless_it_grows() -> None:
    peaks = Peaks(least=5.0, quiet_values=3, rise=1.2)
    told = [peaks.told(value) for value in (4.0, 6.0, 6.5, 9.0, 9.0, 9.0, 9.0, 9.0)]
    assert told == [0.0, 6.0, 0.0, 9.0, 0.0, 0.0, 0.0, 9.0]


def test_a_spike_is_a_surprise_of_its_level() -> None:
    values = [*np.random.default_rng(1).normal(10, 1, 1_500).tolist(), 60.0]
    detector = SequenceDetector()
    found = [detector.observe(place * STEP_SECONDS, value) for place, value in enumerate(values)]
    assert found[-1] > 2 * max(found[:-1])
    finding = detector.look.finding(level=1e-4, effect=0.0)
    assert finding.p_value < 1e-4
    assert finding.value > finding.high
    assert finding.statistic > 0


def test_a_level_that_is_usual_at_another_hour_is_a_surprise_at_this_one() -> None:
    values = daily(8)
    values[-DAY // 4 - 3 : -DAY // 4] = 10.0
    detector = SequenceDetector()
    found = [
        detector.observe(place * STEP_SECONDS, value) for place, value in enumerate(values.tolist())
    ]
    place = int(np.argmax(found[2 * DAY :])) + 2 * DAY
    assert place in range(len(values) - DAY // 4 - 3, len(values) - DAY // 4 + 24)


def test_a_series_that_falls_still_is_rough_no_more() -> None:
    values = np.random.default_rng(1).normal(size=6 * DAY)
    values[5 * DAY :] = 0.0
    detector = SequenceDetector()
    views = set()
    for place, value in enumerate(values.tolist()):
        if detector.observe(place * STEP_SECONDS, value) > 4 and place >= 5 * DAY:
            views.add(detector.look.view)
    assert views & {View.ROUGHNESS, View.SEASON_ROUGHNESS}


def test_a_still_series_says_nothing() -> None:
    assert max(surprises([45.0] * 2_000)) == 0.0


def test_huge_values_leave_no_trace_in_the_sums() -> None:
    values = [*daily(2).tolist(), 1e15, *daily(4).tolist()]
    detector = SequenceDetector()
    for place, value in enumerate(values):
        detector.observe(place * STEP_SECONDS, value)
    assert detector.look.measures[2] < 10


def test_a_slot_is_held_against_earlier_seasons_only() -> None:
    # A minute is a twelfth of nothing here: 300 values a slot, and one season has not passed.
    detector = SequenceDetector()
    for place in range(2_000):
        detector.observe(float(place), float(place % 7))
    assert detector.look.surprises[1] == 0.0
    assert not detector.is_ready


def gauge(values: list[float]) -> list[Signal]:
    return [
        Signal(
            name="pressure",
            layer=Layer.SERVING,
            subject="plant:a",
            at=place * STEP_SECONDS,
            value=value,
        )
        for place, value in enumerate(values)
    ]


def alarms(values: list[float], level: float = 5e-5) -> list[Alarm]:
    return list(StatisticalDetector(DetectionSettings(level=level)).observe(gauge(values)))


def test_an_alarm_of_a_sequence_says_test_and_band() -> None:
    values = np.random.default_rng(3).normal(0, 1, 6 * DAY)
    values[-20:] += 5
    found = [alarm for alarm in alarms(values.tolist()) if alarm.at >= (6 * DAY - 20) * 300]
    assert found[0].p_value <= 5e-5
    assert not found[0].expected_low <= found[0].value <= found[0].expected_high
    assert any(alarm.test.startswith("surprise, ") for alarm in found)


def test_a_series_that_wanders_does_not_alarm() -> None:
    noise = np.random.default_rng(2).normal(size=2_500)
    for place in range(1, len(noise)):
        noise[place] += 0.9 * noise[place - 1]
    assert len(alarms(noise.tolist())) <= 1


def test_values_that_are_no_numbers_are_missing_ones() -> None:
    signals = gauge([1.0, math.nan, math.inf, 2.0])
    detector = StatisticalDetector()
    assert detector.observe(signals) == []
    later = dataclasses.replace(signals[1], value=5.0)
    assert detector.observe([later]) == []
