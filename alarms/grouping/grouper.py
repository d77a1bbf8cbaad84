"""The grouper: alarms join the group they are most related to, or open one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alarms.grouping.nature import pipeline_of
from alarms.grouping.relations import STRONG, UNRELATED, Relation, relation
from alarms.grouping.topology import Topology
from engine.model import documents
from engine.model.alarms import Alarm, Severity, SuperAlarm, SuperAlarmState
from engine.model.identifiers import PipelineName, SuperAlarmId


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupingSettings:
    """Settings of the grouper.

    gap_seconds: alarms further apart than this are not one event, unless a series of the group
        alarms again.
    opens_at: least severity that opens a group; milder alarms only join one.
    relation_least: least strength of a relation that joins.
    alarms_kept: alarms kept per group, the first half and the newest half.
    """

    gap_seconds: float = 60.0
    opens_at: Severity = Severity.WARNING
    relation_least: float = 0.5
    alarms_kept: int = 200

    def scaled(self, factor: float) -> GroupingSettings:
        """Return settings for a clock that is `factor` times as fast."""
        return dataclasses.replace(self, gap_seconds=self.gap_seconds / factor)


class TopologyGrouper:
    """Groups by time, shared labels and topology. Port `Grouper`; keeps no state of its own.

    What is related follows from `relations`; the order in which alarms of one call are given
    does not matter. Ids follow from the earliest alarm, merges keep the older id.
    """

    def __init__(
        self, settings: GroupingSettings | None = None, *, topology: Topology | None = None
    ) -> None:
        self._settings = settings or GroupingSettings()
        self._topology = topology or Topology()

    def group(
        self, open_groups: Sequence[SuperAlarm], alarms: Sequence[Alarm], now: float
    ) -> Sequence[SuperAlarm]:
        """Return the super-alarms that are new or changed, oldest first."""
        groups = sorted(open_groups, key=lambda group: (group.opened_at, group.super_alarm_id))
        known = {alarm.alarm_id for group in groups for alarm in group.alarms}
        changed: set[SuperAlarmId] = set()
        mild: list[Alarm] = []
        for alarm in sorted(alarms, key=lambda alarm: (alarm.at, alarm.alarm_id)):
            if alarm.alarm_id in known:
                continue
            known.add(alarm.alarm_id)
            if alarm.severity.rank < self._settings.opens_at.rank:
                mild.append(alarm)
                continue
            changed.add(self._place(groups, alarm, now))
        changed |= self._join_mild(groups, mild, now)
        merged = self._merge(groups, changed, now)
        return [group for group in merged if group.super_alarm_id in changed]

    def _place(self, groups: list[SuperAlarm], alarm: Alarm, now: float) -> SuperAlarmId:
        """Let an alarm join the nearest group or open one; return the group's id."""
        index, why = self._nearest(groups, alarm)
        if index is None:
            group = opened(alarm, now)
            groups.append(group)
            return group.super_alarm_id
        groups[index] = self._joined(groups[index], (alarm,), (why,), now)
        return groups[index].super_alarm_id

    def _join_mild(
        self, groups: list[SuperAlarm], alarms: Iterable[Alarm], now: float
    ) -> set[SuperAlarmId]:
        """Let alarms that may not open a group join one; return the ids of those that grew."""
        grown: set[SuperAlarmId] = set()
        for alarm in alarms:
            index, why = self._nearest(groups, alarm)
            if index is not None:
                groups[index] = self._joined(groups[index], (alarm,), (why,), now)
                grown.add(groups[index].super_alarm_id)
        return grown

    def _nearest(self, groups: Sequence[SuperAlarm], alarm: Alarm) -> tuple[int | None, str]:
        """Return the group an alarm is most related to; of equals the one nearest in time."""
        best: tuple[float, float, int] | None = None
        because = ""
        for index, group in enumerate(groups):
            found = self._relation(group, alarm)
            if found.strength < self._settings.relation_least:
                continue
            distance = abs(alarm.at - newest(group))
            rank = (found.strength, -distance, -index)
            if best is None or rank > best:
                best, because = rank, found.because
        return (None, "") if best is None else (-best[2], because)

    def _relation(self, group: SuperAlarm, alarm: Alarm) -> Relation:
        """Return the strongest relation of an alarm to a group within the time gap."""
        gap = self._settings.gap_seconds
        is_near = group.opened_at - gap <= alarm.at <= newest(group) + gap
        found = UNRELATED
        for member in group.alarms:
            if is_near or member.series == alarm.series:
                found = max(found, relation(member, alarm, self._topology))
        return found

    def _merge(
        self, groups: list[SuperAlarm], changed: set[SuperAlarmId], now: float
    ) -> list[SuperAlarm]:
        """Merge groups that have become one; the older id stays, the other is its alias.

        Merged groups are reported twice: the one that stays, and the other as resolved.
        """
        gone: list[SuperAlarm] = []
        kept: list[SuperAlarm] = []
        for group in sorted(groups, key=lambda group: (group.opened_at, group.super_alarm_id)):
            index = self._same_event(kept, group, changed)
            if index is None:
                kept.append(group)
                continue
            older = kept[index]
            why = self._strongest(older, group).because
            both = self._joined(older, group.alarms, (*group.because, why), now)
            kept[index] = dataclasses.replace(
                both, aliases=(*both.aliases, group.super_alarm_id, *group.aliases)
            )
            changed |= {older.super_alarm_id, group.super_alarm_id}
            gone.append(
                dataclasses.replace(
                    group,
                    state=SuperAlarmState.RESOLVED,
                    updated_at=now,
                    note=f"merged into {older.super_alarm_id}",
                )
            )
        return [*kept, *gone]

    def _same_event(
        self, kept: Sequence[SuperAlarm], group: SuperAlarm, changed: set[SuperAlarmId]
    ) -> int | None:
        for index, older in enumerate(kept):
            if not {older.super_alarm_id, group.super_alarm_id} & changed:
                continue
            near = abs(group.opened_at - newest(older)) <= self._settings.gap_seconds or (
                group.opened_at <= newest(older)
            )
            if near and self._strongest(older, group).strength >= STRONG:
                return index
        return None

    def _strongest(self, one: SuperAlarm, other: SuperAlarm) -> Relation:
        opens_at = self._settings.opens_at.rank
        found = UNRELATED
        for here in one.alarms:
            for there in other.alarms:
                if min(here.severity.rank, there.severity.rank) >= opens_at:
                    found = max(found, relation(here, there, self._topology))
        return found

    def _joined(
        self, group: SuperAlarm, alarms: Sequence[Alarm], why: Sequence[str], now: float
    ) -> SuperAlarm:
        """Return a group grown by alarms, with the reasons for which they joined."""
        members = {alarm.alarm_id: alarm for alarm in (*group.alarms, *alarms)}
        every = tuple(sorted(members.values(), key=lambda alarm: (alarm.at, alarm.alarm_id)))
        half = self._settings.alarms_kept // 2
        if len(every) > 2 * half:
            every = (*every[:half], *every[-half:])
        pipelines = {*group.pipelines, *(pipeline_of(alarm) for alarm in alarms)} - {""}
        because = dict.fromkeys((*group.because, *(reason for reason in why if reason)))
        return dataclasses.replace(
            group,
            title=title_of(every),
            severity=max((group.severity, *(a.severity for a in alarms)), key=lambda s: s.rank),
            updated_at=now,
            alarms=every,
            because=tuple(because),
            pipelines=tuple(PipelineName(name) for name in sorted(pipelines)),
        )


