"""The outbox: what people are to be told stands in the store until it was.

`OutboxNotifier` is what the watch loop calls: it only writes, so that no target, however slow, can
hold the loop up. A `Courier` for each channel, in a thread of its own, sends what is due. After a
crash a message may be sent again, with the same key, by which targets deduplicate.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from alarms.notification.channels import Channel, routed
from engine.model.alarms import SuperAlarm, SuperAlarmState
from engine.model.errors import FinalError, RetryableError
from engine.model.messages import Message, MessageState
from engine.model.records import ABSENT, MESSAGES, PIPELINES, Put, Stored
from engine.ports import Clock, Ledger
from engine.watching.desk import Desk

_LOG = logging.getLogger(__name__)
TRIES_MOST = 10
"""About an hour and a half; then the message has failed, until its super-alarm changes."""
FIRST_WAIT_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 900.0
_AT_ONCE = 20
_OWNER_LABELS = ("owner", "team")


class Target(Protocol):
    """Sends the messages of one channel."""

    def send(self, message: Message) -> str:
        """Send or edit a message; return what the target calls it.

        Raises:
            RetryableError: when the target is down, slow or busy.
            FinalError: when it refuses the message.
        """
        ...


class OutboxNotifier:
    """Puts messages into the outbox. Port `Notifier`.

    away_seconds: how long a super-alarm that came again must stay away until its end is told.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        channels: Sequence[Channel],
        *,
        away_seconds: float = 0.0,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._channels = channels
        self._away_seconds = away_seconds

    def notify(self, group: SuperAlarm) -> None:
        """Write or edit the one message of a super-alarm in every channel that it goes to.

        Raises:
            ConflictError: when a courier wrote meanwhile; the same call succeeds later.
        """
        told = set(routed(self._channels, group, owners_of(self._ledger, group)))
        now = self._clock.now()
        writes: list[Put[Message]] = []
        for channel in self._channels:
            message_id = f"{group.super_alarm_id}/{channel.name}"
            stored = self._ledger.get(MESSAGES, message_id)
            if stored is None and channel in told and group.state is not SuperAlarmState.RESOLVED:
                fresh = Message(
                    message_id=message_id,
                    channel=channel.name,
                    group=group,
                    state=MessageState.WAITING,
                    due_at=channel.due_at(group, now),
                    changed_at=now,
                )
                writes.append(Put(MESSAGES, fresh, ABSENT))
            elif stored is not None and stored.value.group != group:
                edited = changed(stored.value, group, channel, now)
                if group.times > 1 and group.normal_at is not None:
                    stays_at = group.normal_at + self._away_seconds
                    edited = dataclasses.replace(edited, due_at=max(edited.due_at, stays_at))
                writes.append(Put(MESSAGES, edited, stored.version))
        if writes:
            self._ledger.commit("watch.outbox", writes)


def owners_of(ledger: Ledger, group: SuperAlarm) -> list[str]:
    """Return who owns what a group harms: by its pipelines, and by labels of its alarms."""
    owners = {
        alarm.labels[label]
        for alarm in group.alarms
        for label in _OWNER_LABELS
        if label in alarm.labels
    }
    for name in group.pipelines:
        stored = ledger.get(PIPELINES, name)
        if stored is not None and stored.value.owner:
            owners.add(stored.value.owner)
    return sorted(owners)


def changed(message: Message, group: SuperAlarm, channel: Channel, now: float) -> Message:
    """Return a message that tells of a group as it is now.

    People are called again only when it got worse, has another cause, or when the time of whoever
    took it is over; all else, that it came again as well, is an edit in place.
    """
    before = message.group
    is_worse = group.severity.rank > before.severity.rank
    is_other = _cause(before) != "" and _cause(group) != _cause(before)
    is_forgotten = (
        before.state is SuperAlarmState.ACKNOWLEDGED and group.state is SuperAlarmState.OPEN
    )
    is_open = group.state is SuperAlarmState.OPEN
    calls = is_open and (is_worse or is_other or is_forgotten)
    # What was not sent yet keeps its call, and its time unless it may be called at once; what is
    # told in digests waits for the next one with every change. Where nothing can be edited, what
    # came again is a new message, which respects quiet hours.
    is_late = message.state is MessageState.WAITING and message.pings > message.sent_pings
    is_back = message.is_end_told and group.state is not SuperAlarmState.RESOLVED
    waits = calls or is_late or is_back or channel.digests(group)
    due_at = channel.due_at(group, now) if waits else now
    return dataclasses.replace(
        message,
        group=group,
        state=MessageState.WAITING,
        due_at=due_at,
        changed_at=now,
        revision=message.revision + 1,
        pings=message.pings + calls,
        tries=0,
    )


