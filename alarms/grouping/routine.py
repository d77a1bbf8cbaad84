"""Everyday alarms kept apart from events: where something always fires, a pause ends nothing.

A burst is what fires without a pause that is longer than the gap. An alarm is routine once it
began many bursts. Bursts of routine alarms alone are one stretch while they follow one another
within a gap of their own; a burst with any other alarm is an event. It ends the stretch, and
takes with it what fired in the same burst. Background alarms between the steps of an attack, or
of a slow fault, thus neither join them nor fall to pieces.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from alarms.grouping.alert import Alert
from alarms.grouping.episodes import Episode

BURSTS_LEAST = 50
"""Bursts that an alarm began before it is routine."""
BURST_MOST = 10_000
"""Alerts of one routine burst that may still turn out to belong to an event."""


@dataclass(slots=True)
class _Past:
    bursts: int
    at: float


class Routines:
    """Learns which alarms are routine, and tells when a stretch of them is interrupted.

    Args:
        gap_seconds: A longer pause ends a burst.
        stretch_seconds: A longer pause ends a stretch.
        alarms_most: Alarms that are remembered; those that fired longest ago are forgotten.
    """

    def __init__(
        self, *, gap_seconds: float, stretch_seconds: float, alarms_most: int = 200_000
    ) -> None:
        self._gap_seconds = gap_seconds
        self._stretch_seconds = stretch_seconds
        self._alarms_most = alarms_most
        self._past: OrderedDict[int, _Past] = OrderedDict()

    def note(self, episode: Episode, alert: Alert, at: float) -> None:
        """Note that an alert joined an episode."""
        is_routine = self._fired(alert.fingerprint, at)
        if not episode.is_stretch:
            return
        is_over = at - episode.burst_ended_at > self._gap_seconds
        if is_over or len(episode.burst) >= BURST_MOST:
            episode.burst = []
        episode.burst_ended_at = max(at, episode.burst_ended_at)
        episode.burst.append(alert)
        episode.is_interrupted |= not is_routine

    def lasts(self, episode: Episode, now: float) -> bool:
        """Return whether the pause of an episode is too short to end it as a stretch."""
        return episode.is_stretch and now - episode.newest_at <= self._stretch_seconds

    def interrupt(self, episode: Episode) -> list[Alert]:
        """Take a stretch for interrupted; return the alerts that belong to the event instead.

        None do where the event has all of it: then the episode itself is the event.
        """
        burst, episode.burst = episode.burst, []
        episode.is_stretch = episode.is_interrupted = False
        return burst if len(burst) < episode.alerts else []

    def _fired(self, fingerprint: int, at: float) -> bool:
        """Count a firing; return whether its alarm was routine before."""
        past = self._past.pop(fingerprint, None) or _Past(0, -float("inf"))
        is_routine = past.bursts >= BURSTS_LEAST
        past.bursts += at - past.at > self._gap_seconds
        past.at = max(at, past.at)
        self._past[fingerprint] = past
        if len(self._past) > self._alarms_most:
            self._past.popitem(last=False)
        return is_routine
