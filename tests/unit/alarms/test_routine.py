"""How seldom an alarm fires, by its own past."""

from __future__ import annotations

from alarms.grouping.routine import Novelty, Routines
from tests.support.alert_streams import firing

HOUR_SECONDS = 3_600.0
DAY_SECONDS = 24 * HOUR_SECONDS
OCCASION_SECONDS = 600.0


def judged(routines: Routines, name: str, at: float, entity: str = "a") -> Novelty:
    """Return what one firing says."""
    (found,) = routines.judge([firing(name, at, entity)], at)
    return found


def every(seconds: float, days: float, *, name: str = "x", first: float = 0.0) -> bool:
    """Return whether an alarm is rare that fired so often for so long, after others did before."""
    routines = Routines(occasion_seconds=OCCASION_SECONDS)
    judged(routines, "other", 0.0)
    at = first
    while at < first + days * DAY_SECONDS:
        judged(routines, name, at)
        at += seconds
    return judged(routines, name, at).is_rare


def test_what_never_fired_is_rare_news_and_no_news_a_moment_later() -> None:
    routines = Routines(occasion_seconds=OCCASION_SECONDS)
    assert judged(routines, "x", 0.0).is_news
    again = judged(routines, "x", 600.0)
    assert (again.is_fresh, again.is_news) == (False, False)
    assert judged(routines, "x", 601.0).is_fresh


def test_what_is_rare_follows_from_the_rate() -> None:
    assert every(16 * HOUR_SECONDS, 5)
    assert not every(7 * HOUR_SECONDS, 5)


def test_firings_of_one_occasion_count_once() -> None:
    routines = Routines(occasion_seconds=OCCASION_SECONDS)
    judged(routines, "other", 0.0)
    start = 5 * DAY_SECONDS
    for number in range(100):
        assert judged(routines, "x", start + number).is_rare


def test_a_name_that_fires_everywhere_makes_no_host_rare() -> None:
    routines = Routines(occasion_seconds=OCCASION_SECONDS)
    for number in range(200):
        judged(routines, "first seen", number * 1_000.0, f"host-{number}")
    assert not judged(routines, "first seen", 200_000.0, "host-new").is_rare
    assert judged(routines, "never seen", 200_000.0, "host-new").is_rare


def test_what_began_to_fire_is_soon_routine_however_long_was_observed() -> None:
    year = 365 * DAY_SECONDS
    assert every(900.0, 0.1, first=year)
    assert not every(900.0, 0.5, first=year)


def test_what_fired_long_ago_is_rare_again() -> None:
    routines = Routines(occasion_seconds=OCCASION_SECONDS)
    for number in range(300):
        judged(routines, "x", number * 1_000.0)
    assert not judged(routines, "x", 300_000.0).is_rare
    assert judged(routines, "x", 60 * DAY_SECONDS).is_rare


def test_alarms_of_one_instant_are_judged_by_what_was_before() -> None:
    routines = Routines(occasion_seconds=OCCASION_SECONDS)
    both = [firing("x", 0.0, "a"), firing("x", 0.0, "b")]
    assert [found.is_rare for found in routines.judge(both, 0.0)] == [True, True]


def test_a_clock_that_is_behind_changes_nothing() -> None:
    routines = Routines(occasion_seconds=OCCASION_SECONDS)
    judged(routines, "x", 5_000.0)
    assert not judged(routines, "x", 100.0).is_fresh


def test_alarms_that_fired_longest_ago_are_forgotten() -> None:
    routines = Routines(occasion_seconds=9.0, alarms_most=2)
    for number in range(50):
        judged(routines, "often", 10.0 * number)
    assert not judged(routines, "often", 1_000.0).is_rare
    for number, name in enumerate(("one", "two")):
        judged(routines, name, 1_100.0 + number)
    assert judged(routines, "often", 1_200.0).is_rare
