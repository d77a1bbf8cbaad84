"""Drift of a model is an alarm, and what a retraining needs; a training sets a new norm."""

from __future__ import annotations

import numpy as np

from alarms.detection.detector import StatisticalDetector
from alarms.detection.drifting import DriftDetector
from engine.model.alarms import Alarm, Drift
from engine.model.identifiers import PipelineName
from engine.model.signals import Layer, Shape, Signal
from engine.ports import DriftWatch

HEART = PipelineName("heart")
LEARNED = 8 * 30
DAY = 24 * 60


def quality(start: int, values: list[float]) -> list[Signal]:
    return [
        Signal(
            name="quality",
            layer=Layer.SERVING,
            subject="model:heart",
            at=60.0 * (start + step),
            value=value,
            shape=Shape.SHARE,
            weight=100.0,
            labels={"pipeline": "heart"},
        )
        for step, value in enumerate(values)
    ]


def values(level: float, size: int, seed: int = 1) -> list[float]:
    return [float(v) for v in np.random.default_rng(seed).normal(level, 0.03, size)]


def drift_alarms(alarms: list[Alarm]) -> list[Alarm]:
    return [alarm for alarm in alarms if alarm.test.startswith("drift")]


def watched() -> DriftDetector:
    """A detector that has seen a day of a model."""
    detector = DriftDetector(StatisticalDetector())
    detector.observe(quality(0, values(0.9, DAY)))
    return detector


def test_a_model_is_not_judged_before_it_is_known() -> None:
    detector = DriftDetector(StatisticalDetector())
    assert isinstance(detector, DriftWatch)
    detector.observe(quality(0, values(0.9, LEARNED - 1)))
    assert detector.drifts(HEART) is None


def test_hours_that_the_norm_does_not_know_are_not_judged() -> None:
    detector = DriftDetector(StatisticalDetector())
    detector.observe(quality(0, values(0.9, LEARNED)))
    assert detector.drifts(HEART) == Drift(is_found=False)
    alarms = detector.observe(quality(LEARNED, values(0.84, 200, seed=2)))
    assert drift_alarms(list(alarms)) == []
    assert detector.drifts(HEART) is None


def test_a_model_that_stays_good_has_not_drifted() -> None:
    detector = watched()
    detector.observe(quality(DAY, values(0.9, 200, seed=2)))
    found = detector.drifts(HEART)
    assert found is not None
    assert not found.is_found


def test_a_lasting_loss_is_one_alarm_and_abnormal() -> None:
    detector = watched()
    alarms = detector.observe(quality(DAY, values(0.84, 200, seed=2)))
    assert len(drift_alarms(list(alarms))) == 1
    found = detector.drifts(HEART)
    assert found is not None
    assert found.is_found
    assert detector.abnormal()["model:heart|quality"] <= found.found_at


def test_a_loss_that_passed_is_no_drift_any_more() -> None:
    detector = watched()
    detector.observe(quality(DAY, values(0.84, 120, seed=2)))
    detector.observe(quality(DAY + 120, values(0.9, 60, seed=3)))
    found = detector.drifts(HEART)
    assert found is not None
    assert not found.is_found


def test_a_training_sets_a_new_norm() -> None:
    detector = watched()
    detector.observe(quality(DAY, values(0.84, 120, seed=2)))
    for _ in range(2):
        detector.trained(HEART, 60.0 * (DAY + 120))
    detector.observe(quality(DAY + 120, values(0.84, LEARNED, seed=3)))
    found = detector.drifts(HEART)
    assert found is not None
    assert not found.is_found


def test_observing_again_changes_nothing() -> None:
    detector = watched()
    signals = quality(DAY, values(0.84, 120, seed=2))
    detector.observe(signals)
    assert drift_alarms(list(detector.observe(signals))) == []