def opened(alarm: Alarm, now: float) -> SuperAlarm:
    """Return the super-alarm that an alarm opens; its id follows from the alarm's."""
    pipeline = pipeline_of(alarm)
    return SuperAlarm(
        super_alarm_id=SuperAlarmId("SA-" + documents.letters(alarm.alarm_id, 6)),
        title=title_of((alarm,)),
        severity=alarm.severity,
        state=SuperAlarmState.OPEN,
        opened_at=alarm.at,
        updated_at=now,
        alarms=(alarm,),
        pipelines=(PipelineName(pipeline),) if pipeline else (),
    )


def newest(group: SuperAlarm) -> float:
    """Return the time of the newest alarm of a group."""
    return max(alarm.at for alarm in group.alarms)


def title_of(alarms: Sequence[Alarm]) -> str:
    """Return a headline: the worst and earliest subject, and how many others."""
    first = min(alarms, key=lambda alarm: (-alarm.severity.rank, alarm.at, alarm.alarm_id))
    subjects = len({alarm.subject for alarm in alarms}) - 1
    more = "" if subjects == 0 else f" and {subjects} other{'s' if subjects > 1 else ''}"
    side = "low" if first.statistic < 0 else "high"
    if first.test == "silence":
        side = "silent"
    return f"{first.signal} {side}: {first.subject}{more}"