def _cause(group: SuperAlarm) -> str:
    likely = group.likely
    return "" if likely is None else f"{likely.kind.value} {likely.subject}"


class Courier:
    """Sends what is due in one channel. Used by one thread."""

    def __init__(self, desk: Desk, channel: Channel, target: Target) -> None:
        self._desk = desk
        self._channel = channel
        self._target = target

    def step(self) -> bool:
        """Send what is due; return whether anything was tried."""
        where = {"channel": self._channel.name, "state": MessageState.WAITING.value}
        now = self._desk.clock.now()
        waiting = self._desk.ledger.select(MESSAGES, where=where, order_by="due_at", limit=_AT_ONCE)
        due = [stored for stored in waiting if stored.value.due_at <= now]
        digest = [stored for stored in due if self._channel.digests(stored.value.group)]
        for stored in due:
            if stored not in digest:
                self._deliver([stored])
        if digest:
            self._deliver(digest)
        return bool(due)

    def _deliver(self, together: Sequence[Stored[Message]]) -> None:
        """Send one message, or several as one digest, and note how each went."""
        now = self._desk.clock.now()
        first = together[0].value
        others = tuple(stored.value.group for stored in together[1:])
        message = dataclasses.replace(first, others=others)
        if self._channel.digests(first.group):
            # Each digest is a message of its own: there is none before it to edit.
            message = dataclasses.replace(message, reference="", sent_pings=0)
        try:
            reference = self._target.send(message)
        except RetryableError as error:
            why = error.message
            _LOG.warning("%s is not told yet: %s", message.message_id, why)
            self._note_all(together, lambda known, _: _delayed(known, why, now))
        except FinalError as error:
            result = f"{error.message} ({error.code})"
            _LOG.warning("%s cannot be told: %s", message.message_id, result)
            self._note_all(together, lambda known, _: _failed(known, result))
        else:
            kept = "" if self._channel.digests(first.group) else reference
            self._note_all(together, lambda known, told: _sent(known, told, kept))

    def _note_all(
        self, together: Sequence[Stored[Message]], change: Callable[[Message, Message], Message]
    ) -> None:
        """Store what came of a try for each message that was in it."""
        for stored in together:
            self._note(stored, functools.partial(_changed_by, change, stored.value))

    def _note(self, stored: Stored[Message], change: Callable[[Message], Message]) -> None:
        """Store what came of a try; of a message that changed meanwhile only what was sent."""
        if self._desk.commit("outbox.sent", Put(MESSAGES, change(stored.value), stored.version)):
            return
        newer = self._desk.ledger.get(MESSAGES, stored.value.message_id)
        if newer is not None:
            told = change(stored.value)
            merged = dataclasses.replace(
                newer.value,
                reference=told.reference,
                sent_pings=told.sent_pings,
                is_end_told=told.is_end_told,
            )
            self._desk.commit("outbox.sent", Put(MESSAGES, merged, newer.version))


def _changed_by(
    change: Callable[[Message, Message], Message], told: Message, known: Message
) -> Message:
    """Return what a message becomes, given what was told of it."""
    return change(known, told)


def _sent(known: Message, message: Message, reference: str) -> Message:
    return dataclasses.replace(
        known,
        state=MessageState.SENT,
        sent_pings=message.pings,
        is_end_told=message.group.state is SuperAlarmState.RESOLVED,
        reference=reference,
        tries=0,
        result=f"told, revision {message.revision}",
    )


def _failed(known: Message, result: str) -> Message:
    return dataclasses.replace(known, state=MessageState.FAILED, result=result)


def _delayed(known: Message, why: str, now: float) -> Message:
    """Return a message that is tried again later, or has failed."""
    tries = known.tries + 1
    if tries >= TRIES_MOST:
        failed = _failed(known, f"{why}; tried {tries} times")
        return dataclasses.replace(failed, tries=tries)
    wait = min(FIRST_WAIT_SECONDS * 2 ** (tries - 1), LONGEST_WAIT_SECONDS)
    return dataclasses.replace(known, tries=tries, due_at=now + wait, result=why)
