"""A part of a step: alerts that other systems sent become alarms, from every sender its share.

An alarm and the firing that it came from are one commit. What is above a sender's share is kept
with the reason and stands behind one alarm that tells of the flood, so that the alarms of others,
and what else the sender has to say, are grouped as ever.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from engine.model.alarms import Alarm, Severity, SuperAlarm
from engine.model.feedback import Folding
from engine.model.intake import FOREIGN_TEST, Firing, FiringState, Sender
from engine.model.records import (
    ALARMS,
    FIRINGS,
    FOLDINGS,
    SENDERS,
    SUPER_ALARMS,
    Put,
    Stored,
    Write,
)
from engine.model.signals import Layer, Signal
from engine.ports import Detector
from engine.watching import flooding
from engine.watching.desk import Desk
from engine.watching.members import ALARMS_KEPT

AT_ONCE = 500
"""Alarms made in one step, over all senders."""
SLOW_SECONDS = 2.0
"""A step that takes longer makes the next one take less."""
READMIT_MOST = 50_000

Judge = Callable[[Alarm], Alarm]
"""What expert rules make of an alarm; one that they veto says so."""


class Receiving:
    """Makes alarms of firings, and knows which series fire elsewhere.

    Port `Detector` beside `step`, for what judges and acts: it sees the series of another
    detector and those that fire elsewhere as one.
    """

    def __init__(self, desk: Desk, detector: Detector, judge: Judge) -> None:
        self._desk = desk
        self._detector = detector
        self._judge = judge
        self._firing: dict[str, tuple[str, float, float]] = {}
        """By firing: its series, since when it fires, and when it ends unless sent again."""
        self._seen = -1.0
        self._shares: dict[str, flooding.Share] = {}
        self._batch = AT_ONCE
        self._took_at: float | None = None
        """When alarms were made last, if the step before made any."""

    def observe(self, signals: Sequence[Signal]) -> Sequence[Alarm]:
        """Return what the other detector finds."""
        return self._detector.observe(signals)

    def abnormal(self) -> Mapping[str, float]:
        """Return abnormal series of the other detector, and those that fire elsewhere."""
        found = dict(self._detector.abnormal())
        for series, since, _ in self._firing.values():
            found[series] = min(since, found.get(series, since))
        return found

    def step(self) -> bool:
        """Take firings that wait, and note those that ended; return whether there were any."""
        if self._seen < 0:
            self._readmit()
        self._refresh()
        self._pace()
        senders = self._desk.ledger.select(SENDERS)
        waiting = {one.value.name: self._waiting(one.value.name) for one in senders}
        waiting = {name: firings for name, firings in waiting.items() if firings}
        if not waiting:
            return False
        self._took_at = self._desk.clock.now()
        share = max(1, self._batch // len(waiting))
        records = {one.value.name: one for one in senders}
        changed = False
        for name, firings in sorted(waiting.items()):
            changed |= self._take(records[name], firings[:share])
        return changed

    def _pace(self) -> None:
        """Take less at once while steps are slow, so that each is over before a crash is likely."""
        if self._took_at is not None:
            slow = self._desk.clock.now() - self._took_at > SLOW_SECONDS
            self._batch = max(1, self._batch // 2) if slow else min(AT_ONCE, 2 * self._batch)
            self._took_at = None

    def _readmit(self) -> None:
        """After a start, let alarms wait again that were made and stand in no group yet."""
        ledger = self._desk.ledger
        newest = ledger.select(SUPER_ALARMS, order_by="updated_at", descending=True)
        groups = [stored.value for stored in newest]
        placed = {alarm.alarm_id for group in groups for alarm in group.known_alarms}
        placed |= {stored.value.alarm.alarm_id for stored in ledger.select(FOLDINGS)}
        full = _full(groups)
        made = (FiringState.FIRING.value, FiringState.RESOLVED.value)
        since = self._desk.clock.now() - self._desk.policy.look_back_seconds
        lost = [
            Put(
                FIRINGS,
                dataclasses.replace(stored.value, state=FiringState.WAITING),
                stored.version,
            )
            for stored in ledger.select(
                FIRINGS,
                where={"state": made},
                order_by="received_at",
                since=since,
                limit=READMIT_MOST,
            )
            if not stored.value.folded
            and stored.value.alarm.alarm_id not in placed
            and not any(begin <= stored.value.alarm.at <= end for begin, end in full)
        ]
        if lost:
            self._desk.commit("watch.readmit", *lost)

    def _waiting(self, sender: str) -> Sequence[Stored[Firing]]:
        where = {"sender": sender, "state": FiringState.WAITING.value}
        return self._desk.ledger.select(FIRINGS, where=where, order_by="received_at", limit=AT_ONCE)

    def _refresh(self) -> None:
        """Bring what fires up to date by what was received since the last look."""
        ledger, now = self._desk.ledger, self._desk.clock.now()
        if self._seen < 0:
            where = {"state": FiringState.FIRING.value}
            found = ledger.select(FIRINGS, where=where, order_by="received_at", limit=200_000)
        else:
            found = ledger.select(
                FIRINGS, order_by="received_at", since=self._seen - 1.0, limit=200_000
            )
        for stored in found:
            self._note(stored.value)
            self._seen = max(self._seen, stored.value.received_at)
        self._seen = max(self._seen, 0.0)
        self._firing = {key: item for key, item in self._firing.items() if now < item[2]}

    def _note(self, firing: Firing) -> None:
        if firing.state is FiringState.FIRING:
            since = firing.alarm.at
            self._firing[firing.firing_id] = (firing.alarm.series, since, firing.expires_at)
        else:
            self._firing.pop(firing.firing_id, None)

    def _take(self, record: Stored[Sender], firings: Sequence[Stored[Firing]]) -> bool:
        """Make alarms of one sender's firings, all in one commit."""
        sender, now = record.value, self._desk.clock.now()
        share = self._shares.get(sender.name, flooding.Share()).copy()
        share.begin(now - self._window)
        writes: list[Write] = []
        taken: list[Firing] = []
        folded, flooded = 0, False
        for stored in firings:
            is_flood = not share.admits(stored.value.alarm.signal)
            firing, more = self._admitted(stored.value, now, is_flood=is_flood)
            if not firing.folded:
                share.add(now, firing.alarm.signal)
            folded += bool(firing.folded)
            flooded |= is_flood
            taken.append(firing)
            writes += [Put(FIRINGS, firing, stored.version), *more]
        if flooded:
            writes.append(Put(ALARMS, self._flood(sender, folded, now)))
        if folded:
            reason = next(firing.folded for firing in taken if firing.folded)
            counted = dataclasses.replace(sender, folded=sender.folded + folded, reason=reason)
            writes.append(Put(SENDERS, counted, record.version))
        if not self._desk.commit("watch.receive", *writes):
            return False
        self._shares[sender.name] = share
        for firing in taken:
            self._note(firing)
        return True

    @property
    def _window(self) -> float:
        return self._desk.policy.join_seconds

    def _admitted(
        self, firing: Firing, now: float, *, is_flood: bool
    ) -> tuple[Firing, list[Write]]:
        """Return a firing after it was taken, and what is written with it."""
        alarm = firing.alarm
        if abs(now - alarm.at) > self._window / 2:
            # An old start, or a clock that is off: it joins what is going on now.
            alarm = dataclasses.replace(alarm, at=now)
        state = FiringState.FIRING if firing.ended_at is None else FiringState.RESOLVED
        firing = dataclasses.replace(firing, alarm=alarm, state=state)
        if is_flood:
            reason = (
                f"more than {flooding.PER_WINDOW:,} alerts of {firing.sender} in {self._window:g} s"
            )
            return dataclasses.replace(firing, folded=reason), []
        judged = self._judge(alarm)
        if judged.vetoed:
            folding = Folding(alarm=judged, at=now, reason=judged.vetoed)
            return dataclasses.replace(firing, folded=judged.vetoed), [Put(FOLDINGS, folding)]
        return dataclasses.replace(firing, alarm=judged), [Put(ALARMS, judged)]

    def _flood(self, sender: Sender, folded: int, now: float) -> Alarm:
        """Return the one alarm of this window that stands for a flood."""
        return Alarm(
            alarm_id=f"A-flood-{sender.name}-{now - now % self._window:.0f}",
            series=f"sender:{sender.name}|flood",
            subject=f"sender:{sender.name}",
            signal="flood of alerts",
            layer=Layer.PLAN,
            at=now,
            value=float(sender.folded + folded),
            unit="",
            test=FOREIGN_TEST + sender.name,
            statistic=0.0,
            p_value=0.0,
            expected_low=0.0,
            expected_high=float(flooding.PER_WINDOW),
            severity=Severity.WARNING,
            message=f"{sender.name} sent more than {flooding.PER_WINDOW:,} alerts in "
            f"{self._window:g} s; those of names that fire most are kept, not grouped one by one",
        )


def _full(groups: Sequence[SuperAlarm]) -> list[tuple[float, float]]:
    """Return the spans of groups, and of their earlier times, that kept only some alarms."""
    full = [(g.opened_at, g.updated_at) for g in groups if len(g.alarms) >= ALARMS_KEPT]
    earlier = [coming for group in groups for coming in group.earlier]
    return full + [(c.opened_at, c.ended_at) for c in earlier if c.count > len(c.alarms)]
