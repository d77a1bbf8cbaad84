"""The small charts of a super-alarm."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as some

from api.web.views import timelines
from engine.model import alarms, signals
from engine.model.identifiers import SuperAlarmId

AT = 1_790_000_000.0


def signal(number: float, value: float, subject: str = "feature:heart/chol") -> signals.Signal:
    return signals.Signal(
        name="feature_median",
        layer=signals.Layer.SERVING,
        subject=subject,
        at=AT + number,
        value=value,
        unit="mg/dL",
    )


def alarm(number: float, value: float) -> alarms.Alarm:
    return alarms.Alarm(
        alarm_id=f"a-{number}",
        series="feature:heart/chol|feature_median",
        subject="feature:heart/chol",
        signal="feature_median",
        layer=signals.Layer.SERVING,
        at=AT + number,
        value=value,
        unit="mg/dL",
        test="z",
        statistic=1.0,
        p_value=1e-9,
        expected_low=200.0,
        expected_high=280.0,
        severity=alarms.Severity.WARNING,
    )


def test_there_is_one_chart_a_series_with_marks_band_and_words(group: alarms.SuperAlarm) -> None:
    values = [signal(n, 240.0) for n in range(5)] + [signal(5, 6.2), signal(20, 6.2)]
    (small,) = timelines.timeline(group, [*values, signal(3, 1.0, "feature:heart/age")])
    assert len(small.line.split()) == 7
    assert len(small.marks) == 2
    assert small.band is not None
    assert small.band[0] < small.band[1]
    assert small.description == "6.2 mg/dL at 14:13:25, expected 200 to 280"


def test_a_silence_is_told_in_seconds_and_has_no_band_of_values() -> None:
    silent = dataclasses.replace(alarm(6, 5.0), test="silence", expected_low=0.0, expected_high=2.0)
    group = alarms.SuperAlarm(
        super_alarm_id=SuperAlarmId("SA-1"),
        title="silent",
        severity=alarms.Severity.WARNING,
        state=alarms.SuperAlarmState.OPEN,
        opened_at=AT,
        updated_at=AT,
        alarms=(silent,),
    )
    (small,) = timelines.timeline(group, [signal(n, 240.0 + n) for n in range(6)])
    assert small.band is None
    assert small.description == "silent for 5 s at 14:13:26"
    assert small.marks == ((timelines.RIGHT, timelines.TOP),)


def test_without_signals_there_is_no_timeline(group: alarms.SuperAlarm) -> None:
    assert timelines.timeline(group, []) == []


def test_signals_far_from_the_event_are_left_out(group: alarms.SuperAlarm) -> None:
    assert timelines.timeline(group, [signal(-600, 240.0), signal(600, 240.0)]) == []


def test_changes_are_lines_where_they_happened(
    group: alarms.SuperAlarm, events: list[alarms.Event]
) -> None:
    late = dataclasses.replace(events[0], at=AT + 7_200)
    values = [signal(0, 240.0), signal(4, 6.2)]
    (small,) = timelines.timeline(group, values, [*events, late])
    assert (small.changes[0], small.changes[-1]) == (timelines.LEFT, timelines.RIGHT)
    assert len(small.changes) == len(events)


def test_marks_that_would_cover_each_other_are_thinned(group: alarms.SuperAlarm) -> None:
    many = dataclasses.replace(group, alarms=tuple(alarm(n / 10, 6.2) for n in range(300)))
    (small,) = timelines.timeline(many, [signal(n / 10, 6.2) for n in range(300)])
    assert len(small.marks) < 45
    assert small.marks[0][0] == timelines.LEFT


@given(
    some.lists(some.tuples(some.floats(-50, 50), some.floats(-1e6, 1e6)), min_size=1, max_size=600)
)
def test_everything_is_drawn_inside_of_the_box(points: list[tuple[float, float]]) -> None:
    raised = alarm(0, points[0][1])
    group = alarms.SuperAlarm(
        super_alarm_id="SA-1",
        title="x",
        severity=raised.severity,
        state=alarms.SuperAlarmState.OPEN,
        opened_at=AT,
        updated_at=AT,
        alarms=(raised,),
    )
    drawn = timelines.timeline(group, [signal(*point) for point in sorted(points)])
    for x, y in (map(float, pair.split(",")) for small in drawn for pair in small.line.split()):
        assert timelines.LEFT <= x <= timelines.RIGHT
        assert timelines.TOP <= y <= timelines.BOTTOM


@given(some.integers(1, 5_000))
def test_a_long_line_is_thinned_and_keeps_its_end(count: int) -> None:
    thin = timelines._thin([signal(n, float(n)) for n in range(count)])
    assert len(thin) <= timelines.MOST_POINTS + 1
    assert thin[-1].value == count - 1
