"""A training that loses what it had learned is told; one that learns, or wavers, is not."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from alarms.detection.courses import LEAST, POOLED, TEST
from alarms.detection.detector import StatisticalDetector
from engine.model.alarms import Alarm, Severity
from engine.model.signals import Layer, Signal


def batch(number: int, precision: float, run: str = "r-1", **labels: str) -> Signal:
    return Signal(
        name="precision",
        layer=Layer.TRAINING,
        subject="model:heart/net",
        at=100.0 + number,
        value=precision,
        labels={"run": run, "task": "train", "pipeline": "heart", **labels},
    )


def raised(values: Iterable[float], detector: StatisticalDetector | None = None) -> list[Alarm]:
    used = detector or StatisticalDetector()
    return list(used.observe([batch(number, value) for number, value in enumerate(values)]))


def learning(count: int, noise: float, seed: int = 1) -> list[float]:
    random = np.random.default_rng(seed)
    curve = 0.9 - 0.4 * np.exp(-np.arange(count) / 15.0)
    return [float(value) for value in curve + random.normal(0.0, noise, count)]


def test_a_fall_is_found_within_a_few_batches() -> None:
    values = learning(60, 0.01)
    (alarm,) = raised([*values, *(0.6 for _ in range(4 * POOLED))])
    assert (alarm.test, alarm.severity) == (TEST, Severity.WARNING)
    assert alarm.at - 100.0 <= 60 + 2 * POOLED
    assert alarm.labels["run"] == "r-1"
    assert alarm.value < alarm.expected_low < 0.85


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.05, 0.1])
def test_a_training_that_learns_raises_nothing(noise: float) -> None:
    for seed in range(20):
        assert not raised(learning(300, noise, seed))


def test_what_overfitting_costs_raises_nothing() -> None:
    values = learning(60, 0.005)
    sinking = [values[-1] - 0.08 * step / 100 for step in range(100)]
    assert not raised([*values, *sinking])


def test_a_run_is_held_against_itself_only() -> None:
    detector = StatisticalDetector()
    assert not raised(learning(60, 0.01), detector)
    later = [batch(100 + number, 0.4, run="r-2") for number in range(60)]
    assert not detector.observe(later)


def test_another_run_that_falls_is_another_alarm() -> None:
    detector = StatisticalDetector()
    falls = [*learning(60, 0.01), *(0.5 for _ in range(20))]
    first = raised(falls, detector)
    again = [batch(100 + number, value, run="r-2") for number, value in enumerate(falls)]
    assert [alarm.labels["run"] for alarm in (*first, *detector.observe(again))] == ["r-1", "r-2"]


def test_a_few_values_say_nothing() -> None:
    assert not raised([0.9] * (LEAST - POOLED - 1) + [0.1] * POOLED)


def test_trials_of_a_search_are_no_course() -> None:
    values = [*learning(60, 0.01), *(0.1 for _ in range(20))]
    signals = [batch(number, value, trial=str(number)) for number, value in enumerate(values)]
    found = StatisticalDetector().observe(signals)
    assert all(alarm.severity is Severity.INFO for alarm in found)


def test_what_ended_is_let_go_of_soon() -> None:
    detector = StatisticalDetector()
    raised([*learning(60, 0.01), *(0.5 for _ in range(20))], detector)
    assert detector.abnormal()
    quiet = Signal(name="processes", layer=Layer.MACHINE, subject="cluster:c", at=700.0, value=1.0)
    detector.observe([quiet])
    assert not detector.abnormal()
