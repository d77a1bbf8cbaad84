"""Super-alarms that come again: one that was over a short while ago is opened again with its id.

A signal that crosses its bound again and again is one trouble to the people who are told of it. So
what would be a new super-alarm takes the place of an old one that closed by itself, when most of
its series alarmed there. The old one's id, owner and notes stay; its alarms become history. What
is known of the new time is judged and acted upon as that of a new super-alarm: no cause, check or
action of an earlier time counts as one of this.

Nothing is reopened that a person closed, or that became part of another super-alarm.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from engine.model.alarms import Coming, SuperAlarm, SuperAlarmState
from engine.model.identifiers import SuperAlarmId
from engine.model.records import SUPER_ALARMS, Stored
from engine.watching.desk import Desk

EARLIER_MOST = 20
"""Earlier times of which a super-alarm keeps more than their number, the newest ones."""
ALARMS_KEPT = 50
"""First alarms that are kept of each."""
OVER_MOST = 1_000
"""Super-alarms among which the old one is looked for, those that closed last."""
NORMAL_AGAIN = "closed: every signal is normal again"
"""The note of a super-alarm that closed by itself."""


class Returning:
    """Finds, for super-alarms that are about to open, those that come again in them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def returned(
        self, fresh: Sequence[SuperAlarm]
    ) -> Mapping[SuperAlarmId, tuple[SuperAlarm, Stored[SuperAlarm]]]:
        """Return, by the id of a new super-alarm, the old one that it is again and what is stored.

        fresh: in the order in which they opened; each old one is given away once.
        """
        within = self._desk.policy.flap_seconds
        if not fresh or within <= 0:
            return {}
        now = self._desk.clock.now()
        found = self._desk.ledger.select(
            SUPER_ALARMS,
            where={"state": SuperAlarmState.RESOLVED.value},
            order_by="updated_at",
            descending=True,
            since=now - within,
            limit=OVER_MOST,
        )
        ended = [one for one in found if one.value.normal_at is not None]
        given: dict[SuperAlarmId, tuple[SuperAlarm, Stored[SuperAlarm]]] = {}
        for group in fresh:
            old = _old_of(group, ended)
            if old is not None:
                ended.remove(old)
                given[group.super_alarm_id] = reopened(old.value, group, now), old
        return given


def over(group: SuperAlarm, now: float) -> SuperAlarm:
    """Return a super-alarm that closes by itself, with what people said of it that still holds."""
    is_taken = group.state is SuperAlarmState.ACKNOWLEDGED
    is_silent = group.state is SuperAlarmState.SILENCED and not group.silenced_by
    return dataclasses.replace(
        group,
        state=SuperAlarmState.RESOLVED,
        updated_at=now,
        normal_at=now,
        acknowledged_until=group.acknowledged_until if is_taken else None,
        silenced_until=group.silenced_until if is_silent else None,
        note=f"{group.note}; {NORMAL_AGAIN}" if group.note else NORMAL_AGAIN,
    )


def reopened(old: SuperAlarm, fresh: SuperAlarm, now: float) -> SuperAlarm:
    """Return an old super-alarm that came again, with the alarms of a new one.

    Whoever took it has it, and a silence of it holds, until their time is over.
    """
    coming = Coming(
        opened_at=old.opened_at,
        ended_at=old.updated_at if old.normal_at is None else old.normal_at,
        count=len(old.alarms),
        alarms=old.alarms[:ALARMS_KEPT],
        likely=old.likely,
    )
    state = SuperAlarmState.OPEN
    if old.silenced_until is not None and now < old.silenced_until:
        state = SuperAlarmState.SILENCED
    elif old.acknowledged_until is not None:
        # One whose time is over meanwhile calls again, by the rule for all of them.
        state = SuperAlarmState.ACKNOWLEDGED
    return dataclasses.replace(
        fresh,
        super_alarm_id=old.super_alarm_id,
        state=state,
        silenced_until=old.silenced_until if state is SuperAlarmState.SILENCED else None,
        acknowledged_until=old.acknowledged_until,
        owner=old.owner,
        note="; ".join(part for part in old.note.split("; ") if part != NORMAL_AGAIN),
        aliases=tuple(dict.fromkeys((*old.aliases, *fresh.aliases))),
        split_from=old.split_from,
        regrouped_at=old.regrouped_at,
        times=old.times + 1,
        reopened_at=now,
        earlier=(*old.earlier, coming)[-EARLIER_MOST:],
    )


def _old_of(fresh: SuperAlarm, ended: Sequence[Stored[SuperAlarm]]) -> Stored[SuperAlarm] | None:
    """Return the one in which most series of a new super-alarm alarmed, the newest of several."""
    series = {alarm.series for alarm in fresh.alarms}
    shared = [
        (len(series & {alarm.series for alarm in one.value.known_alarms}), one) for one in ended
    ]
    most = [item for item in shared if 2 * item[0] > len(series)]
    found = max(
        most,
        key=lambda item: (item[0], item[1].value.updated_at, item[1].value.super_alarm_id),
        default=None,
    )
    return None if found is None else found[1]
