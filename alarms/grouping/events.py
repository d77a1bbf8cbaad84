"""Everyday alarms kept apart from events: where something always fires, a pause says little.

An alarm that is news (`routine`) begins an event. For an hour after a rare one, what fires may
follow from it: everyday alarms are one stretch then until a long pause. At other times a shorter
one ends it. Another rare alarm ends the stretch; after one that is merely unusual it goes on.

An event lasts while alarms of its own, which are not everyday ones, pause for no longer than the
gap; everyday alarms fall into it meanwhile, and never prolong it. A rare event waits longer where
that is short by its own pace: until so many alerts would have been expected as say that it is over.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Set
from dataclasses import dataclass, field

from alarms.grouping.alert import Alert
from alarms.grouping.episodes import Episode, Reason, Unusual
from alarms.grouping.places import Places
from alarms.grouping.routine import Novelty, Rank

AFTERMATH_SECONDS = 3_600.0
"""What fires for so long after a rare alarm may follow from it."""
IDLE_GAPS = 10.0
"""At other times so many gaps end a stretch: short enough that it does not reach far back before
an event, long enough that not every few alarms are a super-alarm."""
MISSED_ALERTS = 20.0
"""An event is over when, at its own pace, so many alerts would have fired in the pause,"""
PACE_SECONDS = 10.0
"""Where a pace is counted over so much more than was seen, since a few alerts at once are none."""
GAPS_MOST = 5.0
"""And never waits for longer than so many gaps."""


@dataclass(slots=True)
class Placed:
    """Where an alert stands, why, and which super-alarms are over."""

    episode: Episode
    reason: Reason
    over: list[tuple[Episode, Reason]] = field(default_factory=list)


class Events:
    """Places alerts, with everyday alarms apart.

    Args:
        places: Where parts of the system are alarmed.
        gap_seconds: A longer pause of its own alarms ends an event.
        stretch_seconds: A longer pause ends a stretch in the aftermath of a rare alarm.
    """

    def __init__(self, places: Places, *, gap_seconds: float, stretch_seconds: float) -> None:
        self._places = places
        self._gap_seconds = gap_seconds
        self._stretch_seconds = stretch_seconds
        self._idle_seconds = min(stretch_seconds, IDLE_GAPS * gap_seconds)
        self._rare_at: OrderedDict[int, float] = OrderedDict()
        """When a rare alarm fired last in a part of the system, the longest ago first."""

    def place(
        self, alert: Alert, number: int, at: float, novelty: Novelty, together: Set[int]
    ) -> Placed:
        """Return where an alert belongs.

        Args:
            alert: What fired.
            number: The number of its entity.
            at: When.
            novelty: What it says.
            together: Alarms of that instant that are not everyday ones, this one among them.
        """
        placed = Placed(*self._places.place(alert, number, at))
        episode, event = placed.episode, placed.episode.unusual
        if event is not None:
            pause = at - event.own_at
            if self._is_of(episode, event, pause, novelty, together):
                event.own_at = max(at, event.own_at)
                event.alarms.add(alert.fingerprint)
                return placed
            if novelty.news is Rank.ROUTINE and pause <= self._gap_seconds:
                return placed
        if novelty.news is not Rank.ROUTINE:
            return self._begun(placed, alert, at, novelty.news)
        if event is not None:
            placed.over += self.end(episode, at, Reason.OVER)
            placed.episode, placed.reason = self._places.place(alert, number, at)
        return placed

    def lasts(self, episode: Episode, now: float) -> bool:
        """Return whether a pause does not end an episode."""
        event = episode.unusual
        if event is None:
            rare_at = self._rare_at.get(episode.part, -math.inf)
            is_aftermath = now - rare_at <= AFTERMATH_SECONDS
            pause_most = self._stretch_seconds if is_aftermath else self._idle_seconds
            return now - episode.newest_at <= pause_most
        return now - event.own_at <= self._patience_seconds(episode, event)

    def end(self, episode: Episode, now: float, reason: Reason) -> list[tuple[Episode, Reason]]:
        """Close an episode; the stretch that it interrupted goes on. Return what is over."""
        self._places.close(episode)
        over = [(episode, reason)]
        stretch = episode.unusual.stretch if episode.unusual is not None else None
        if stretch is not None:
            if self.lasts(stretch, now):
                self._places.resume(stretch)
            else:
                self._places.close(stretch)
                over.append((stretch, Reason.SILENCE))
        return over

    def adopt(self, episode: Episode) -> None:
        """Take an episode that was opened elsewhere for an event."""
        episode.unusual = Unusual(is_rare=True, own_at=episode.newest_at)

    def _is_of(
        self,
        episode: Episode,
        event: Unusual,
        pause_seconds: float,
        novelty: Novelty,
        together: Set[int],
    ) -> bool:
        """Return whether an alert is one of an event's own."""
        if novelty.rank is Rank.ROUTINE:
            return False
        is_rare = novelty.news is Rank.RARE
        if pause_seconds <= self._gap_seconds:
            return event.is_rare or not is_rare
        if pause_seconds > self._patience_seconds(episode, event):
            return False
        # What is rare begins another event by then, unless this one's alarms fire again with it.
        return not is_rare or not event.alarms.isdisjoint(together)

    def _patience_seconds(self, episode: Episode, event: Unusual) -> float:
        if not event.is_rare:
            return 0.0
        pace_seconds = (event.own_at - episode.opened_at + PACE_SECONDS) / max(1, episode.alerts)
        return min(MISSED_ALERTS * pace_seconds, GAPS_MOST * self._gap_seconds)

    def _begun(self, placed: Placed, alert: Alert, at: float, news: Rank) -> Placed:
        """Begin an event in a part of the system, whatever was alarmed there."""
        episode, is_rare = placed.episode, news is Rank.RARE
        if is_rare:
            self._note_rare(episode.part, at)
        fresh = Unusual(is_rare=is_rare, own_at=at, alarms={alert.fingerprint})
        if placed.reason is Reason.FIRST:
            episode.unusual = fresh
            return placed
        begun = Placed(self._places.succeed(episode, [alert]), Reason.UNUSUAL)
        begun.episode.unusual = fresh
        stretch: Episode | None = episode
        if episode.unusual is not None:
            stretch = episode.unusual.stretch
            self._places.close(episode)
            begun.over.append((episode, Reason.UNUSUAL))
        if stretch is None:
            return begun
        if is_rare:
            self._places.close(stretch)
            begun.over.append((stretch, Reason.UNUSUAL))
        else:
            self._places.rest(stretch)
            fresh.stretch = stretch
        return begun

    def _note_rare(self, part: int, at: float) -> None:
        self._rare_at[part] = at
        self._rare_at.move_to_end(part)
        while at - next(iter(self._rare_at.values())) > AFTERMATH_SECONDS:
            self._rare_at.popitem(last=False)
