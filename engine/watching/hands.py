"""What people said about alarms and groups, applied before and after alarms are grouped.

An alarm that a silence covers stands in no super-alarm: it is folded, with the reason in the
store, and freed when the silence is over and its series is still abnormal. A group that a person
split off takes only what its own series raise; what a person merged stays merged.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from engine.model.alarms import Alarm, Severity, SuperAlarm, SuperAlarmState
from engine.model.feedback import Folding, Silence
from engine.model.identifiers import SuperAlarmId
from engine.model.records import (
    ALARMS,
    FOLDINGS,
    SILENCES,
    SUPER_ALARMS,
    Delete,
    Put,
    Write,
)
from engine.ports import Detector, Grouper
from engine.watching.desk import Desk
from engine.watching.lessons import Lessons
from engine.watching.members import ALARMS_KEPT, Title, joined, plain_title

_AWAKE = (SuperAlarmState.OPEN, SuperAlarmState.ACKNOWLEDGED)


class Hands:
    """Applies what people said around a grouper. Port `Grouper`, and a part of a step."""

    def __init__(
        self, desk: Desk, grouper: Grouper, detector: Detector, title: Title = plain_title
    ) -> None:
        self._desk = desk
        self._lessons = Lessons(desk.ledger, title)
        self._grouper = grouper
        self._detector = detector
        self._folded: dict[str, float] | None = None
        """Alarms that a silence or a rule folded lately, with the time; None until looked up."""
        self._alone: dict[str, float] = {}
        """Alarms that are too mild to open a super-alarm, and join none so far."""

    # ------------------------------------------------------------------ a part

    def step(self) -> bool:
        """Free alarms whose silence is over, and silence groups that are covered as a whole."""
        self._forget()
        silences = self._silences()
        changed = self._free(silences)
        changed |= self._cover(silences)
        return self._remind() or changed

    def _known(self) -> dict[str, float]:
        """Return the ids of folded alarms; after a restart those of the store."""
        if self._folded is None:
            found = [one.value for one in self._desk.ledger.select(FOLDINGS, order_by="at")]
            self._alone = {one.alarm.alarm_id: one.at for one in found if _is_alone(one)}
            self._folded = {one.alarm.alarm_id: one.at for one in found if not _is_alone(one)}
        return self._folded

    def _forget(self) -> None:
        """Forget what is too old to be offered for grouping again."""
        horizon = self._desk.clock.now() - 2 * self._desk.policy.join_seconds
        self._folded = {key: at for key, at in self._known().items() if at > horizon}
        self._alone = {key: at for key, at in self._alone.items() if at > horizon}

    def _remind(self) -> bool:
        """Open acknowledged groups again whose time is over."""
        now = self._desk.clock.now()
        changed = False
        where = {"state": SuperAlarmState.ACKNOWLEDGED.value}
        for stored in self._desk.ledger.select(SUPER_ALARMS, where=where):
            until = stored.value.acknowledged_until
            if until is not None and until <= now:
                group = dataclasses.replace(
                    stored.value,
                    state=SuperAlarmState.OPEN,
                    acknowledged_until=None,
                    updated_at=now,
                )
                changed |= self._desk.commit(
                    "watch.remind", Put(SUPER_ALARMS, group, stored.version)
                )
        return changed

    def _silences(self) -> list[Silence]:
        now = self._desk.clock.now()
        found = self._desk.ledger.select(SILENCES, order_by="ends_at", since=now)
        return [stored.value for stored in found if stored.value.since <= now]

    def _free(self, silences: Sequence[Silence]) -> bool:
        """Let folded alarms be grouped that nothing covers any more and that still matter."""
        now, abnormal = self._desk.clock.now(), self._detector.abnormal()
        held = {silence.silence_id for silence in silences}
        known = {stored.value.silence_id for stored in self._desk.ledger.select(SILENCES)}
        where = {"silence_id": sorted(known - held)}
        writes: list[Write] = []
        for stored in self._desk.ledger.select(FOLDINGS, where=where, order_by="at"):
            folding = stored.value
            if any(silence.covers(folding.alarm, now) for silence in silences):
                continue
            if folding.alarm.series in abnormal:
                self._known().pop(folding.alarm.alarm_id, None)
                alarm = dataclasses.replace(folding.alarm, at=now)
                writes += [Put(ALARMS, alarm), Delete(FOLDINGS, alarm.alarm_id)]
            else:
                reason = f"{folding.reason}; it was normal again before the silence was over"
                kept = dataclasses.replace(folding, reason=reason, silence_id="")
                writes.append(Put(FOLDINGS, kept, stored.version))
        return bool(writes) and self._desk.commit("watch.free", *writes)

    def _cover(self, silences: Sequence[Silence]) -> bool:
        """Silence open groups all of whose alarms are covered."""
        if not silences:
            return False
        where = {"state": [state.value for state in _AWAKE]}
        changed = False
        for stored in self._desk.ledger.select(SUPER_ALARMS, where=where):
            group = stored.value
            covering = self._covering(group, silences)
            if covering is not None:
                silenced = dataclasses.replace(
                    group,
                    state=SuperAlarmState.SILENCED,
                    silenced_until=covering.until,
                    silenced_by=covering.silence_id,
                    updated_at=self._desk.clock.now(),
                )
                write = Put(SUPER_ALARMS, silenced, stored.version)
                changed |= self._desk.commit("watch.silence", write)
        return changed

    def _covering(self, group: SuperAlarm, silences: Sequence[Silence]) -> Silence | None:
        """Return the silence that ends first of those that cover all alarms of a group."""
        now = self._desk.clock.now()
        used: dict[str, Silence] = {}
        for alarm in group.alarms:
            found = next((one for one in silences if one.covers(alarm, now)), None)
            if found is None:
                return None
            used[found.silence_id] = found
        return min(used.values(), key=lambda one: (one.until, one.silence_id))

    # --------------------------------------------------------------- a grouper

    def group(
        self, open_groups: Sequence[SuperAlarm], alarms: Sequence[Alarm], now: float
    ) -> Sequence[SuperAlarm]:
        """Return the super-alarms that are new or changed, as people want them."""
        silences = self._silences()
        kept = self._unfolded(alarms, silences, now)
        apart = {group.super_alarm_id: group for group in open_groups if group.split_from}
        grown, rest = _joined_apart(apart, kept, now)
        changed: Mapping[SuperAlarmId, SuperAlarm] = grown
        if rest:
            others = [group for group in open_groups if not group.split_from]
            found = self._grouper.group(others, rest, now)
            merged = _as_merged(_without(found, apart.values()), others, now)
            changed = self._lessons.applied({**merged, **grown}, open_groups, now)
        self._note_alone(kept, [*open_groups, *changed.values()], now)
        return [self._woken(group, silences, now) for group in changed.values()]

    def _note_alone(
        self, alarms: Sequence[Alarm], groups: Sequence[SuperAlarm], now: float
    ) -> None:
        """Store why alarms stand in no super-alarm; those that join one meanwhile are let go.

        A full group keeps some of its alarms only: while there is one, nothing new is said.
        """
        placed = {alarm.alarm_id for group in groups for alarm in group.alarms}
        is_full = any(len(group.alarms) >= ALARMS_KEPT for group in groups)
        fresh = [] if is_full else [one for one in alarms if one.alarm_id not in placed]
        fresh = [one for one in fresh if one.alarm_id not in self._alone]
        joined_now = sorted(placed & self._alone.keys())
        self._alone |= {alarm.alarm_id: now for alarm in fresh}
        writes: list[Write] = [
            Put(FOLDINGS, Folding(alarm=alarm, at=now, reason=alone(alarm.severity)))
            for alarm in fresh
        ]
        for alarm_id in joined_now:
            del self._alone[alarm_id]
            writes.append(Delete(FOLDINGS, alarm_id))
        if writes:
            self._desk.commit("watch.alone", *writes)

    def _unfolded(
        self, alarms: Sequence[Alarm], silences: Sequence[Silence], now: float
    ) -> list[Alarm]:
        """Return alarms that no silence covers; the others are stored with the reason."""
        kept: list[Alarm] = []
        writes: list[Write] = []
        known = self._known()
        for alarm in alarms:
            if alarm.alarm_id in known:
                continue
            silence = next((one for one in silences if one.covers(alarm, now)), None)
            if silence is None:
                kept.append(alarm)
            else:
                known[alarm.alarm_id] = now
                self._alone.pop(alarm.alarm_id, None)
                reason = f"silenced by {silence.who} ({silence.silence_id}): {silence.because}"
                folding = Folding(alarm=alarm, at=now, reason=reason, silence_id=silence.silence_id)
                writes.append(Put(FOLDINGS, folding))
        if writes:
            self._desk.commit("watch.fold", *writes)
        return kept

    def _woken(self, group: SuperAlarm, silences: Sequence[Silence], now: float) -> SuperAlarm:
        """Return a group that a silence covered, open again when an alarm is not covered."""
        if not group.silenced_by or self._covering(group, silences) is not None:
            return group
        return dataclasses.replace(
            group,
            state=SuperAlarmState.OPEN,
            silenced_until=None,
            silenced_by="",
            updated_at=now,
        )


def alone(severity: Severity) -> str:
    """Return why an alarm of a severity stands in no super-alarm when nothing else is wrong."""
    return f"{severity.value} alone opens no super-alarm; it joins one about the same subject"


def _is_alone(folding: Folding) -> bool:
    return folding.reason == alone(folding.alarm.severity)


def _joined_apart(
    apart: Mapping[SuperAlarmId, SuperAlarm], alarms: Sequence[Alarm], now: float
) -> tuple[dict[SuperAlarmId, SuperAlarm], list[Alarm]]:
    """Let alarms join the groups that were split off with their series; return the others too."""
    owner = {alarm.series: group_id for group_id, group in apart.items() for alarm in group.alarms}
    grown: dict[SuperAlarmId, SuperAlarm] = {}
    rest: list[Alarm] = []
    for alarm in alarms:
        group_id = owner.get(alarm.series)
        if group_id is None:
            rest.append(alarm)
            continue
        group = grown.get(group_id, apart[group_id])
        grown[group_id] = joined(group, (alarm,), now)
    return grown, rest


def _without(groups: Iterable[SuperAlarm], apart: Iterable[SuperAlarm]) -> list[SuperAlarm]:
    """Return groups without the alarms that were split off from them."""
    gone = {alarm.alarm_id for group in apart for alarm in group.alarms}
    found: list[SuperAlarm] = []
    for group in groups:
        left = tuple(alarm for alarm in group.alarms if alarm.alarm_id not in gone)
        if left:
            found.append(dataclasses.replace(group, alarms=left))
    return found


def _as_merged(
    groups: Iterable[SuperAlarm], open_groups: Iterable[SuperAlarm], now: float
) -> dict[SuperAlarmId, SuperAlarm]:
    """Return groups by id; what a person merged into another one stands there."""
    found = {group.super_alarm_id: group for group in groups}
    for keeper in open_groups:
        for alias in keeper.aliases:
            gone = found.get(alias)
            if gone is None or gone.state is SuperAlarmState.RESOLVED:
                continue
            del found[alias]
            found[keeper.super_alarm_id] = joined(
                found.get(keeper.super_alarm_id, keeper), gone.alarms, now
            )
    return found
