"""The alarms of a super-alarm: more of them, or some of them as another one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from engine.model import documents
from engine.model.alarms import Alarm, SuperAlarm, SuperAlarmState
from engine.model.identifiers import SuperAlarmId

ALARMS_KEPT = 200
"""Alarms that a group keeps: the first half, and the newest."""
Title = Callable[[Sequence[Alarm]], str]
"""Returns the headline of alarms that are one."""


def plain_title(alarms: Sequence[Alarm]) -> str:
    """Return the headline of alarms where nobody has a better one: the first of them."""
    return f"{alarms[0].signal} of {alarms[0].subject}"


def joined(group: SuperAlarm, alarms: Iterable[Alarm], now: float) -> SuperAlarm:
    """Return a group with more alarms, each once, in order of time."""
    every = {alarm.alarm_id: alarm for alarm in (*group.alarms, *alarms)}
    ordered = tuple(sorted(every.values(), key=lambda alarm: (alarm.at, alarm.alarm_id)))
    half = ALARMS_KEPT // 2
    if len(ordered) > ALARMS_KEPT:
        ordered = (*ordered[:half], *ordered[-half:])
    return dataclasses.replace(
        group,
        alarms=ordered,
        severity=max((alarm.severity for alarm in ordered), key=lambda each: each.rank),
        opened_at=min(group.opened_at, ordered[0].at),
        updated_at=now,
    )


def split_off(
    group: SuperAlarm, alarms: Sequence[Alarm], now: float, title: str, how: str
) -> SuperAlarm:
    """Return some alarms of a group as a super-alarm of their own, to which their series stick.

    how: by whom or why, for people.
    """
    first = min(alarms, key=lambda alarm: (alarm.at, alarm.alarm_id))
    letters = documents.letters(f"{first.alarm_id} split at {now!r}", 6)
    return SuperAlarm(
        super_alarm_id=SuperAlarmId(f"SA-{letters}"),
        title=title,
        severity=max((alarm.severity for alarm in alarms), key=lambda each: each.rank),
        state=SuperAlarmState.OPEN,
        opened_at=first.at,
        updated_at=now,
        alarms=tuple(alarms),
        because=(f"split off {group.super_alarm_id} {how}",),
        pipelines=group.pipelines,
        split_from=group.super_alarm_id,
    )
