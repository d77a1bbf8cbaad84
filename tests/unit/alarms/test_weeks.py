"""The same hour of earlier days, and of earlier weeks where these foretell better."""

from __future__ import annotations

import numpy as np
import pytest

from alarms.detection.detector import StatisticalDetector
from alarms.detection.drifting import DriftDetector
from alarms.detection.memory import Seasons
from alarms.detection.settings import DetectionSettings
from alarms.rules.detection import Detection, RuleDetector
from alarms.rules.model import RuleSet
from engine.model.alarms import Alarm
from engine.model.signals import Layer, Season, Shape, Signal

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


# -------------------------------------------------------------------- restarts


def remembered(signals: list[Signal], detector: StatisticalDetector) -> dict[int, Season]:
    """Observe by the hour; return what a store has after it."""
    stored: dict[int, Season] = {}
    for start in range(0, len(signals), PER_HOUR):
        detector.observe(signals[start : start + PER_HOUR])
        stored |= {season.number: season for season in detector.remembered()}
    return stored


def test_weeks_outlive_the_process(weeks: list[Signal]) -> None:
    """Only the last day of signals is stored, as of a large fleet; the seasons know the rest."""
    stopped = 34.5 * DAY
    stored = remembered([one for one in weeks if one.at < stopped], StatisticalDetector())
    assert len(stored) == 35
    assert all(len(season.slots) <= 24 for season in stored.values())
    later = StatisticalDetector()
    later.recall(list(reversed(stored.values())))
    since = 35 * DAY + 10 * HOUR
    fell = changed([one for one in weeks if one.at >= stopped], since, 0.4)
    alarms = later.observe(fell)
    assert min(alarm.at for alarm in alarms) >= since
    assert " the week before" in alarms[0].message
    assert [season.number for season in later.remembered()] == [35, 36]


def test_what_comes_again_after_a_restart_counts_once(weeks: list[Signal]) -> None:
    stored = remembered(weeks[: 20 * 24 * PER_HOUR], StatisticalDetector())
    once, twice = Seasons(DetectionSettings()), Seasons(DetectionSettings())
    for made in (once, twice):
        made.recall(list(stored.values()))
    for signal in weeks[18 * 24 * PER_HOUR : 19 * 24 * PER_HOUR]:
        twice.note(signal.at, signal.value)
    twice.note(20 * DAY, 1.0)
    assert twice.remembered("s") == []
    at = 21 * DAY + 10 * HOUR
    assert twice.reference(at).values == once.reference(at).values


def test_a_level_that_was_left_is_not_recalled() -> None:
    made = Seasons(DetectionSettings())
    stored: dict[int, Season] = {}
    for at in np.arange(0.0, 9 * DAY, EVERY):
        made.add(float(at), 5.0 if at < 5.5 * DAY else 50.0)
        if at == 5.5 * DAY:
            made.restart()
        stored |= {one.number: one for one in made.remembered("s")}
    later = Seasons(DetectionSettings())
    later.recall(list(stored.values()))
    assert set(later.reference(9 * DAY + 14 * HOUR).values) == {50.0}
    assert {one.since for one in stored.values() if one.number >= 5} == {5}


def test_seasons_of_another_length_are_of_no_use(weeks: list[Signal]) -> None:
    stored = remembered(weeks[: 3 * 24 * PER_HOUR], StatisticalDetector())
    later = Seasons(DetectionSettings().scaled(60))
    later.recall(list(stored.values()))
    assert later.ago(3 * DAY, 1) is None


def test_where_nobody_stores_seasons_none_pile_up(weeks: list[Signal]) -> None:
    detector = StatisticalDetector()
    detector.observe(weeks)
    assert len(detector.remembered()) == 2
    assert detector.remembered() == []


@pytest.mark.parametrize("wrap", [Detection, DriftDetector])
def test_rules_and_drift_pass_the_memory_on(weeks: list[Signal], wrap: type) -> None:
    few = weeks[: 2 * 24 * PER_HOUR]
    inside = StatisticalDetector()
    outside = Detection(statistics=inside) if wrap is Detection else DriftDetector(inside)
    outside.observe(few)
    stored = outside.remembered()
    assert [season.number for season in stored] == [0, 1]
    later = StatisticalDetector()
    again = Detection(statistics=later) if wrap is Detection else DriftDetector(later)
    again.recall(stored)
    again.observe(weeks[2 * 24 * PER_HOUR : 2 * 24 * PER_HOUR + 1])
    assert again.remembered() == []


def test_a_detector_that_remembers_nothing_is_left_alone() -> None:
    alone = DriftDetector(RuleDetector(RuleSet()))
    alone.recall([])
    assert alone.remembered() == ()
