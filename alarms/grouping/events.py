"""Everyday alarms kept apart from events: where something always fires, a pause says little.

An alarm that is news (`routine`) begins an event. For an hour after a turning point (`aftermath`),
what fires may follow from it: everyday alarms are one stretch then, until the hour is over, a long
pause, or another turning point. Any other event merely interrupts it. At other times a shorter
pause ends a stretch, and any event does.

An event lasts while alarms of its own, which are not everyday ones, pause for no longer than the
gap; everyday alarms fall into it meanwhile, and never prolong it. It goes on when its own alarms
fire again soon after by its own pace, whatever was opened meanwhile (`recurrence`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from alarms.grouping.aftermath import Aftermaths
from alarms.grouping.alert import Alert
from alarms.grouping.episodes import Episode, Reason, Unusual
from alarms.grouping.places import Places
from alarms.grouping.recurrence import GAPS_MOST, Recurrences
from alarms.grouping.routine import Novelty


@dataclass(slots=True)
class Placed:
    """Where an alert stands and why; what is over by it, part of another, or goes on again."""

    episode: Episode
    reason: Reason
    over: list[tuple[Episode, Reason]] = field(default_factory=list)
    merged: list[tuple[Episode, Episode]] = field(default_factory=list)
    is_resumed: bool = False


class Events:
    """Places alerts, with everyday alarms apart.

    Args:
        places: Where parts of the system are alarmed.
        gap_seconds: A longer pause of its own alarms ends an event.
        stretch_seconds: A longer pause ends a stretch in the aftermath of a turning point.
    """

    def __init__(self, places: Places, *, gap_seconds: float, stretch_seconds: float) -> None:
        self._places = places
        self._gap_seconds = gap_seconds
        self._stretch_seconds = stretch_seconds
        self._idle_seconds = min(stretch_seconds, GAPS_MOST * gap_seconds)
        self._aftermaths = Aftermaths()
        self._recurrences = Recurrences(gap_seconds=gap_seconds)

    def place(self, alert: Alert, number: int, at: float, novelty: Novelty) -> Placed:
        """Return where an alert belongs.

        Args:
            alert: What fired.
            number: The number of its entity.
            at: When.
            novelty: What it says.
        """
        placed = Placed(*self._places.place(alert, number, at))
        if not (novelty.is_rare and self._again(placed, alert, at)):
            self._settle(placed, alert, number, at, novelty)
        event = placed.episode.unusual
        if event is not None and novelty.is_rare:
            event.own_at = max(at, event.own_at)
            event.alarms.add(alert.fingerprint)
            self._aftermaths.weigh(event, alert.name, number, placed.episode.part, at)
            if event.is_turn:
                self._end_stretch(event, placed)
        return placed

    def lasts(self, episode: Episode, now: float) -> bool:
        """Return whether a pause does not end an episode."""
        event = episode.unusual
        if event is not None:
            return now - event.own_at <= self._recurrences.patience_seconds(episode, event)
        is_aftermath = math.isfinite(episode.ends_at)
        pause_most = self._stretch_seconds if is_aftermath else self._idle_seconds
        return now <= episode.ends_at and now - episode.newest_at <= pause_most

    def end(self, episode: Episode, now: float, reason: Reason) -> list[tuple[Episode, Reason]]:
        """Close an episode; the stretch that it interrupted goes on. Return what is over."""
        self._places.close(episode)
        over = [(episode, reason)]
        stretch = episode.unusual.taken() if episode.unusual is not None else None
        if stretch is not None:
            if self.lasts(stretch, now):
                self._places.resume(stretch)
            else:
                self._places.close(stretch)
                over.append((stretch, Reason.SILENCE))
        return over

    def adopt(self, episode: Episode) -> None:
        """Take an episode that was opened elsewhere for an event."""
        episode.unusual = Unusual(own_at=episode.newest_at)

    def _settle(
        self, placed: Placed, alert: Alert, number: int, at: float, novelty: Novelty
    ) -> None:
        """Let an alert that continues no event of before stay, or stand elsewhere."""
        episode, event = placed.episode, placed.episode.unusual
        if event is not None and at - event.own_at <= self._wait_seconds(episode, event, novelty):
            return
        if novelty.is_news:
            self._begin(placed, alert, at)
        elif event is not None or at > episode.ends_at:
            reason = Reason.ELAPSED if event is None else Reason.OVER
            placed.over += self.end(episode, at, reason)
            placed.episode, placed.reason = self._places.place(alert, number, at)
        if placed.reason in {Reason.FIRST, Reason.UNUSUAL}:
            placed.episode.ends_at = self._aftermaths.ends_at(placed.episode.part, at)
            self._recurrences.note(placed.episode)

    def _wait_seconds(self, episode: Episode, event: Unusual, novelty: Novelty) -> float:
        """Return after what pause of its own alarms an alert still belongs to an event."""
        if not novelty.is_rare or novelty.is_news:
            return self._gap_seconds
        return max(self._gap_seconds, self._recurrences.patience_seconds(episode, event))

    def _again(self, placed: Placed, alert: Alert, at: float) -> bool:
        """Let an alert join an event that goes on with it; return whether there is one."""
        before = placed.episode
        found = self._recurrences.find(before.part, alert.fingerprint, at)
        if found is None:
            return False
        if placed.reason is Reason.FIRST:
            self._places.close(before)
        elif before.unusual is None and before not in found.since:
            self._close(before, placed)
        for each in found.since:
            self._places.unite(found.episode, each)
            placed.merged.append((found.episode, each))
        placed.is_resumed = before is not found.episode
        self._places.reopen(found.episode, at)
        placed.episode, placed.reason = found.episode, Reason.RECURRENCE
        return True

    def _begin(self, placed: Placed, alert: Alert, at: float) -> None:
        """Begin an event in a part of the system, whatever was alarmed there."""
        before, event = placed.episode, Unusual(own_at=at)
        if placed.reason is Reason.FIRST:
            before.unusual = event
            return
        placed.episode, placed.reason = self._places.succeed(before, [alert]), Reason.UNUSUAL
        placed.episode.unusual = event
        if before.unusual is None:
            event.stretch = before
            self._places.rest(before)
        else:
            event.stretch = before.unusual.taken()
            self._close(before, placed)
        if event.stretch is not None and math.isinf(event.stretch.ends_at):
            self._end_stretch(event, placed)

    def _end_stretch(self, event: Unusual, placed: Placed) -> None:
        """Let the stretch that an event interrupted be over."""
        stretch = event.taken()
        if stretch is not None:
            self._close(stretch, placed)

    def _close(self, episode: Episode, placed: Placed) -> None:
        self._places.close(episode)
        placed.over.append((episode, Reason.UNUSUAL))
