"""What a series remembers of itself: bounded samples, sorted, whole and by slot of the season."""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from alarms.detection.records import Records
from alarms.detection.settings import DetectionSettings
from engine.model.signals import Season

NORMAL_MAD = 1.4826
"""Standard deviation of a normal distribution in median absolute deviations."""


FOLLOWING_VALUES = 1_000
"""Values from which it is learned how they follow one another."""
MOST_FOLLOWING = 0.95
WEEK_SEASONS = 7
ERRORS_LEAST = 60
WEEKLY_FROM = 0.8
"""Weeks count instead of days where their error is at most so many times that of days: they know
fewer values, and by chance they may seem a little better."""


def median_sorted(values: list[float]) -> float:
    """Return the median of sorted, non-empty values."""
    middle = len(values) // 2
    if len(values) % 2:
        return values[middle]
    return (values[middle - 1] + values[middle]) / 2


class Sample:
    """The newest values, at most `limit`, with their order statistics."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._arrived: deque[float] = deque()
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._arrived)

    def add(self, value: float) -> None:
        """Remember a value and forget the oldest where there are too many."""
        if len(self._arrived) == self._limit:
            oldest = self._arrived.popleft()
            del self._sorted[bisect.bisect_left(self._sorted, oldest)]
        self._arrived.append(value)
        bisect.insort(self._sorted, value)

    def clear(self) -> None:
        """Forget everything."""
        self._arrived.clear()
        self._sorted.clear()

    @property
    def values(self) -> list[float]:
        """All values, sorted."""
        return self._sorted

    @property
    def total(self) -> float:
        """Sum of the values."""
        return sum(self._sorted)

    def median(self) -> float:
        """Return the median; there must be a value."""
        return median_sorted(self._sorted)

    def deviation(self) -> float:
        """Return the standard deviation that the median absolute deviation stands for."""
        middle = self.median()
        return NORMAL_MAD * median_sorted(sorted(abs(value - middle) for value in self._sorted))


class Following:
    """How values follow the ones before them, of their newest thousand or so.

    What is learned from few values is taken two standard errors below what it seems, so that
    independent values are not taken for ones that follow one another.
    """

    def __init__(self) -> None:
        self._last = self._variance = self._covariance = 0.0
        self._seen = 0

    @property
    def correlation(self) -> float:
        """Correlation of a value with its predecessor, from 0 to below 1."""
        if self._variance <= 0:
            return 0.0
        sure = self._covariance / self._variance - 2 / math.sqrt(self._seen)
        return max(0.0, min(MOST_FOLLOWING, sure))

    def observe(self, rest: float) -> None:
        """Learn from the difference of the next value to what is usual."""
        self._seen = min(self._seen + 1, FOLLOWING_VALUES)
        weight = 1 / self._seen
        self._variance += weight * (self._last * self._last - self._variance)
        self._covariance += weight * (self._last * rest - self._covariance)
        self._last = rest


@dataclass(frozen=True, slots=True)
class Spread:
    """A variance, and the degrees of freedom that it is known with."""

    variance: float
    freedom: float


class Scatter:
    """How far values were from what was usual then, all slots and the newest thousand together.

    The few values of one hour of two days say next to nothing of how far out is far, so that
    their band reaches anywhere. How well all before was foretold moderates it (Smyth 2004).
    """

    def __init__(self) -> None:
        self._square = 0.0
        self._seen = 0

    def observe(self, rest: float) -> None:
        """Learn from the difference of a value to what was usual."""
        self._seen = min(self._seen + 1, FOLLOWING_VALUES)
        self._square += (rest * rest - self._square) / self._seen

    def spread(self, following: float = 0.0) -> Spread:
        """Return what is known, given how values follow one another."""
        worth = self._seen * (1 - following**2) / (1 + following**2)
        return Spread(self._square, worth)


class Seasons:
    """The recent window of a series, and what it was in the same slot of earlier seasons.

    A season is a day; where two weeks are known, the same hour of the same weekday is known as
    well, and counts instead where it foretold the series better than the days did. Values of the
    running season wait outside their slot until the season is over, so that a fault cannot become
    its own reference.
    """

    def __init__(self, settings: DetectionSettings) -> None:
        self._settings = settings
        self.recent = Sample(settings.window_values)
        self._days: dict[int, _Slot] = {}
        self._weeks: dict[tuple[int, int], _Slot] = {}
        self._errors = _Errors()
        self._waiting: deque[tuple[tuple[int, int], float]] = deque(maxlen=4 * settings.slot_values)
        self._records = Records(settings)
        self._newest = 0

    def _place(self, at: float) -> tuple[int, int]:
        season, rest = divmod(at, self._settings.season_seconds)
        slot = int(rest / self._settings.season_seconds * self._settings.season_slots)
        return int(season), slot

    def add(self, at: float, value: float) -> None:
        """Remember a normal value."""
        self.recent.add(value)
        self.note(at, value)

    def note(self, at: float, value: float) -> None:
        """Remember a value for later seasons only: what is odd today may be usual at this hour."""
        place = self._place(at)
        self._newest = place[0]
        self._release(place)
        self._compare(place, (value,))
        self._waiting.append((place, value))

    def _compare(self, place: tuple[int, int], values: Sequence[float]) -> None:
        """Learn which foretell values better, the days or the weeks."""
        day, week = self._known(place)
        if day is None or week is None:
            return
        by_day, by_week = day.median(), week.median()
        for value in values:
            self._errors.observe(abs(value - by_day), abs(value - by_week))

    def _release(self, place: tuple[int, int]) -> None:
        """Move what waits of another slot there: a few order statistics stand for all of it."""
        if not self._waiting or self._waiting[0][0] == place:
            return
        season, slot = self._waiting[0][0]
        values = sorted(value for _, value in self._waiting)
        self._waiting.clear()
        kept = min(len(values), self._settings.season_values)
        few = [values[(2 * number + 1) * len(values) // (2 * kept)] for number in range(kept)]
        if self._records.note(season, slot, few):
            self._take(season, slot, few)

    def _take(self, season: int, slot: int, few: Sequence[float]) -> None:
        """Put the values of one slot where later seasons look for them."""
        limit = self._settings.slot_values
        seasons = self._settings.seasons_least + 1
        self._days.setdefault(slot, _Slot(limit, seasons)).add(season, few)
        weekly = (season % WEEK_SEASONS, slot)
        self._weeks.setdefault(weekly, _Slot(limit // 2, seasons)).add(season, few)

    def _known(self, place: tuple[int, int]) -> tuple[Sample | None, Sample | None]:
        """Return the same slot of earlier days, and of earlier weeks, each where it is known."""
        season, slot = place
        settings = self._settings
        day = self._days.get(slot)
        week = self._weeks.get((season % WEEK_SEASONS, slot))
        return (
            day.sample if day is not None and day.is_known(season, settings) else None,
            week.sample if week is not None and week.is_known(season, settings) else None,
        )

    def reference(self, at: float) -> Sample:
        """Return the same slot of earlier weeks or days where that is known, else the recent."""
        place = self._place(at)
        self._release(place)
        day, week = self._known(place)
        if week is not None and (day is None or self._errors.is_weekly):
            return week
        return day if day is not None else self.recent

    def ago(self, at: float, seasons: int) -> float | None:
        """Return the middle of the same slot so many seasons ago, at most a week; None if unknown.

        Also of a season that was odd: people want to see what was.
        """
        season, slot = self._place(at)
        then = self._weeks.get(((season - seasons) % WEEK_SEASONS, slot))
        return then.middle if then is not None and then.newest == season - seasons else None

    def restart(self) -> None:
        """Forget the recent level: the series has settled at another one."""
        self.recent.clear()
        self._days.clear()
        self._weeks.clear()
        self._errors = _Errors()
        self._waiting.clear()
        self._records.restart(self._newest)

    def remembered(self, series: str) -> list[Season]:
        """Return the seasons that went on since the last call, as records of a series."""
        return self._records.taken(series)

    def recall(self, known: Sequence[Season]) -> None:
        """Take the records of a series from before a restart; what comes again is known."""
        for season in self._records.recalled(known):
            for slot, few in season.slots:
                self._compare((season.number, slot), few)
                self._take(season.number, slot, few)


class _Slot:
    """One slot of the season: a few values of each season, and the middle of the newest."""

    def __init__(self, limit: int, seasons: int) -> None:
        self.sample = Sample(limit)
        self.newest = -1
        self.middle = 0.0
        self._seasons: deque[int] = deque(maxlen=seasons)

    def add(self, season: int, few: Sequence[float]) -> None:
        """Remember the values of a season, in order of size."""
        for value in few:
            self.sample.add(value)
        self.newest, self.middle = season, median_sorted(list(few))
        if not self._seasons or self._seasons[-1] != season:
            self._seasons.append(season)

    def is_known(self, season: int, settings: DetectionSettings) -> bool:
        """Return whether enough earlier seasons, and values of them, are known."""
        earlier = sum(each != season for each in self._seasons)
        return earlier >= settings.seasons_least and len(self.sample) >= settings.values_least


class _Errors:
    """How far values were from the middle of their slot, by days and by weeks."""

    def __init__(self) -> None:
        self._day = self._week = 0.0
        self._seen = 0

    @property
    def is_weekly(self) -> bool:
        """Whether weeks foretell the series better than days."""
        return self._seen >= ERRORS_LEAST and self._week < WEEKLY_FROM * self._day

    def observe(self, day: float, week: float) -> None:
        """Learn from the errors of one value."""
        self._seen = min(self._seen + 1, FOLLOWING_VALUES)
        self._day += (day - self._day) / self._seen
        self._week += (week - self._week) / self._seen
