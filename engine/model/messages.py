"""Messages to people: one for each super-alarm and channel, edited in place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.model.alarms import SuperAlarm


class MessageState(StrEnum):
    """Where a message stands."""

    WAITING = "waiting"
    """To be sent or edited, at `due_at` at the earliest."""
    SENT = "sent"
    FAILED = "failed"
    """The target refuses it, or did not answer for too long; the next change tries again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """The one message about a super-alarm in one channel.

    message_id: `SUPER_ALARM/CHANNEL`; also the key by which targets deduplicate.
    group: the newest state that is to be told; revision counts its changes.
    pings: how often people were or are to be called; a change without a ping is a quiet edit.
    is_end_told: whether the newest that was told is that it is over.
    tries: since the last success; reference: what the target calls it, to edit it there.
    others: further super-alarms of which the same message tells, in a digest; of a stored message
        none.
    """

    message_id: str
    channel: str
    group: SuperAlarm
    state: MessageState
    due_at: float
    changed_at: float
    revision: int = 1
    pings: int = 1
    sent_pings: int = 0
    is_end_told: bool = False
    tries: int = 0
    reference: str = ""
    result: str = ""
    others: tuple[SuperAlarm, ...] = ()
