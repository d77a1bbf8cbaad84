"""Whether a message would reach the right people: what is asked, and what is answered."""

from __future__ import annotations

from dataclasses import dataclass

from engine.model.alarms import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyQuestion:
    """Where would this super-alarm go, or one that is made up?

    super_alarm_id: "" makes one up, of this severity and owner.
    send: also send a test message to each of the channels, marked as one.
    """

    super_alarm_id: str = ""
    severity: Severity = Severity.WARNING
    owner: str = ""
    send: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """What one channel would be told, and when.

    goes: whether it would be told at all; due_at: when, after its quiet hours.
    outcome: of a test message; "" when none was sent.
    """

    channel: str
    kind: str
    goes: bool
    because: str
    due_at: float
    text: str
    outcome: str = ""
