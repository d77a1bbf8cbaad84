"""What stands around a super-alarm on its page: the like before, what is outside, all in order."""

from __future__ import annotations

from collections.abc import Sequence

from api.messages.context import Context, Past
from api.report import alarm_parts, words
from api.web import cells
from api.web.views import alarms as alarm_views
from engine.model import alarms
from engine.model.feedback import Folding, Silence

IN_ORDER_MOST = 60


def like_it(past: Sequence[Past], now: float) -> cells.Table:
    """Return past super-alarms like this one, what was done, and how long each took."""
    return cells.table(
        "Like it before",
        [
            "Id",
            ("What", "text"),
            ("Cause", "text"),
            ("What was done", "text"),
            ("Took", "number"),
            "Since",
        ],
        (
            (
                cells.link(one.super_alarm_id, "/alarms"),
                one.title,
                cells.Cell(one.cause or words.NOTHING, note=one.verdict),
                one.done,
                words.duration(one.fixed_seconds),
                cells.moment(one.opened_at, now),
            )
            for one in past
        ),
    )


def outside(found: Sequence[alarms.Alarm], group: alarms.SuperAlarm) -> cells.Table:
    """Return alarms near in time that stand elsewhere."""
    return cells.table(
        "Just outside",
        ["Signal", "Level", "At", ("From the first alarm", "number")],
        (
            (
                cells.Cell(alarm.signal.replace("_", " "), note=alarm.subject),
                cells.Cell(alarm.severity.value, tone=alarm_views.SEVERITY_TONES[alarm.severity]),
                words.clock_time(alarm.at),
                alarm_views.apart(alarm.at - group.opened_at),
            )
            for alarm in found
        ),
    )


def in_order(group: alarms.SuperAlarm, around: Context) -> cells.Table:
    """Return alarms, changes and what people did, in order of time."""
    rows = [
        (
            alarm.at,
            cells.Cell("alarm", tone=alarm_views.SEVERITY_TONES[alarm.severity]),
            cells.Cell(alarm.message or alarm.signal, note=alarm.subject),
        )
        for alarm in group.alarms
    ]
    rows += [
        (event.at, cells.Cell(event.kind), cells.Cell(event.message, note=event.subject))
        for event in around.changes
    ]
    rows += [
        (coming.opened_at, cells.Cell("came"), cells.Cell(said))
        for coming, said in alarm_parts.comings(group, around.told)
    ]
    if group.again:
        rows.append((group.opened_at, cells.Cell("came"), cells.Cell(group.again)))
    rows.sort(key=lambda row: row[0])
    return cells.table(
        "All in order",
        ["At", "Kind", ("What", "text"), ("From the first alarm", "number")],
        (
            (words.clock_time(at), kind, what, alarm_views.apart(at - group.opened_at))
            for at, kind, what in rows[:IN_ORDER_MOST]
        ),
    )


def notes(group: alarms.SuperAlarm) -> list[str]:
    """Return the notes of a group, one by one."""
    return [part for part in group.note.split("; ") if part]


def silences(found: Sequence[Silence], now: float) -> cells.Table:
    """Return the silences that hold, with what they cover and why."""
    return cells.table(
        "Silences",
        ["Id", ("Alarms with", "text"), "Until", "Who", ("Because", "text")],
        (
            (
                one.silence_id,
                " ".join(str(matcher) for matcher in one.matchers),
                cells.moment(one.until, now),
                one.who,
                one.because,
            )
            for one in found
        ),
    )


def folded(found: Sequence[Folding], now: float) -> cells.Table:
    """Return alarms that stand in no super-alarm, with the reason."""
    return cells.table(
        "Alarms that stand in no super-alarm",
        ["Signal", "Since", ("Reason", "text")],
        (
            (
                cells.Cell(one.alarm.signal.replace("_", " "), note=one.alarm.subject),
                cells.moment(one.at, now),
                one.reason,
            )
            for one in found
        ),
    )
