"""The same hour of earlier days, and of earlier weeks where these foretell better."""

from __future__ import annotations

import numpy as np
import pytest

from alarms.detection.detector import StatisticalDetector
from alarms.detection.memory import Seasons
from alarms.detection.settings import DetectionSettings
from engine.model.alarms import Alarm
from engine.model.signals import Layer, Shape, Signal

HOUR = 3_600.0
DAY = 24 * HOUR
EVERY = 300.0
PER_HOUR = int(HOUR / EVERY)


def office(at: float) -> float:
    """Return requests a window: many by day, and few on the sixth and seventh day of a week."""
    day, hour = int(at // DAY) % 7, at % DAY / HOUR
    busy = 200.0 if 8 <= hour < 18 else 40.0
    return busy if day < 5 else 30.0


def requests(days: float, seed: int = 1) -> list[Signal]:
    random = np.random.default_rng(seed)
    times = np.arange(0.0, days * DAY, EVERY)
    return [
        Signal(
            name="requests",
            layer=Layer.SERVING,
            subject="model:heart",
            at=float(at),
            value=float(random.poisson(office(at))),
            shape=Shape.COUNT,
        )
        for at in times
    ]


def told(signals: list[Signal]) -> list[Alarm]:
    return list(StatisticalDetector().observe(signals))


def changed(signals: list[Signal], since: float, factor: float) -> list[Signal]:
    return [
        Signal(
            name=one.name,
            layer=one.layer,
            subject=one.subject,
            at=one.at,
            value=one.value * (factor if one.at >= since else 1.0),
            shape=one.shape,
        )
        for one in signals
    ]


@pytest.fixture(scope="module")
def weeks() -> list[Signal]:
    """Five weeks and a day and a half of an office's traffic."""
    return requests(36.5)


def test_a_weekend_is_no_alarm_once_two_weeks_are_known(weeks: list[Signal]) -> None:
    assert [alarm.at / DAY for alarm in told(weeks) if alarm.at > 21 * DAY] == []


def test_half_the_traffic_of_a_monday_is_an_alarm_with_both_hours(weeks: list[Signal]) -> None:
    """The fall is one within what this hour was over all days, weekends among them."""
    since = 35 * DAY + 10 * HOUR
    fell = [alarm for alarm in told(changed(weeks, since, 0.4)) if alarm.at >= since]
    assert fell
    alarm = fell[0]
    assert alarm.at < since + HOUR
    said = alarm.message.rpartition("the same hour was ")[2]
    yesterday, _, week = said.partition(" the day before, ")
    assert float(yesterday) == pytest.approx(30, abs=8)
    assert float(week.removesuffix(" the week before")) == pytest.approx(200, abs=15)


def seasons(values: dict[float, float]) -> Seasons:
    made = Seasons(DetectionSettings())
    for at, value in values.items():
        made.add(at, value)
    return made


def test_a_series_without_weeks_is_held_against_its_days() -> None:
    random = np.random.default_rng(2)
    made = Seasons(DetectionSettings())
    for at in np.arange(0.0, 30 * DAY, EVERY):
        made.add(float(at), float(random.normal(50 + 10 * np.sin(at / DAY * 6.28), 1)))
    assert len(made.reference(30 * DAY)) == DetectionSettings().slot_values


def test_before_two_weeks_are_known_days_count() -> None:
    made = Seasons(DetectionSettings())
    for at in np.arange(0.0, 12 * DAY, EVERY):
        made.add(float(at), office(at))
    monday = made.reference(12 * DAY + 10 * HOUR)
    assert {30.0, 200.0} <= set(monday.values)


def test_what_an_hour_was_is_known_for_a_week_only() -> None:
    made = seasons({0.0: 5.0, 600.0: 7.0, DAY: 9.0, 2 * DAY: 1.0})
    assert made.ago(DAY, 1) == 6.0
    assert made.ago(2 * DAY, 1) == 9.0
    assert made.ago(7 * DAY, 7) == 6.0
    assert made.ago(8 * DAY, 1) is None
    assert made.ago(14 * DAY, 7) is None


def test_a_new_level_forgets_weeks_as_well() -> None:
    made = Seasons(DetectionSettings())
    for at in np.arange(0.0, 22 * DAY, EVERY):
        made.add(float(at), office(at))
    made.restart()
    assert made.ago(22 * DAY, 7) is None
    assert len(made.reference(22 * DAY)) == 0
