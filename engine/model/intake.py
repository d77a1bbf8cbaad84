"""What other systems send: alerts that fire there, and measured values on their way to the loop.

Both are stored before the sender is answered, so that what was taken is not lost, and the watch
loop reads them at its own speed, from every sender its share.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.model.alarms import Alarm
from engine.model.signals import Signal

FOREIGN_TEST = "alert of "
"""How `Alarm.test` begins where another system decided; its name follows."""


class FiringState(StrEnum):
    """Where an alert of another system stands."""

    WAITING = "waiting"
    """Received, and not yet an alarm."""
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """One alert of another system, from its start to its end.

    firing_id: `SENDER/FINGERPRINT@START`; however often it is sent, it is one firing.
    alarm: what it is in Berth; its id follows from that of the firing.
    starts_at: as the sender's clock has it; received_at: when it was last heard of, by ours.
    expires_at: it counts as over from then on unless it is sent again.
    said_ends_at: its end as the sender's clock has it, where no status says whether it is over.
    ended_at: when the sender said that it is over, by our clock; None while it did not.
    times: how often this firing was received.
    folded: why it is no alarm of its own; "" where it is one.
    """

    firing_id: str
    sender: str
    alarm: Alarm
    state: FiringState
    starts_at: float
    received_at: float
    expires_at: float
    said_ends_at: float | None = None
    ended_at: float | None = None
    times: int = 1
    folded: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Signals that one sender sent together; no two were received at the same instant."""

    sender: str
    received_at: float
    signals: tuple[Signal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """What was received from one sender, and what was not taken, with the newest reason.

    alerts, values: how many were taken; refused: sent back because it was more than the
    sender's share, to be sent again; dropped: could not be used; folded: alerts that are kept
    but are no alarms of their own.
    """

    name: str
    received_at: float
    alerts: int = 0
    values: int = 0
    refused: int = 0
    dropped: int = 0
    folded: int = 0
    reason: str = ""
