"""What came of an action, as signals tell it."""

from __future__ import annotations

import dataclasses

import pytest

from engine.model.alarms import Action, ActionKind, ActionState, Alarm
from engine.model.checks import Checked, CheckKind, Verdict
from engine.model.identifiers import PipelineName, SuperAlarmId
from engine.model.signals import Layer, Signal
from engine.testing.watch_suites import alarm, gauge, group
from engine.watching import outcomes
from engine.watching.outcomes import Span

GOOD = (10.0, 11.0, 9.0, 10.0, 11.0, 9.0)
BAD = (20.0, 21.0, 19.0, 20.0)
SPAN = Span(good_until=6.0, began_at=6.0, done_at=10.0)
DONE = Action(
    action_id="a",
    kind=ActionKind.ROLL_BACK,
    state=ActionState.DONE,
    super_alarm_id=SuperAlarmId("SA-1"),
    subject="model:heart",
    policy="",
    wanted_at=9.0,
    ended_at=10.0,
    pipeline=PipelineName("heart"),
)
CHECKED = Checked(
    kind=CheckKind.ROLL_BACK,
    subject="model:heart",
    verdict=Verdict.DENIES,
    message="",
    at=20.0,
    took_seconds=10.0,
)


def series(*values: float) -> list[Signal]:
    return [gauge(float(at), value) for at, value in enumerate(values)]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ((10.0, 9.0, 11.0, 10.0), Verdict.CONFIRMS),
        ((21.0, 20.0, 19.0, 20.0), Verdict.DENIES),
        # It got even worse, as what sinks slowly does.
        ((30.0, 31.0, 32.0, 33.0), Verdict.DENIES),
        # Better than during the trouble, and not as before.
        ((15.0, 14.0, 15.0, 16.0), Verdict.OPEN),
        ((20.0, 21.0, 19.0), Verdict.OPEN),
    ],
)
def test_signals_after_it_tell(after: tuple[float, ...], expected: Verdict) -> None:
    values = series(*GOOD, *BAD, *after)
    assert outcomes.verdict(values, SPAN, is_high=True) is expected


def test_lower_values_may_be_the_worse_ones() -> None:
    values = series(*(-one for one in (*GOOD, *BAD, *BAD)))
    assert outcomes.verdict(values, SPAN, is_high=False) is Verdict.DENIES
    assert outcomes.verdict(values, SPAN, is_high=True) is Verdict.CONFIRMS


def test_without_values_during_the_trouble_those_before_it_decide() -> None:
    span = dataclasses.replace(SPAN, done_at=6.0)
    assert outcomes.verdict(series(*GOOD, *BAD), span, is_high=True) is Verdict.DENIES


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ((), Verdict.OPEN),
        ((Verdict.OPEN, Verdict.DENIES), Verdict.DENIES),
        ((Verdict.CONFIRMS, Verdict.CONFIRMS), Verdict.CONFIRMS),
        ((Verdict.CONFIRMS, Verdict.DENIES), Verdict.OPEN),
    ],
)
def test_series_must_agree(said: tuple[Verdict, ...], expected: Verdict) -> None:
    assert outcomes.together(said) is expected


def test_the_numbers_are_told() -> None:
    told = outcomes.told("latency_ms", series(*GOOD, *BAD, *BAD), SPAN)
    assert told == "latency ms is 20, was 20 until then and 10 before the trouble"
    short = dataclasses.replace(SPAN, done_at=6.0)
    told = outcomes.told("latency_ms", series(*GOOD, *BAD), short)
    assert told == "latency ms is 20, was 10 before the trouble"


class TestAlarmed:
    def serving(self, at: float = 5.0, **changes: object) -> Alarm:
        made = alarm(f"a@{at}", at, pipeline="heart")
        series = "model:heart|latency_ms"
        made = dataclasses.replace(made, series=series, signal="latency_ms")
        return dataclasses.replace(made, **changes)

    def test_the_newest_alarm_of_a_series_before_the_action_counts(self) -> None:
        alarms = [self.serving(at) for at in (5.0, 8.0, 9.5)]
        assert outcomes.alarmed(group(*alarms), DONE) == [alarms[1]]

    @pytest.mark.parametrize(
        "changes",
        [
            {"labels": {"pipeline": "other"}},
            {"labels": {"feature": "chol"}},
            {"layer": Layer.MACHINE},
            {"test": "silence"},
            {"signal": "requests"},
        ],
    )
    def test_what_no_model_could_put_right_does_not(self, changes: dict[str, object]) -> None:
        assert not outcomes.alarmed(group(self.serving(**changes)), DONE)


class TestKnown:
    def of(self, *checks: Checked, action: Action = DONE) -> Checked | None:
        made = dataclasses.replace(group(alarm("a", 5.0)), checks=checks)
        assert outcomes.is_vain(made, action) is (outcomes.of(made, action) is not None)
        return outcomes.of(made, action)

    def test_it_stands_with_the_super_alarm(self) -> None:
        assert self.of(CHECKED) == CHECKED

    def test_that_of_an_action_before_it_does_not_count(self) -> None:
        assert self.of(dataclasses.replace(CHECKED, at=5.0)) is None

    @pytest.mark.parametrize(
        "changes",
        [
            {"ended_at": None},
            {"kind": ActionKind.RETRAIN},
            {"kind": ActionKind.REPLAN},
            {"pipeline": PipelineName("other")},
        ],
    )
    def test_it_is_of_that_action(self, changes: dict[str, object]) -> None:
        assert self.of(CHECKED, action=dataclasses.replace(DONE, **changes)) is None
