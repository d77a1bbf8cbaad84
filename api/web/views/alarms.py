"""Super-alarms as the person on call reads them, in the order of the first five minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from api.report import words
from api.web import cells
from engine.model import alarms, signals

SEVERITY_TONES = {
    alarms.Severity.CRITICAL: cells.Tone.BAD,
    alarms.Severity.WARNING: cells.Tone.WARN,
    alarms.Severity.INFO: cells.Tone.QUIET,
}
STATE_TONES = {
    alarms.SuperAlarmState.OPEN: cells.Tone.WARN,
    alarms.SuperAlarmState.ACKNOWLEDGED: cells.Tone.BUSY,
    alarms.SuperAlarmState.SILENCED: cells.Tone.QUIET,
    alarms.SuperAlarmState.RESOLVED: cells.Tone.OK,
}
ACTION_TONES = {
    alarms.ActionState.WANTED: cells.Tone.BUSY,
    alarms.ActionState.STARTED: cells.Tone.BUSY,
    alarms.ActionState.HELD: cells.Tone.WARN,
    alarms.ActionState.DONE: cells.Tone.OK,
    alarms.ActionState.FAILED: cells.Tone.BAD,
}


@dataclass(frozen=True, slots=True)
class Small:
    """A small chart of one series: points of a polyline, alarms as marks, the expected band.

    All coordinates are in a box of 300 by 80; `description` says the finding in words.
    """

    title: str
    description: str
    line: str
    marks: tuple[tuple[float, float], ...]
    band: tuple[float, float] | None
    low: str
    high: str
    since: str
    until: str


WIDTH, HEIGHT, MARGIN = 300.0, 80.0, 6.0


def group_list(groups: Sequence[alarms.SuperAlarm], now: float) -> cells.Table:
    """Return super-alarms, those that harm most first."""
    ordered = sorted(
        groups,
        key=lambda g: (
            g.state is alarms.SuperAlarmState.RESOLVED,
            -g.severity.rank,
            -g.updated_at,
        ),
    )
    return cells.table(
        "Super-alarms",
        [
            "Id",
            "Level",
            "Age",
            ("What", "text"),
            ("Likely cause", "text"),
            ("Belief", "number"),
            ("Alarms", "number"),
            "State",
        ],
        (
            (
                cells.Cell(group.super_alarm_id, href=f"/alarms/{group.super_alarm_id}"),
                cells.Cell(group.severity.value, tone=SEVERITY_TONES[group.severity]),
                words.duration(now - group.opened_at),
                group.title,
                group.likely.title if group.likely else words.NOTHING,
                f"{group.likely.belief:.2f}" if group.likely else words.NOTHING,
                str(len(group.alarms)),
                cells.Cell(group.state.value, tone=STATE_TONES[group.state]),
            )
            for group in ordered
        ),
    )


def alarm_list(group: alarms.SuperAlarm) -> cells.Table:
    """Return the alarms of a group with their tests."""
    return cells.table(
        "Alarms",
        [
            "At",
            "Level",
            "Subject",
            "Signal",
            ("Value", "number"),
            ("Expected", "number"),
            "Test",
            ("p", "number"),
            ("Message", "text"),
        ],
        (
            (
                words.clock_time(alarm.at),
                cells.Cell(alarm.severity.value, tone=SEVERITY_TONES[alarm.severity]),
                alarm.subject,
                alarm.signal,
                words.amount(alarm.value, alarm.unit),
                f"{alarm.expected_low:.4g} to {alarm.expected_high:.4g}",
                alarm.test + (f", rule {alarm.rule}" if alarm.rule else ""),
                f"{alarm.p_value:.1e}",
                alarm.message,
            )
            for alarm in group.alarms
        ),
    )


def action_list(actions: Sequence[alarms.Action]) -> cells.Table:
    """Return what the engine did, wants to do, or was kept from doing."""
    return cells.table(
        "Actions",
        ["At", "What", "State", ("Guards", "text"), ("Result", "text"), "Run", "Plan"],
        (
            (
                words.clock_time(action.wanted_at),
                action.kind.value,
                cells.Cell(action.state.value, tone=ACTION_TONES[action.state]),
                "; ".join(_guard(guard) for guard in action.guards) or words.NOTHING,
                action.result or action.policy,
                cells.Cell(action.run_id, href=f"/runs/{action.run_id}")
                if action.run_id
                else words.NOTHING,
                cells.Cell(action.plan_id, href=f"/plans/{action.plan_id}")
                if action.plan_id
                else words.NOTHING,
            )
            for action in actions
        ),
    )


def _guard(guard: alarms.Guard) -> str:
    verdict = "allows" if guard.allows else "holds it back"
    has, needs = words.amount(guard.has, guard.unit), words.amount(guard.needs, guard.unit)
    return f"{guard.name} {verdict} ({has} of {needs})"


def changes(events: Sequence[alarms.Event], group: alarms.SuperAlarm) -> cells.Table:
    """Return what changed in the hour before a group began and since."""
    return cells.table(
        "Changes",
        ["At", ("Before the first alarm", "number"), "Kind", "Subject", ("What", "text")],
        (
            (
                words.clock_time(event.at),
                words.duration(group.opened_at - event.at),
                event.kind,
                event.subject,
                event.message,
            )
            for event in events
            if event.at >= group.opened_at - 3_600
        ),
    )


def timeline(group: alarms.SuperAlarm, measured: Sequence[signals.Signal]) -> list[Small]:
    """Return one small chart for each series that alarmed, at most eight, all on one time axis."""
    series = list(dict.fromkeys(alarm.series for alarm in group.alarms))[:8]
    relevant = [one for one in measured if one.series in set(series)]
    if not relevant:
        return []
    since = min(one.at for one in relevant)
    until = max(one.at for one in relevant)
    return [
        _small(
            [one for one in relevant if one.series == name],
            [alarm for alarm in group.alarms if alarm.series == name],
            (since, until),
        )
        for name in series
        if any(one.series == name for one in relevant)
    ]


def _small(
    values: Sequence[signals.Signal], raised: Sequence[alarms.Alarm], span: tuple[float, float]
) -> Small:
    since, until = span
    last = raised[-1]
    numbers = [one.value for one in values] + [last.value, last.expected_low, last.expected_high]
    low, high = min(numbers), max(numbers)

    def across(at: float) -> float:
        return round(MARGIN + (WIDTH - 2 * MARGIN) * (at - since) / max(until - since, 1e-9), 1)

    def upward(value: float) -> float:
        height = HEIGHT - 2 * MARGIN
        return round(HEIGHT - MARGIN - height * (value - low) / max(high - low, 1e-9), 1)

    unit = values[0].unit
    return Small(
        title=f"{values[0].subject} {values[0].name}",
        description=(
            f"{words.amount(last.value, unit)} at {words.clock_time(last.at)}, expected "
            f"{last.expected_low:.4g} to {last.expected_high:.4g}"
        ),
        line=" ".join(f"{across(one.at)},{upward(one.value)}" for one in values),
        marks=tuple((across(alarm.at), upward(alarm.value)) for alarm in raised),
        band=(upward(last.expected_high), upward(last.expected_low)),
        low=words.amount(low, unit),
        high=words.amount(high, unit),
        since=words.clock_time(since),
        until=words.clock_time(until),
    )
