"""The streaming grouper: alerts of any system, one by one, into super-alarms.

It does constant work an alert and knows nothing beforehand. An alert joins the open super-alarm
of its part of the system (`kinship`, `places`); one opens when nothing fired there for longer
than the gap, or when alarms begin to repeat (`onsets`). Where something always fires, everyday
alarms may be kept apart from events (`events`). Every step is reported with its reason
(`episodes.Change`); nothing is dropped. `super_alarms` puts it behind the port `Grouper`.
"""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alarms.grouping.alert import Alert
from alarms.grouping.episodes import Change, Episode, Reason, Step
from alarms.grouping.events import Events, Placed
from alarms.grouping.onsets import Onsets
from alarms.grouping.places import Places
from alarms.grouping.routine import Novelty, Routines
from engine.model.errors import Fault, InvalidInputError

SENT_MOST = 200_000
"""Firings whose ids are remembered, so that one that is sent again is known."""
EVERYDAY = Novelty(is_rare=False, is_fresh=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """Settings of the streaming grouper.

    Attributes:
        gap_seconds: An event is over when its part of the system was quiet for longer. Rules and
            exporters are mostly evaluated once a minute; the default bridges one that is missed
            by half.
        stretch_seconds: Alarms that fire all day, such as those of an intrusion detector, are one
            super-alarm for an hour after a turning point while they pause for no longer; those
            that fire seldom open their own. 0: all alarms are judged alike.
        decide_seconds: How long it may take to see that a new event began.
        late_seconds: Alerts whose own time is further from that of their arrival are taken at
            arrival: somebody's clock is wrong.
        remember_seconds: Alarms that fired longer ago may be forgotten when memory is full.
        alarms_most: Distinct alarms that are remembered.
    """

    gap_seconds: float = 90.0
    stretch_seconds: float = 0.0
    decide_seconds: float = 300.0
    late_seconds: float = 300.0
    remember_seconds: float = 3_600.0
    alarms_most: int = 4_000_000


class StreamGrouper:
    """Groups alerts as they come. Deterministic; alerts given together may be in any order."""

    def __init__(
        self,
        settings: StreamSettings | None = None,
        *,
        topology: Iterable[tuple[str, str]] = (),
    ) -> None:
        self._settings = settings or StreamSettings()
        self._places = Places(topology, gap_seconds=self._settings.gap_seconds)
        self._onsets = Onsets(
            decide_seconds=self._settings.decide_seconds,
            remember_seconds=self._settings.remember_seconds,
            alarms_most=self._settings.alarms_most,
        )
        stretch_seconds = self._settings.stretch_seconds
        self._routines = Routines(occasion_seconds=stretch_seconds)
        self._events: Events | None = None
        if stretch_seconds > 0:
            self._events = Events(
                self._places,
                gap_seconds=self._settings.gap_seconds,
                stretch_seconds=stretch_seconds,
            )
        self._sent: OrderedDict[str, None] = OrderedDict()
        self._now = -math.inf

    @property
    def open(self) -> Sequence[Episode]:
        """Open super-alarms, the one that was quiet longest first."""
        return self._places.open

    @property
    def alarms(self) -> int:
        """Distinct alarms that are remembered."""
        return self._onsets.alarms

    def extend(self, alerts: Iterable[Alert], now: float | None = None) -> list[Change]:
        """Group alerts; return every step in order.

        Args:
            alerts: In any order. Alerts of one instant are judged together.
            now: When they arrived; without it, their own times are trusted.

        Raises:
            InvalidInputError: The time of an alert is no finite number.
        """
        timed = sorted(
            ((self._time(alert, now), alert.alert_id, alert) for alert in alerts),
            key=lambda item: item[:2],
        )
        changes: list[Change] = []
        for at, together in itertools.groupby(timed, key=lambda item: item[0]):
            self._instant(at, [item[2] for item in together], changes)
        return changes

    def advance(self, now: float) -> list[Change]:
        """Close what has been quiet for longer than the gap; return what was closed."""
        self._now = max(self._now, now)
        changes: list[Change] = []
        self._close_quiet(changes)
        return changes

    def adopt(self, group: str, alerts: Sequence[Alert]) -> list[Change]:
        """Take over a super-alarm that was opened elsewhere, such as before a restart.

        Returns:
            The super-alarms that became one with others by what its alerts name.
        """
        changes: list[Change] = []
        ordered = sorted(alerts, key=lambda alert: (alert.at, alert.alert_id))
        self._now = max(self._now, ordered[-1].at)
        for alert in ordered:
            self._learn(alert, changes)
            self._sent[alert.alert_id] = None
        episode = self._places.take(group, ordered)
        if self._events is not None:
            self._events.adopt(episode)
        self._onsets.take(episode, ordered)
        return changes

    def close(self, group: str) -> None:
        """Let a super-alarm be over, because somebody says so."""
        for episode in self._places.open:
            if episode.group_id == group:
                self._onsets.forget(episode)
                episode.is_gone = True
                if self._events is None:
                    self._places.close(episode)
                else:
                    self._events.end(episode, self._now, Reason.SILENCE)

    def forget(self, alert_id: str) -> None:
        """Forget that a firing was received: it is grouped again when it is sent again."""
        self._sent.pop(alert_id, None)

    def has_place(self, alert: Alert) -> bool:
        """Return whether what an alert is about, or what is near it, was alarmed lately."""
        return self._places.has_place(alert, alert.at)

    def _time(self, alert: Alert, now: float | None) -> float:
        if not math.isfinite(alert.at):
            fault = Fault(
                code="A001",
                message=f"alert {alert.alert_id!r} fired at {alert.at!r}, which is no time",
                fix="send seconds since 1970",
            )
            raise InvalidInputError("alerts", [fault])
        if now is None or abs(alert.at - now) <= self._settings.late_seconds:
            return alert.at
        return now

    def _instant(self, at: float, alerts: Sequence[Alert], changes: list[Change]) -> None:
        """Judge alerts of one instant: learn what is related, place each, look for onsets."""
        self._now = max(self._now, at)
        self._close_quiet(changes)
        fresh = [alert for alert in alerts if self._is_fresh(alert, changes)]
        novelties = [EVERYDAY] * len(fresh)
        if self._events is not None:
            novelties = self._routines.judge(fresh, at)
        parts: list[tuple[bool, Novelty, int, Alert]] = []
        for alert, novelty in zip(fresh, novelties, strict=True):
            number = self._learn(alert, changes)
            parts.append((self._places.is_unknown(number), novelty, number, alert))
        # What has known relations goes first, so that the rest has something to join; and news
        # before what is everyday, which belongs to it then.
        parts.sort(key=lambda item: (item[0], not item[1].is_news, not item[1].is_rare))
        touched: dict[int, Episode] = {}
        for _, novelty, number, alert in parts:
            episode = self._placed(alert, number, at, novelty, changes)
            touched[episode.serial] = episode
        for episode in touched.values():
            self._judge(episode, changes)

    def _learn(self, alert: Alert, changes: list[Change]) -> int:
        """Learn what an alert names together; return the number of its entity."""
        number, merges = self._places.learn(alert)
        self._merge(merges, Reason.BRIDGE, changes)
        return number

    def _merge(
        self, merges: Iterable[tuple[Episode, Episode]], reason: Reason, changes: list[Change]
    ) -> None:
        for older, younger in merges:
            self._onsets.merge(older, younger)
            changes.append(
                Change(
                    step=Step.MERGED,
                    reason=reason,
                    group_id=older.group_id,
                    other_id=younger.group_id,
                )
            )

    def _placed(
        self,
        alert: Alert,
        number: int,
        at: float,
        novelty: Novelty,
        changes: list[Change],
    ) -> Episode:
        """Let an alert join or open a super-alarm."""
        if self._events is None:
            placed = Placed(*self._places.place(alert, number, at))
        else:
            placed = self._events.place(alert, number, at, novelty)
            self._close(placed.over, changes)
        episode, reason = placed.episode, placed.reason
        if placed.is_resumed:
            changes.append(Change(step=Step.RESUMED, reason=reason, group_id=episode.group_id))
        self._merge(placed.merged, reason, changes)
        step = Step.OPENED if reason in {Reason.FIRST, Reason.UNUSUAL} else Step.JOINED
        if self._onsets.suspect(episode, alert):
            step, reason = Step.FOLDED, Reason.DUPLICATE
        episode.count(reason)
        changes.append(
            Change(step=step, reason=reason, group_id=episode.group_id, alert_ids=(alert.alert_id,))
        )
        return episode

    def _judge(self, episode: Episode, changes: list[Change]) -> None:
        """Look, after the alerts of one instant, whether a new event began in an episode."""
        if not self._onsets.begins(episode, self._now):
            return
        if self._events is not None:
            # What is everyday repeats: that begins nothing.
            self._onsets.settle(episode, episode.serial, self._now)
            return
        fresh = self._places.succeed(episode, episode.run)
        moved = self._onsets.settle(episode, fresh.serial, self._now)
        episode.alerts -= len(moved)
        fresh.count(Reason.ONSET, len(moved))
        changes.append(
            Change(
                step=Step.SPLIT,
                reason=Reason.ONSET,
                group_id=fresh.group_id,
                alert_ids=tuple(alert.alert_id for alert in moved),
                other_id=episode.group_id,
            )
        )

    def _is_fresh(self, alert: Alert, changes: list[Change]) -> bool:
        """Return whether this firing was not received before; record it where it was."""
        if alert.alert_id in self._sent:
            changes.append(
                Change(
                    step=Step.FOLDED,
                    reason=Reason.SENT_AGAIN,
                    group_id="",
                    alert_ids=(alert.alert_id,),
                )
            )
            return False
        self._sent[alert.alert_id] = None
        if len(self._sent) > SENT_MOST:
            self._sent.popitem(last=False)
        return True

    def _close_quiet(self, changes: list[Change]) -> None:
        before = self._now - self._settings.gap_seconds
        for episode in self._places.close_quiet(before, self._lasts):
            over = [(episode, Reason.SILENCE)]
            if self._events is not None:
                over = self._events.end(episode, self._now, Reason.SILENCE)
            self._close(over, changes)

    def _close(self, over: Iterable[tuple[Episode, Reason]], changes: list[Change]) -> None:
        for episode, reason in over:
            self._onsets.forget(episode)
            changes.append(Change(step=Step.CLOSED, reason=reason, group_id=episode.group_id))

    def _lasts(self, episode: Episode) -> bool:
        return self._events is not None and self._events.lasts(episode, self._now)
