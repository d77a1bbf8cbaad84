"""The second part of a step: alarms become super-alarms, and each gets ranked causes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from engine.model.alarms import (
    Action,
    ActionKind,
    ActionState,
    Cause,
    Event,
    SuperAlarm,
    SuperAlarmState,
)
from engine.model.identifiers import SuperAlarmId
from engine.model.records import (
    ABSENT,
    ACTIONS,
    ALARMS,
    EVENTS,
    SUPER_ALARMS,
    Put,
    Stored,
    Write,
)
from engine.ports import CauseFinder, Detector, Grouper, Ledger
from engine.watching import outcomes, returning
from engine.watching.desk import Desk
from engine.watching.recent import Recent

OPEN_STATES = (
    SuperAlarmState.OPEN.value,
    SuperAlarmState.ACKNOWLEDGED.value,
    SuperAlarmState.SILENCED.value,
)
_BELIEF_STEP = 0.05
"""Causes are stored again when a belief moved so far; evidence is not worth a write by itself."""
_SKEW_SECONDS = 3_600.0
"""Alarms carry the time of the machine that measured, actions that of the engine."""
_REMEDIES = frozenset({ActionKind.RETRAIN, ActionKind.RETRY, ActionKind.STOP})
_BUSY = (ActionState.WANTED.value, ActionState.STARTED.value)


class Judging:
    """Groups alarms, looks for causes, wakes silenced groups and closes those that are over."""

    def __init__(
        self,
        desk: Desk,
        detector: Detector,
        grouper: Grouper,
        cause_finder: CauseFinder,
        recent: Recent,
    ) -> None:
        self._desk = desk
        self._detector = detector
        self._grouper = grouper
        self._cause_finder = cause_finder
        self._recent = recent
        self._returning = returning.Returning(desk)
        self._actions: Mapping[SuperAlarmId, Sequence[Action]] = {}
        self._seen: dict[str, float] = {}
        # Alarms that are in a group, by id with their time; groups keep only some of theirs.
        self._judged_by: tuple[int, str, float] | None = None
        # What causes were last looked for in: the same signals and events give the same causes.

    def step(self) -> bool:
        """Bring super-alarms up to date; return whether any changed."""
        stored = self._open()
        before = {key: item.value for key, item in stored.items()}
        now = self._desk.clock.now()
        grouped = self._grouped(list(before.values()), now)
        for fresh_id, (group, old) in self._returned(grouped, before).items():
            del grouped[fresh_id]
            grouped[group.super_alarm_id] = group
            stored[group.super_alarm_id] = old
        after = {**before, **grouped}
        self._actions = actions_of(self._desk.ledger, after.values())
        facts = self._facts(after.values()) if after else self._judged_by
        abnormal = self._detector.abnormal()
        is_same = facts == self._judged_by
        for key, group in after.items():
            after[key] = self._judged(group, before.get(key), abnormal, now, is_same=is_same)
        writes: list[Write] = [
            Put(SUPER_ALARMS, group, stored[key].version if key in stored else ABSENT)
            for key, group in after.items()
            if group != before.get(key)
        ]
        if writes and not self._desk.commit("watch.group", *writes):
            return False
        self._judged_by = facts
        if writes:
            self._remember(after.values(), now)
        return bool(writes)

    def _facts(self, groups: Iterable[SuperAlarm]) -> tuple[int, str, float]:
        """Return how many signals were seen, the newest event, and when the newest check was."""
        newest = self._desk.ledger.select(EVENTS, order_by="at", descending=True, limit=1)
        checked_at = max((one.at for group in groups for one in group.checks), default=0.0)
        return self._recent.added, newest[0].value.event_id if newest else "", checked_at

    def _open(self) -> dict[SuperAlarmId, Stored[SuperAlarm]]:
        found = self._desk.ledger.select(
            SUPER_ALARMS, where={"state": OPEN_STATES}, order_by="updated_at"
        )
        return {stored.value.super_alarm_id: stored for stored in found}

    def _grouped(self, groups: Sequence[SuperAlarm], now: float) -> dict[SuperAlarmId, SuperAlarm]:
        """Return groups that are new or grew by alarms that stand in none yet."""
        since = now - self._desk.policy.join_seconds
        newest = self._desk.ledger.select(ALARMS, order_by="at", since=since)
        if not self._seen:
            self._remember(self._lately(since), now)
        fresh = [stored.value for stored in newest if stored.value.alarm_id not in self._seen]
        if not fresh:
            return {}
        changed = self._grouper.group(groups, fresh, now)
        return {group.super_alarm_id: group for group in changed}

    def _returned(
        self,
        grouped: Mapping[SuperAlarmId, SuperAlarm],
        before: Mapping[SuperAlarmId, SuperAlarm],
    ) -> Mapping[SuperAlarmId, tuple[SuperAlarm, Stored[SuperAlarm]]]:
        """Return, by the id of a new group, the old one that it is again and what is stored."""
        fresh = [
            group
            for key, group in grouped.items()
            if key not in before and group.state is not SuperAlarmState.RESOLVED
        ]
        return self._returning.returned(fresh)

    def _lately(self, since: float) -> list[SuperAlarm]:
        """Return groups of all states that may hold alarms newer than `since`."""
        found = self._desk.ledger.select(SUPER_ALARMS, order_by="updated_at", since=since)
        return [*(stored.value for stored in found), *(s.value for s in self._open().values())]

    def _remember(self, groups: Iterable[SuperAlarm], now: float) -> None:
        horizon = now - self._desk.policy.join_seconds
        self._seen = {key: at for key, at in self._seen.items() if at > horizon}
        self._seen |= {
            alarm.alarm_id: alarm.known_at for group in groups for alarm in group.known_alarms
        }

    def _judged(
        self,
        group: SuperAlarm,
        before: SuperAlarm | None,
        abnormal: Mapping[str, float],
        now: float,
        *,
        is_same: bool,
    ) -> SuperAlarm:
        """Return a group with its causes, awake or closed where it is time for that."""
        if group.state is SuperAlarmState.RESOLVED:
            return group
        is_abnormal = any(alarm.series in abnormal for alarm in group.alarms)
        has_news = (is_abnormal and not is_same) or group != before
        if not group.causes or (has_news and not self._is_acting(group)):
            causes = self._causes(group)
            if group != before or not _are_alike(causes, group.causes):
                bound = self._desk.policy.act_above
                group = dataclasses.replace(group, causes=causes, act_above=bound)
        if not is_abnormal and self._is_over(group, now):
            return returning.over(group, now)
        until = group.silenced_until
        if group.state is SuperAlarmState.SILENCED and until is not None and until <= now:
            return dataclasses.replace(
                group, state=SuperAlarmState.OPEN, silenced_until=None, updated_at=now
            )
        return group

    def _causes(self, group: SuperAlarm) -> tuple[Cause, ...]:
        events = self._events(group)
        return tuple(self._cause_finder.causes(group, self._recent.signals(), events))

    def _events(self, group: SuperAlarm) -> list[Event]:
        since = group.opened_at - self._desk.policy.look_back_seconds
        found = self._desk.ledger.select(EVENTS, order_by="at", since=since)
        return [stored.value for stored in found]

    def _is_acting(self, group: SuperAlarm) -> bool:
        """A remedy under way changes the signals; the causes it was chosen for then stand.

        Once it is known to have changed nothing, it holds up no other.
        """
        actions = self._actions.get(group.super_alarm_id, ())
        return any(_changes(one) and not outcomes.is_vain(group, one) for one in actions)

    def _is_over(self, group: SuperAlarm, now: float) -> bool:
        """Everything has been normal for a while and nothing is being done any more."""
        newest = max(alarm.known_at for alarm in group.alarms)
        if now - newest < self._desk.policy.quiet_seconds:
            return False
        return not any(
            action.kind is not ActionKind.NOTIFY and action.state.value in _BUSY
            for action in self._actions.get(group.super_alarm_id, ())
        )


def actions_of(
    ledger: Ledger, groups: Iterable[SuperAlarm]
) -> Mapping[SuperAlarmId, Sequence[Action]]:
    """Return the actions of super-alarms by their ids, oldest first.

    Of one that came again, those since then: what was done before is done with.
    """
    known = {group.super_alarm_id: group for group in groups}
    found: dict[SuperAlarmId, list[Action]] = {}
    if known:
        since = min(group.opened_at for group in known.values()) - _SKEW_SECONDS
        for stored in ledger.select(ACTIONS, order_by="wanted_at", since=since):
            group = known.get(stored.value.super_alarm_id)
            if group is not None and stored.value.wanted_at >= group.reopened_at:
                found.setdefault(group.super_alarm_id, []).append(stored.value)
    return found


def _changes(action: Action) -> bool:
    """Whether an action may have changed what is measured; a roll-back only once it is done.

    One that cannot be carried out, since a cluster is lost, would hide that for as long.
    """
    if action.kind is ActionKind.ROLL_BACK:
        return action.state is ActionState.DONE
    return action.kind in _REMEDIES and action.state not in {ActionState.HELD, ActionState.FAILED}


def _are_alike(some: Sequence[Cause], others: Sequence[Cause]) -> bool:
    """Return whether two rankings say the same, but for the wording of their evidence."""
    if [_gist(cause) for cause in some] != [_gist(cause) for cause in others]:
        return False
    return all(
        abs(one.belief - other.belief) < _BELIEF_STEP
        for one, other in zip(some, others, strict=True)
    )


def _gist(cause: Cause) -> tuple[object, ...]:
    return (cause.kind, cause.subject, cause.settled, cause.remedy, cause.checked)
