"""Channels of an installation: read, and tried without a super-alarm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alarms.notification import wording
from alarms.notification.channels import Channel, load_channels, routed, token_files
from alarms.notification.outbox import owners_of
from alarms.notification.targets import target_of
from api.messages.files import read_text
from api.messages.notifying import NotifyQuestion, Routed
from api.settings import Settings
from api.wiring.parts import Parts
from engine.model.alarms import Alarm, SuperAlarm, SuperAlarmState
from engine.model.errors import BerthError
from engine.model.identifiers import SuperAlarmId
from engine.model.messages import Message, MessageState
from engine.model.records import MESSAGES
from engine.model.signals import Layer

_NEWEST = 100


def read_channels(settings: Settings) -> tuple[Channel, ...]:
    """Return the channels of the settings' file, none without a file.

    Raises:
        InvalidInputError: with all faults of the file, or when a token cannot be read.
    """
    path = settings.channels
    if path is None:
        return ()
    text = read_text(path, "channels")
    folder = path.parent
    tokens = {
        name: read_text(folder / Path(name), "channels") for name in token_files(text, str(path))
    }
    return load_channels(text, str(path), tokens)


def messages(parts: Parts) -> tuple[Message, ...]:
    """Return the newest messages, those that are due last first."""
    found = parts.ledger.select(MESSAGES, order_by="due_at", descending=True, limit=_NEWEST)
    return tuple(stored.value for stored in found)


def tried(
    parts: Parts, question: NotifyQuestion, find: Callable[[str], SuperAlarm]
) -> tuple[Routed, ...]:
    """Return for each channel whether and when it would be told, and what.

    Nothing is sent, unless the question wants a test message.
    """
    now = parts.clock.now()
    channels = read_channels(parts.settings)
    group = find(question.super_alarm_id) if question.super_alarm_id else _sample(question, now)
    owners = owners_of(parts.ledger, group)
    chosen = set(routed(channels, group, owners))
    return tuple(
        _routed(channel, group, owners, now, goes=channel in chosen, send=question.send)
        for channel in channels
    )


def _routed(
    channel: Channel,
    group: SuperAlarm,
    owners: list[str],
    now: float,
    *,
    goes: bool,
    send: bool,
) -> Routed:
    message = Message(
        message_id=f"{group.super_alarm_id}/{channel.name}",
        channel=channel.name,
        group=group,
        state=MessageState.WAITING,
        due_at=channel.due_at(group, now),
        changed_at=now,
    )
    outcome = ""
    if goes and send:
        try:
            outcome = f"sent, {target_of(channel).send(message)}"
        except BerthError as error:
            outcome = f"not sent: {error.message}"
    return Routed(
        channel=channel.name,
        kind=channel.kind.value,
        goes=goes,
        because=_because(channel, group, owners, goes=goes),
        due_at=message.due_at,
        text=wording.text_of(message, channel.link) if goes else "",
        outcome=outcome,
    )


def _because(channel: Channel, group: SuperAlarm, owners: list[str], *, goes: bool) -> str:
    """Return why a channel is told, or is not."""
    if group.severity.rank < channel.least.rank:
        return f"{group.severity.value} is below {channel.least.value}"
    mine = sorted(set(owners) & set(channel.owners))
    if mine:
        return f"owner {', '.join(mine)}"
    if goes:
        return "no channel of an owner takes it"
    return "another channel has its owner" if not channel.owners else "none of its owners"


def _sample(question: NotifyQuestion, now: float) -> SuperAlarm:
    """Return a super-alarm that is made up, and says so."""
    labels = {"owner": question.owner} if question.owner else {}
    alarm = Alarm(
        alarm_id="A-test",
        series="test:berth|test",
        subject="test:berth",
        signal="test",
        layer=Layer.PLAN,
        at=now,
        value=1.0,
        unit="",
        test="a person asked for it",
        statistic=0.0,
        p_value=0.0,
        expected_low=1.0,
        expected_high=1.0,
        severity=question.severity,
        labels=labels,
        message="this is a test",
    )
    return SuperAlarm(
        super_alarm_id=SuperAlarmId("SA-test"),
        title="this is a test, nothing is wrong",
        severity=question.severity,
        state=SuperAlarmState.OPEN,
        opened_at=now,
        updated_at=now,
        alarms=(alarm,),
    )
