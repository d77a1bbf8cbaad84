"""The grouper of the watch loop: alarms of Berth and of other systems into super-alarms.

It stands between the port `Grouper`, whose state are the super-alarms in the store, and the
streaming grouper, which decides. Super-alarms that the stream does not know (after a restart, or
when people made them) are taken over, and those that are no longer open are closed there, so that
what is stored always wins. What was learned of the system comes back from past super-alarms.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from alarms.grouping import headlines
from alarms.grouping.alert import Alert
from alarms.grouping.episodes import Change, Reason, Step
from alarms.grouping.naming import alert_of
from alarms.grouping.nature import pipeline_of
from alarms.grouping.streaming import StreamGrouper, StreamSettings
from engine.model.alarms import Alarm, Severity, SuperAlarm, SuperAlarmState
from engine.model.identifiers import PipelineName, SuperAlarmId

PLACED_MOST = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupingSettings:
    """Settings of the grouper.

    gap_seconds: what was quiet for longer is over, but for what alarms that still stand name.
    decide_seconds: how long it may take to see that a new event began.
    opens_at: least severity that opens a group; milder alarms only join one.
    alarms_kept: alarms kept per group, the first half and the newest half.
    """

    gap_seconds: float = 90.0
    decide_seconds: float = 300.0
    opens_at: Severity = Severity.WARNING
    alarms_kept: int = 200

    def scaled(self, factor: float) -> GroupingSettings:
        """Return settings for a clock that is `factor` times as fast."""
        return dataclasses.replace(
            self,
            gap_seconds=self.gap_seconds / factor,
            decide_seconds=self.decide_seconds / factor,
        )


class SuperAlarmGrouper:
    """Groups by what alarms name, by topology, company, time and repetition. Port `Grouper`.

    The order in which alarms of one call are given does not matter. Ids follow from the earliest
    alarm; merges keep the older id, splits leave it with the earliest alarm.
    """

    def __init__(
        self,
        settings: GroupingSettings | None = None,
        *,
        topology: Iterable[tuple[str, str]] = (),
    ) -> None:
        self._settings = settings or GroupingSettings()
        self._stream = StreamGrouper(
            StreamSettings(
                gap_seconds=self._settings.gap_seconds,
                decide_seconds=self._settings.decide_seconds,
            ),
            topology=topology,
        )
        self._held: set[SuperAlarmId] = set()
        """Super-alarms that the stream takes for open."""
        self._placed: OrderedDict[str, SuperAlarmId] = OrderedDict()
        """Where alarms stand, the newest ones; a group keeps only some of its own."""

    def learn(self, past: Sequence[SuperAlarm], verdicts: Mapping[str, bool]) -> None:
        """Learn what belongs together from super-alarms that are over. Port `Learner`."""
        del verdicts
        for group in past:
            alerts = [alert_of(alarm) for alarm in group.alarms]
            # Nobody closes them any more: they end by the gap, as events of others do.
            self._stream.extend(
                dataclasses.replace(alert, holds=(), lasting=False) for alert in alerts
            )
            for episode in self._stream.open:
                self._stream.close(episode.group_id)

    def group(
        self, open_groups: Sequence[SuperAlarm], alarms: Sequence[Alarm], now: float
    ) -> Sequence[SuperAlarm]:
        """Return the super-alarms that are new or changed, oldest first."""
        if not alarms:
            return []
        work = _Work(open_groups, self._settings, now)
        for change in self._follow(work):
            work.apply(change)
        fresh = {alarm.alarm_id: alarm for alarm in alarms if self._is_fresh(alarm, work)}
        least = self._settings.opens_at.rank
        severe = {key: one for key, one in fresh.items() if one.severity.rank >= least}
        self._place(work, severe, [alert_of(alarm) for alarm in severe.values()])
        mild = {key: one for key, one in fresh.items() if key not in severe}
        # What is not severe opens no super-alarm; it joins one that has a place for it by now.
        alerts = [alert_of(alarm) for alarm in mild.values()]
        self._place(work, mild, [alert for alert in alerts if self._stream.has_place(alert)])
        self._held = {
            key for key, group in work.groups.items() if group.state is not SuperAlarmState.RESOLVED
        }
        return work.changed()

    def _place(self, work: _Work, alarms: Mapping[str, Alarm], alerts: Sequence[Alert]) -> None:
        """Let the stream place alerts of alarms, and follow what it changes."""
        work.alarms |= alarms
        for change in self._stream.extend(alerts):
            work.apply(change)
            self._note(change)

    def _is_fresh(self, alarm: Alarm, work: _Work) -> bool:
        """Return whether an alarm must be placed; one whose placing was not stored must again."""
        if alarm.alarm_id in work.alarms:
            return False
        placed = work.groups.get(self._placed.get(alarm.alarm_id, SuperAlarmId("")))
        if placed is not None and len(placed.alarms) >= self._settings.alarms_kept:
            return False
        self._stream.forget(alarm.alarm_id)
        return True

    def _note(self, change: Change) -> None:
        for alarm_id in change.alert_ids:
            self._placed[alarm_id] = SuperAlarmId(change.group_id)
            self._placed.move_to_end(alarm_id)
        while len(self._placed) > PLACED_MOST:
            self._placed.popitem(last=False)

    def _follow(self, work: _Work) -> list[Change]:
        """Let the stream know what is open, as the store has it."""
        for gone in sorted(self._held - work.groups.keys()):
            self._stream.close(gone)
        unknown = [group for key, group in work.groups.items() if key not in self._held]
        changes: list[Change] = []
        for group in sorted(unknown, key=lambda one: (one.opened_at, one.super_alarm_id)):
            alerts = [alert_of(alarm) for alarm in group.alarms]
            changes += self._stream.adopt(group.super_alarm_id, alerts)
        return changes


class _Work:
    """The super-alarms of one call, changed step by step."""

    def __init__(
        self, open_groups: Sequence[SuperAlarm], settings: GroupingSettings, now: float
    ) -> None:
        self.groups = {group.super_alarm_id: group for group in open_groups}
        self.alarms = {alarm.alarm_id: alarm for group in open_groups for alarm in group.alarms}
        self._settings = settings
        self._now = now
        self._touched: set[SuperAlarmId] = set()

    def changed(self) -> list[SuperAlarm]:
        """Return what changed, oldest first."""
        groups = (self.groups[key] for key in self._touched)
        return sorted(groups, key=lambda group: (group.opened_at, group.super_alarm_id))

    def apply(self, change: Change) -> None:
        """Do one step of the stream."""
        key = SuperAlarmId(change.group_id)
        if change.step is Step.MERGED:
            self._merge(key, SuperAlarmId(change.other_id), change.reason)
        elif change.step is Step.SPLIT:
            self._leave(SuperAlarmId(change.other_id), frozenset(change.alert_ids), key)
            self._join(key, change.alert_ids, change.reason)
        elif change.step is not Step.CLOSED and change.reason is not Reason.SENT_AGAIN:
            self._join(key, change.alert_ids, change.reason)

    def _join(self, key: SuperAlarmId, ids: Sequence[str], reason: Reason) -> None:
        """Let alarms join a group, which is opened where there is none."""
        alarms = [self.alarms[each] for each in ids if each in self.alarms]
        before = self.groups.get(key)
        if not alarms:
            return
        if before is None:
            first = min(alarms, key=lambda alarm: (alarm.at, alarm.alarm_id))
            before = SuperAlarm(
                super_alarm_id=key,
                title="",
                severity=first.severity,
                state=SuperAlarmState.OPEN,
                opened_at=first.at,
                updated_at=self._now,
                alarms=(),
            )
        self._put(before, [*before.alarms, *alarms], before.because, reason)

    def _leave(self, key: SuperAlarmId, ids: frozenset[str], heir: SuperAlarmId) -> None:
        """Let alarms leave a group; one that keeps none is closed."""
        before = self.groups.get(key)
        if before is None:
            return
        left = [alarm for alarm in before.alarms if alarm.alarm_id not in ids]
        if left:
            self._put(before, left, before.because, None)
        else:
            self._close(before, f"all of it is {heir}")

    def _merge(self, key: SuperAlarmId, gone: SuperAlarmId, reason: Reason) -> None:
        """Let one group become part of another, whose alias it is from now on."""
        kept, other = self.groups.get(key), self.groups.get(gone)
        if kept is None or other is None:
            return
        self._close(other, f"merged into {key}")
        aliases = (*kept.aliases, gone, *other.aliases)
        both = dataclasses.replace(kept, aliases=tuple(dict.fromkeys(aliases)))
        self._put(both, [*kept.alarms, *other.alarms], kept.because, reason)

    def _close(self, group: SuperAlarm, note: str) -> None:
        self.groups[group.super_alarm_id] = dataclasses.replace(
            group, state=SuperAlarmState.RESOLVED, updated_at=self._now, note=note
        )
        self._touched.add(group.super_alarm_id)

    def _opens(self, alarm: Alarm) -> bool:
        return alarm.severity.rank >= self._settings.opens_at.rank

    def _put(
        self,
        group: SuperAlarm,
        alarms: Iterable[Alarm],
        because: Sequence[str],
        reason: Reason | None,
    ) -> None:
        """Store a group with these alarms, and all that follows from them."""
        members = {alarm.alarm_id: alarm for alarm in alarms}
        every = tuple(sorted(members.values(), key=lambda alarm: (alarm.at, alarm.alarm_id)))
        half = self._settings.alarms_kept // 2
        kept = every if len(every) <= 2 * half else (*every[:half], *every[-half:])
        pipelines = [*group.pipelines, *(PipelineName(pipeline_of(alarm)) for alarm in every)]
        self.groups[group.super_alarm_id] = dataclasses.replace(
            group,
            title=headlines.title_of(every),
            severity=max((alarm.severity for alarm in every), key=lambda one: one.rank),
            opened_at=min([group.opened_at, *(one.at for one in every if self._opens(one))]),
            updated_at=self._now,
            alarms=kept,
            because=headlines.because(every, because, reason),
            pipelines=tuple(dict.fromkeys(name for name in pipelines if name)),
        )
        self._touched.add(group.super_alarm_id)
