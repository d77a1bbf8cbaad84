"""State of the streaming grouper: open super-alarms, and which alarms are in them."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from enum import StrEnum

from alarms.grouping.alert import Alert


class Reason(StrEnum):
    """Why an alert stands where it stands."""

    FIRST = "nothing it could belong to was alarmed"
    ENTITY = "the same entity is alarmed"
    RELATED = "what it fired on is related to what is alarmed"
    NEAR = "what it runs on is alarmed too"
    COMPANY = "it has been alarmed with this part of the system before"
    TIME = "it came at the same time, and nothing says that it is unrelated"
    DUPLICATE = "the same alarm fired in this event before"
    SENT_AGAIN = "this very firing was received before"
    ONSET = "alarms of the event before began to fire again: a new event"
    BRIDGE = "an alert names entities of both"
    RECURRENCE = "one of its own alarms fired again soon: the event goes on"
    UNUSUAL = "an alarm fired that seldom does: an event"
    OVER = "none of its own alarms fired for longer than the gap"
    ELAPSED = "the time in which it may have followed from a turning point is over"
    SILENCE = "nothing fired for longer than the gap"


class Step(StrEnum):
    """What a change did."""

    OPENED = "opened"
    JOINED = "joined"
    FOLDED = "folded"
    SPLIT = "split"
    MERGED = "merged"
    CLOSED = "closed"
    RESUMED = "resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step of the grouping; together they are its complete record.

    Attributes:
        step: What happened.
        reason: Why.
        group_id: The group that it happened to; of a split and a merge the one that grows.
        alert_ids: Alerts that now stand in the group; of a merge none, all of `other_id` move.
        other_id: Of a split the group they left, of a merge the one that is gone.
    """

    step: Step
    reason: Reason
    group_id: str
    alert_ids: tuple[str, ...] = ()
    other_id: str = ""


@dataclass(slots=True)
class Unusual:
    """What an event is among everyday alarms (`events`).

    Attributes:
        own_at: When the newest of its own alarms fired.
        alarms: Fingerprints of its own alarms.
        names: Their names.
        entities: Numbers of the entities that they fired on.
        is_turn: Whether it is a turning point (`aftermath`).
        stretch: The stretch of everyday alarms that goes on after it.
    """

    own_at: float
    alarms: set[int] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    entities: set[int] = field(default_factory=set)
    is_turn: bool = False
    stretch: Episode | None = None

    def taken(self) -> Episode | None:
        """Return the stretch that goes on after it, which it no longer keeps."""
        stretch, self.stretch = self.stretch, None
        return stretch

    def absorb(self, other: Unusual) -> None:
        """Take over what is known of an event that turned out to be part of this one."""
        self.own_at = max(self.own_at, other.own_at)
        self.alarms |= other.alarms
        self.names |= other.names
        self.entities |= other.entities
        self.is_turn |= other.is_turn
        self.stretch = self.stretch or other.stretch


@dataclass(slots=True)
class Episode:
    """One open super-alarm.

    Attributes:
        serial: Its number; alarms in the table point to it.
        group_id: Its stable id.
        opened_at, newest_at: Times of its earliest and newest alert.
        part: The part of the system that is alarmed, or -1 while none is known.
        alerts: Firings, duplicates among them.
        because: How many alerts joined for which reason.
        evidence: Of the CUSUM test that the run begins a new event.
        pending: Evidence of the instant that is being read.
        run: Alerts that may belong to a new event, since `run_since`.
        run_alarms: Their alarms by fingerprint: the name, and whether it fired here before.
        names: Numbers of the entities that its alerts hold; it stays open for them.
        near: Numbers of the entities that it may turn out to be about.
        unusual: What it is among everyday alarms; None where it is a stretch of them, and where
            all alarms are judged alike.
        ends_at: When it is over at the latest, with the aftermath that it is of.
        is_gone: Whether it can not go on any more: it is part of another, or somebody closed it.
    """

    serial: int
    group_id: str
    opened_at: float
    newest_at: float
    part: int
    alerts: int = 0
    because: dict[Reason, int] = field(default_factory=dict)
    evidence: float = 0.0
    pending: list[float] = field(default_factory=list)
    run: list[Alert] = field(default_factory=list)
    run_alarms: dict[int, tuple[str, bool]] = field(default_factory=dict)
    run_since: float = 0.0
    names: set[int] = field(default_factory=set)
    near: set[int] = field(default_factory=set)
    unusual: Unusual | None = None
    ends_at: float = math.inf
    is_gone: bool = False

    def count(self, reason: Reason, alerts: int = 1) -> None:
        """Count alerts that joined."""
        self.alerts += alerts
        self.because[reason] = self.because.get(reason, 0) + alerts

    def absorb(self, younger: Episode) -> None:
        """Take over the counts and times of an episode that turned out to be part of this one."""
        self.newest_at = max(self.newest_at, younger.newest_at)
        self.ends_at = min(self.ends_at, younger.ends_at)
        younger.is_gone = True
        for reason, count in younger.because.items():
            self.count(reason, count)
        # With an event it is an event; only two stretches are a stretch.
        if self.unusual is not None and younger.unusual is not None:
            self.unusual.absorb(younger.unusual)
        self.unusual = self.unusual or younger.unusual


class AlarmTable:
    """Every distinct alarm that was seen lately, with the episode it fired in last.

    A table of numbers instead of objects: about 130 bytes an alarm.
    """

    def __init__(self) -> None:
        self._slot: dict[int, int] = {}
        self._serial = array("q")
        self._at = array("d")

    def __len__(self) -> int:
        return len(self._slot)

    def episode(self, fingerprint: int) -> int:
        """Return the serial of the episode an alarm fired in last, or -1."""
        slot = self._slot.get(fingerprint)
        return -1 if slot is None else self._serial[slot]

    def note(self, fingerprint: int, serial: int, at: float) -> None:
        """Note that an alarm fired in an episode."""
        slot = self._slot.get(fingerprint)
        if slot is None:
            self._slot[fingerprint] = len(self._serial)
            self._serial.append(serial)
            self._at.append(at)
        else:
            self._serial[slot] = serial
            self._at[slot] = at

    def forget(self, before: float) -> None:
        """Drop alarms that fired last before a time."""
        kept = [
            (fingerprint, self._serial[slot], self._at[slot])
            for fingerprint, slot in self._slot.items()
            if self._at[slot] >= before
        ]
        self._slot = {item[0]: slot for slot, item in enumerate(kept)}
        self._serial = array("q", (item[1] for item in kept))
        self._at = array("d", (item[2] for item in kept))
