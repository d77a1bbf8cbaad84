"""What users feel of a super-alarm, and how much of it is over."""

from __future__ import annotations

import dataclasses

import pytest

from api.wiring.alarm_feel import back_to_normal, feels, newest_of
from engine.model.alarms import Alarm, Severity, SuperAlarmState
from engine.model.signals import Layer, Signal
from engine.testing.watch_suites import alarm, group

SUBJECT = "model:heart"


def named(signal: str, value: float, at: float = 100.0, test: str = "t") -> Alarm:
    made = alarm(f"{signal}{at}", at, run="r-2")
    return dataclasses.replace(
        made,
        series=f"{SUBJECT}|{signal}",
        subject=SUBJECT,
        signal=signal,
        value=value,
        test=test,
        expected_low=0.0,
        expected_high=0.5,
        severity=Severity.WARNING,
    )


def seen(signal: str, value: float, at: float) -> Signal:
    return Signal(name=signal, layer=Layer.SERVING, subject=SUBJECT, at=at, value=value)


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (named("errors_share", 0.123), "12 % of requests to heart fail"),
        (
            named("latency_ms_p99", 340.0),
            "one answer in 100 of heart takes over 340 ms (usual are at most 0)",
        ),
        (named("quality", 0.7), "70 % of the answers of heart are right (usual are at least 0 %)"),
        (named("requests", 6.0, test="silence"), "heart has answered nobody for 6 s"),
        (named("run_failed", 1.0), "heart has no new model: run r-2 failed"),
    ],
)
def test_alarms_of_what_users_get_are_told(raised: Alarm, words: str) -> None:
    assert feels(group(raised), {}) == (words,)


def test_other_alarms_are_not_felt() -> None:
    assert feels(group(named("requests", 6.0), named("memory_gib_used", 3.0)), {}) == ()


def test_the_worst_comes_first_and_what_is_normal_again_is_felt_no_more() -> None:
    failing = dataclasses.replace(named("errors_share", 0.9), severity=Severity.CRITICAL)
    both = group(named("quality", 0.7), failing)
    assert [text.split()[0] for text in feels(both, {})] == ["90", "70"]
    newest = newest_of([seen("errors_share", 0.8, 101.0), seen("errors_share", 0.01, 102.0)])
    assert [text.split()[0] for text in feels(both, newest)] == ["70"]
    over = dataclasses.replace(both, state=SuperAlarmState.RESOLVED)
    assert len(feels(over, newest)) == 2


def test_series_within_their_band_again_are_counted() -> None:
    silent = named("requests", 6.0, test="silence")
    made = group(named("errors_share", 0.9, 90.0), named("errors_share", 0.8), silent)
    assert back_to_normal(made, {}) == (0, 2)
    old = newest_of([seen("requests", 3.0, 99.0)])
    assert back_to_normal(made, old) == (0, 2)
    back = newest_of([seen("requests", 99.0, 101.0), seen("errors_share", 0.7, 101.0)])
    assert back_to_normal(made, back) == (1, 2)
    every = newest_of([seen("errors_share", 0.1, 102.0), *back.values()])
    assert back_to_normal(made, every) == (2, 2)
