"""The last part of a step: one message per super-alarm, edited as it changes.

The intent is stored before the message goes out and the outcome after, so that a message may be
repeated after a crash (with the same id, by which notifiers deduplicate) but is never lost.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence

from engine.model import deciding
from engine.model.alarms import Action, ActionKind, ActionState, SuperAlarm, SuperAlarmState
from engine.model.errors import FinalError, RetryableError
from engine.model.records import ABSENT, ACTIONS, SUPER_ALARMS, Put, Stored
from engine.model.specs import Scalar
from engine.ports import Notifier
from engine.watching.desk import Desk
from engine.watching.judging import OPEN_STATES

_LOG = logging.getLogger(__name__)


class Telling:
    """Tells people about what is new in super-alarms."""

    def __init__(self, desk: Desk, notifiers: Sequence[Notifier]) -> None:
        self._desk = desk
        self._notifiers = notifiers

    def step(self) -> bool:
        """Send or edit messages; return whether any was."""
        changed = False
        for group in self._groups():
            action_id = f"{group.super_alarm_id}.notify"
            changed |= self._tell(group, self._desk.ledger.get(ACTIONS, action_id), action_id)
        return changed

    def _groups(self) -> list[SuperAlarm]:
        """Return open groups, and those closed lately whose message may not say so yet."""
        ledger = self._desk.ledger
        since = self._desk.clock.now() - self._desk.policy.look_back_seconds
        still_open = ledger.select(SUPER_ALARMS, where={"state": OPEN_STATES})
        lately = ledger.select(SUPER_ALARMS, order_by="updated_at", since=since)
        groups = {stored.value.super_alarm_id: stored.value for stored in (*still_open, *lately)}
        awake = [g for g in groups.values() if g.state is not SuperAlarmState.SILENCED]
        return sorted(awake, key=lambda group: (group.opened_at, group.super_alarm_id))

    def _tell(self, group: SuperAlarm, known: Stored[Action] | None, action_id: str) -> bool:
        gist = gist_of(group)
        if known is None:
            if group.state is SuperAlarmState.RESOLVED:
                return False
            action, version = self._wanted(group, action_id, gist), ABSENT
        else:
            action, version = known.value, known.version
            if action.parameters == gist and action.state is not ActionState.WANTED:
                return False
            action = dataclasses.replace(action, state=ActionState.WANTED, parameters=gist)
        if known is None or action != known.value:
            if not self._desk.commit("watch.notify", Put(ACTIONS, action, version)):
                return False
            version += 1
        return self._send(group, action, version)

    def _wanted(self, group: SuperAlarm, action_id: str, gist: Mapping[str, Scalar]) -> Action:
        return Action(
            action_id=action_id,
            kind=ActionKind.NOTIFY,
            state=ActionState.WANTED,
            super_alarm_id=group.super_alarm_id,
            subject=group.alarms[0].subject,
            policy="one message per super-alarm",
            wanted_at=self._desk.clock.now(),
            parameters=gist,
        )

    def _send(self, group: SuperAlarm, action: Action, version: int) -> bool:
        state, result = ActionState.DONE, f"told {_ways(len(self._notifiers))}"
        for notifier in self._notifiers:
            try:
                notifier.notify(group)
            except RetryableError as error:
                _LOG.warning("%s is not told yet: %s", group.super_alarm_id, error.message)
                return False
            except FinalError as error:
                state, result = ActionState.FAILED, f"{error.message} ({error.code})"
        ended = dataclasses.replace(
            action, state=state, ended_at=self._desk.clock.now(), result=result
        )
        return self._desk.commit("watch.notified", Put(ACTIONS, ended, version))


def _ways(count: int) -> str:
    return "one way" if count == 1 else f"{count} ways"


def gist_of(group: SuperAlarm) -> dict[str, Scalar]:
    """Return what a new message is worth: severity, state, cause, and a doubling of alarms.

    Also that it came again, which may be before anybody was told that it was over, and that no
    cause is believed enough to be acted upon, which leaves it to people.
    """
    likely = group.likely
    return {
        **({} if group.times == 1 else {"times": group.times}),
        **({"undecided": True} if deciding.undecided(group) else {}),
        "severity": group.severity.value,
        "state": group.state.value,
        "cause": "" if likely is None else f"{likely.kind.value} {likely.subject}",
        "alarms at least": 1 << (len(group.alarms).bit_length() - 1),
    }
