"""What a replay found."""

from __future__ import annotations

from dataclasses import dataclass

from engine.model.alarms import Severity, SuperAlarm, SuperAlarmState
from engine.model.identifiers import SuperAlarmId


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A super-alarm after it changed, by what people would have seen of it.

    times: how often it had come by then.
    """

    at: float
    super_alarm_id: SuperAlarmId
    state: SuperAlarmState
    severity: Severity
    title: str
    alarms: int
    cause: str
    belief: float
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A whole replay: how much went in, every change in order, and all super-alarms at the end."""

    signals: int
    alerts: int
    moments: tuple[Moment, ...]
    super_alarms: tuple[SuperAlarm, ...]
