"""What people taught about groups: what they merged or split before is merged or split again.

A merge teaches what its two sides were about (the subjects of their alarms), since the next alarms
may be of other signals; a split teaches which series stayed and which left, as it holds for later
alarms. Where two words say the opposite the newer one counts. All of it follows from the stored
super-alarms, so a restart changes nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.model.alarms import Alarm, SuperAlarm, SuperAlarmState
from engine.model.identifiers import SuperAlarmId
from engine.model.records import SUPER_ALARMS
from engine.ports import Ledger
from engine.watching.members import Title, joined, split_off

LESSONS_MOST = 200
"""Words of people that are remembered, the newest ones."""
_LOOKED_AT_MOST = 2_000
_OVERLAP_SECONDS = 60.0
"""What a person says has the time at which it was asked for, and is stored a little later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One word: what both sides of a merge or a split are of.

    super_alarm_id: what was merged into another one, or split off. at: when.
    is_of_subjects: whether the sides are subjects of alarms; they are series otherwise.
    """

    super_alarm_id: SuperAlarmId
    at: float
    is_merge: bool
    is_of_subjects: bool
    one: frozenset[str]
    other: frozenset[str]

    def of(self, alarm: Alarm) -> str:
        """Return what of an alarm the sides hold."""
        return alarm.subject if self.is_of_subjects else alarm.series

    def is_about(self, *groups: SuperAlarm) -> bool:
        """Return whether groups have something of both sides."""
        found = {self.of(alarm) for group in groups for alarm in group.alarms}
        return bool(found & self.one) and bool(found & self.other)

    def joins(self, group: SuperAlarm, fresh: SuperAlarm) -> bool:
        """Return whether a new group is one side of a merge, and an open one has the other.

        Most of both must be about what was merged.
        """
        mine = {self.of(alarm) for alarm in group.alarms}
        theirs = {self.of(alarm) for alarm in fresh.alarms}
        if 2 * len(mine & (self.one | self.other)) <= len(mine):
            return False
        return any(
            bool(mine & this) and 2 * len(theirs & that) > len(theirs)
            for this, that in ((self.one, self.other), (self.other, self.one))
        )


class Lessons:
    """Reads from the store what people merged and split, and does the like by itself."""

    def __init__(self, ledger: Ledger, title: Title) -> None:
        self._ledger = ledger
        self._title = title
        self._seen: float | None = None
        self._known: list[Lesson] = []

    def applied(
        self,
        changed: Mapping[SuperAlarmId, SuperAlarm],
        open_groups: Sequence[SuperAlarm],
        now: float,
    ) -> dict[SuperAlarmId, SuperAlarm]:
        """Return the groups that are new or changed, as people taught."""
        self._read()
        found = dict(changed)
        if not self._known:
            return found
        known = {group.super_alarm_id for group in open_groups}
        for fresh in sorted(found.values(), key=_age):
            if fresh.super_alarm_id not in known and _is_open(fresh):
                self._merge(fresh, found, open_groups, now)
        for group in sorted(filter(_is_open, found.values()), key=_age):
            self._split(group, found, now)
        return found

    def _merge(
        self,
        fresh: SuperAlarm,
        found: dict[SuperAlarmId, SuperAlarm],
        open_groups: Sequence[SuperAlarm],
        now: float,
    ) -> None:
        """Let a new group be part of an open one where people merged such."""
        known = {group.super_alarm_id: group for group in open_groups}
        older = {key: one for key, one in found.items() if _age(one) < _age(fresh)}
        kept = {key: found.get(key, one) for key, one in (older | known).items()}
        for group in sorted(filter(_is_open, kept.values()), key=_age):
            lesson = self._newest(group, fresh)
            if lesson is None or not lesson.is_merge or not lesson.joins(group, fresh):
                continue
            reason = f"people merged such alarms before ({lesson.super_alarm_id})"
            because = tuple(dict.fromkeys((*group.because, reason)))
            both = dataclasses.replace(joined(group, fresh.alarms, now), because=because)
            del found[fresh.super_alarm_id]
            found[group.super_alarm_id] = both
            return

    def _split(self, group: SuperAlarm, found: dict[SuperAlarmId, SuperAlarm], now: float) -> None:
        """Take from a group what people split off such; the id stays with the earliest alarm."""
        lesson = self._newest(group)
        if lesson is None or lesson.is_merge:
            return
        gone = [alarm for alarm in group.alarms if lesson.of(alarm) in lesson.other]
        if group.alarms[0] in gone:
            gone = [alarm for alarm in group.alarms if lesson.of(alarm) in lesson.one]
        left = tuple(alarm for alarm in group.alarms if alarm not in gone)
        how = f"as people split such alarms before ({lesson.super_alarm_id})"
        fresh = split_off(group, gone, now, self._title(gone), how)
        severity = max((alarm.severity for alarm in left), key=lambda each: each.rank)
        found[group.super_alarm_id] = dataclasses.replace(
            group, title=self._title(left), alarms=left, severity=severity
        )
        found[fresh.super_alarm_id] = fresh

    def _newest(self, *groups: SuperAlarm) -> Lesson | None:
        """Return the newest lesson that has to do with groups."""
        return next((one for one in self._known if one.is_about(*groups)), None)

    def _read(self) -> None:
        """Take what people said since the last look."""
        stored = self._ledger.select(
            SUPER_ALARMS,
            order_by="updated_at",
            descending=True,
            since=None if self._seen is None else self._seen - _OVERLAP_SECONDS,
            limit=_LOOKED_AT_MOST,
        )
        if not stored:
            return
        self._seen = stored[0].value.updated_at
        known = {one.super_alarm_id: one for one in self._known}
        for one in stored:
            lesson = self._lesson(one.value)
            if lesson is not None:
                known.setdefault(lesson.super_alarm_id, lesson)
        newest = sorted(known.values(), key=lambda one: (-one.at, one.super_alarm_id))
        self._known = newest[:LESSONS_MOST]

    def _lesson(self, group: SuperAlarm) -> Lesson | None:
        """Return what a group teaches that a person merged into another one, or split off."""
        other = group.merged_into or group.split_from
        stored = self._ledger.get(SUPER_ALARMS, other) if group.regrouped_at else None
        if stored is None:
            return None
        is_merge = bool(group.merged_into)
        for is_of_subjects in (True, False) if is_merge else (False,):
            rest, mine = (
                {alarm.subject if is_of_subjects else alarm.series for alarm in one.known_alarms}
                for one in (stored.value, group)
            )
            if rest - mine:
                return Lesson(
                    super_alarm_id=group.super_alarm_id,
                    at=group.regrouped_at,
                    is_merge=is_merge,
                    is_of_subjects=is_of_subjects,
                    one=frozenset(rest - mine),
                    other=frozenset(mine),
                )
        return None


def _is_open(group: SuperAlarm) -> bool:
    return group.state is not SuperAlarmState.RESOLVED


def _age(group: SuperAlarm) -> tuple[float, str]:
    return group.opened_at, group.super_alarm_id
