"""What people do with super-alarms: take them, silence them, close them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from engine.model.alarms import Event, SuperAlarm, SuperAlarmState
from engine.model.errors import ConflictError, NotFoundError, RefusedError
from engine.model.records import EVENTS, SUPER_ALARMS, Put
from engine.ports import Clock, Ledger

ACKNOWLEDGED_SECONDS = 4 * 3_600.0
"""How long one who took a super-alarm is left in peace."""
_TRIES = 10


def acknowledge(
    ledger: Ledger,
    clock: Clock,
    super_alarm_id: str,
    who: str = "somebody",
    seconds: float = ACKNOWLEDGED_SECONDS,
) -> SuperAlarm:
    """Note that somebody takes care of a super-alarm; after so many seconds it calls again.

    Raises:
        NotFoundError: when there is none of that id.
        RefusedError: when it is closed.
    """

    def taken(group: SuperAlarm) -> SuperAlarm:
        return dataclasses.replace(
            group,
            state=SuperAlarmState.ACKNOWLEDGED,
            silenced_until=None,
            silenced_by="",
            acknowledged_until=clock.now() + seconds,
            owner=who,
            note=_joined(group.note, f"taken by {who}"),
        )

    return changed(ledger, clock, super_alarm_id, taken, f"{who} took it")


def silence(
    ledger: Ledger, clock: Clock, super_alarm_id: str, seconds: float, because: str
) -> SuperAlarm:
    """Send no messages about a super-alarm for so many seconds; alarms still join it.

    Raises:
        NotFoundError: when there is none of that id.
        RefusedError: when it is closed, the time is not positive, or no reason is given.
    """
    if seconds <= 0:
        raise RefusedError(f"cannot silence for {seconds:g} s", fix="give a positive time: `2h`")
    if not because.strip():
        raise RefusedError("a silence needs a reason", fix="add `--because 'why'`")
    until = clock.now() + seconds

    def silenced(group: SuperAlarm) -> SuperAlarm:
        return dataclasses.replace(
            group,
            state=SuperAlarmState.SILENCED,
            silenced_until=until,
            note=_joined(group.note, f"silenced: {because}"),
        )

    said = f"silenced for {seconds:g} s: {because}"
    return changed(ledger, clock, super_alarm_id, silenced, said)


def resolve(ledger: Ledger, clock: Clock, super_alarm_id: str, because: str) -> SuperAlarm:
    """Close a super-alarm by hand. What still alarms afterwards opens a new one.

    Raises:
        NotFoundError: when there is none of that id.
        RefusedError: when it is closed already.
    """

    def resolved(group: SuperAlarm) -> SuperAlarm:
        return dataclasses.replace(
            group,
            state=SuperAlarmState.RESOLVED,
            silenced_until=None,
            note=_joined(group.note, f"closed: {because}"),
        )

    return changed(ledger, clock, super_alarm_id, resolved, f"closed: {because}")


def note(ledger: Ledger, clock: Clock, super_alarm_id: str, who: str, text: str) -> SuperAlarm:
    """Add a note to a super-alarm, for whoever comes next.

    Raises:
        NotFoundError: when there is none of that id.
        RefusedError: when it is closed, or the note is empty.
    """
    if not text.strip():
        raise RefusedError("a note needs words", fix="write what the next one should know")

    def noted(group: SuperAlarm) -> SuperAlarm:
        return dataclasses.replace(group, note=_joined(group.note, f"{who}: {text.strip()}"))

    return changed(ledger, clock, super_alarm_id, noted, f"{who} noted: {text.strip()}")


def changed(
    ledger: Ledger,
    clock: Clock,
    super_alarm_id: str,
    change: Callable[[SuperAlarm], SuperAlarm],
    said: str,
) -> SuperAlarm:
    """Change a super-alarm, again when the watch loop wrote meanwhile, and keep who did what.

    Raises:
        NotFoundError: when there is none of that id.
        RefusedError: when it is closed.
        ConflictError: when it changes faster than it can be changed.
    """
    for _ in range(_TRIES):
        stored = ledger.get(SUPER_ALARMS, super_alarm_id)
        if stored is None:
            message = f"there is no super-alarm {super_alarm_id!r}"
            raise NotFoundError(message, fix="`berth alarms` lists them")
        if stored.value.state is SuperAlarmState.RESOLVED:
            raise RefusedError(
                f"super-alarm {super_alarm_id!r} is closed",
                fix="look at the open ones: `berth alarms`",
            )
        now = clock.now()
        group = dataclasses.replace(change(stored.value), updated_at=now)
        event = Event(
            event_id=f"{super_alarm_id}.person.{stored.version}",
            at=now,
            kind="person",
            subject=super_alarm_id,
            message=said,
        )
        try:
            ledger.commit(
                "watch.person", [Put(SUPER_ALARMS, group, stored.version), Put(EVENTS, event)]
            )
        except ConflictError:
            continue
        return group
    raise ConflictError(f"super-alarm {super_alarm_id!r} changed {_TRIES} times meanwhile")


def _joined(note: str, more: str) -> str:
    return f"{note}; {more}" if note else more
