"""What a series remembers of its seasons, as records that outlive the process.

Signals are stored for a week at most, and of many series for hours. So each slot leaves a record of
the few values that stand for it: one a series and season, written again as the season goes on.
"""

from __future__ import annotations

from collections.abc import Sequence

from alarms.detection.settings import DetectionSettings
from engine.model.signals import Season

KEPT_SEASONS = 28
"""Four weeks: as many values of an hour of a weekday are remembered."""
_UNSAVED_MOST = 2
"""Seasons that wait to be stored; where nobody stores them, memory must not grow."""

Slots = dict[int, tuple[float, ...]]


class Records:
    """The records of one series: those to be stored, and up to where it was recalled."""

    def __init__(self, settings: DetectionSettings) -> None:
        self._season_seconds = settings.season_seconds
        self._since = 0
        self._recalled = (-1, -1)
        self._season = -1
        self._slots: Slots = {}
        self._unsaved: dict[int, Slots] = {}

    def note(self, season: int, slot: int, few: Sequence[float]) -> bool:
        """Note the values of a slot that is over; return False where it was recalled already."""
        if (season, slot) <= self._recalled:
            return False
        if season != self._season:
            self._season, self._slots = season, {}
        self._slots[slot] = tuple(few)
        self._unsaved[season] = self._slots
        while len(self._unsaved) > _UNSAVED_MOST:
            del self._unsaved[min(self._unsaved)]
        return True

    def restart(self, season: int) -> None:
        """Let what was before, and in this season up to now, not count any more."""
        self._since = season
        self._slots = {}
        self._unsaved.clear()

    def taken(self, series: str) -> list[Season]:
        """Return what is to be stored since the last call."""
        found = [
            Season(
                series=series,
                number=number,
                expires_at=self._expiry(number),
                slots=tuple(sorted(slots.items())),
                since=self._since,
            )
            for number, slots in self._unsaved.items()
        ]
        self._unsaved.clear()
        return found

    def recalled(self, known: Sequence[Season]) -> list[Season]:
        """Return the records that count, oldest first.

        Those of seasons of another length are of no use.
        """
        found = [one for one in known if one.expires_at == self._expiry(one.number)]
        self._since = max((one.since for one in found), default=0)
        found = sorted((one for one in found if one.number >= self._since), key=lambda s: s.number)
        if found:
            newest = found[-1]
            self._season, self._slots = newest.number, dict(newest.slots)
            self._recalled = (newest.number, max(self._slots, default=-1))
        return found

    def _expiry(self, number: int) -> float:
        return (number + 1 + KEPT_SEASONS) * self._season_seconds
