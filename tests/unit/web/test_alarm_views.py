"""Super-alarms as pages show them."""

import dataclasses

from api.web.views import alarms as views
from engine.model import alarms, signals

AT = 1_790_000_000.0


def signal(number: int, value: float, series: str = "feature:heart/chol") -> signals.Signal:
    return signals.Signal(
        name="feature_median",
        layer=signals.Layer.SERVING,
        subject=series,
        at=AT + number,
        value=value,
        unit="mg/dL",
    )


def test_resolved_groups_come_last_and_critical_ones_first(group: alarms.SuperAlarm) -> None:
    resolved = dataclasses.replace(
        group, super_alarm_id="SA-0", state=alarms.SuperAlarmState.RESOLVED
    )
    quiet = dataclasses.replace(group, super_alarm_id="SA-2", severity=alarms.Severity.INFO)
    rows = views.group_list([resolved, quiet, group], AT + 60).rows
    assert [row[0].text for row in rows] == ["SA-1", "SA-2", "SA-0"]


def test_a_group_without_causes_shows_a_dash(group: alarms.SuperAlarm) -> None:
    row = views.group_list([dataclasses.replace(group, causes=())], AT + 60).rows[0]
    assert (row[4].text, row[5].text) == ("\u2013", "\u2013")


def test_the_timeline_has_one_chart_a_series_with_marks_and_band(
    group: alarms.SuperAlarm,
) -> None:
    values = [signal(n, 240.0) for n in range(5)] + [signal(5, 6.2), signal(6, 6.2)]
    (small,) = views.timeline(group, [*values, signal(3, 1.0, "feature:heart/age")])
    assert len(small.line.split()) == 7
    assert len(small.marks) == 2
    assert "expected 200 to 280" in small.description


def test_without_signals_there_is_no_timeline(group: alarms.SuperAlarm) -> None:
    assert views.timeline(group, []) == []


def test_changes_long_before_are_left_out(group: alarms.SuperAlarm) -> None:
    events = [
        alarms.Event(event_id=str(at), at=AT - at, kind="run", subject="heart", message="ended")
        for at in (10, 7_200)
    ]
    assert [row[1].text for row in views.changes(events, group).rows] == ["15 s"]


def test_actions_say_which_guard_held_them(group: alarms.SuperAlarm) -> None:
    guard = alarms.Guard(name="times per day", allows=False, needs=3, has=2)
    action = alarms.Action(
        action_id="x",
        kind=alarms.ActionKind.RETRAIN,
        state=alarms.ActionState.HELD,
        super_alarm_id=group.super_alarm_id,
        subject="heart",
        policy="retrain on data causes",
        wanted_at=AT,
        guards=(guard,),
    )
    (row,) = views.action_list([action]).rows
    assert row[3].text == "times per day holds it back (2 of 3)"
    assert row[4].text == "retrain on data causes"
