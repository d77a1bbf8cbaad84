"""The surprise of the newest value of one series: five views of it and a change of level.

Each view is a distance that should be small: the value from the median of the whole past; the
mean of the newest three from the same time of earlier seasons; the roughness (mean absolute
step) of the newest hours from the same time of earlier seasons, and its logarithm from its
median; the shape of the newest windows from all shapes known. What is large is what was seldom so
large before, so each view learns its own tail. The surprises of the views (-log10 of a
probability) add up, as in Fisher's combination. The cumulative shift stands beside them: it
finds small changes that last. Time and memory are constant; nothing looks ahead.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from alarms.detection.sequences.medians import ThinnedMedian
from alarms.detection.sequences.patterns import PatternMemory
from alarms.detection.sequences.peaks import Peaks
from alarms.detection.sequences.shifts import CumulativeShift
from alarms.detection.sequences.tails import Shape, Tail

ROUGHNESS_FLOOR = 0.01
"""Share of the usual roughness below which a series is as good as still."""
TINY = 1e-12


class View(StrEnum):
    """What was looked at."""

    LEVEL = "level"
    SEASON = "level for this time"
    SEASON_ROUGHNESS = "roughness for this time"
    ROUGHNESS = "roughness"
    PATTERN = "pattern"
    SHIFT = "shift of level"


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceSettings:
    """Sizes of what is compared and remembered; counts are of values unless the name says.

    season_seconds, slots: length of a season and how many levels of it are remembered.
    season_rate: share of the newest season in the remembered level of a slot.
    level_values, season_roughness_values, roughness_values: newest values that are averaged.
    pattern_step, pattern_width: a pattern is so many means of so many values.
    patterns: most patterns remembered.
    kept, least: largest distances remembered of each view, and values before it counts.
    allowance, memory: of the cumulative shift, in standard deviations and values.
    told_from, quiet_values, rise: the surprise from which a value is told, and for how many
        values after it another must be so many times as surprising.
    """

    season_seconds: float = 86_400.0
    slots: int = 288
    season_rate: float = 0.2
    level_values: int = 3
    season_roughness_values: int = 24
    roughness_values: int = 72
    pattern_step: int = 3
    pattern_width: int = 8
    patterns: int = 128
    kept: int = 20
    least: int = 100
    allowance: float = 1.5
    memory: int = 4_000
    told_from: float = 5.5
    quiet_values: int = 288
    rise: float = 1.2


class SequenceDetector:
    """Measures how surprising each value of one series is, given all before it."""

    def __init__(self, settings: SequenceSettings | None = None) -> None:
        settings = settings or SequenceSettings()
        kept, least = settings.kept, settings.least
        # One more than there are: the last instant of a season may be rounded up.
        slots = settings.slots + 1
        self._season_seconds = settings.season_seconds
        self._slots_per_second = settings.slots / settings.season_seconds
        self._season_rate = settings.season_rate
        self._short = settings.season_roughness_values
        self._values = 0
        self._last = 0.0
        self._median, self._rough_median = ThinnedMedian(), ThinnedMedian()
        self._newest = deque[float](maxlen=settings.level_values)
        self._steps = [0.0] * settings.roughness_values
        self._sum_short = self._sum_long = self._sum_all = 0.0
        self._levels, self._roughness, self._seasons = [0.0] * slots, [0.0] * slots, [0] * slots
        self._patterns = PatternMemory(
            step=settings.pattern_step, width=settings.pattern_width, most=settings.patterns
        )
        self._shift = CumulativeShift(
            slots=slots,
            rate=settings.season_rate,
            allowance=settings.allowance,
            memory=settings.memory,
        )
        self._peaks = Peaks(
            least=settings.told_from, quiet_values=settings.quiet_values, rise=settings.rise
        )
        self._tails: dict[View, Tail] = {
            view: Tail(Shape.POWER, kept=kept, least=least) for view in View
        }
        self._tails[View.SHIFT] = Tail(Shape.EXPONENTIAL, kept=kept, least=2 * least)
        self._level_tail = self._tails[View.LEVEL]
        self._season_tail = self._tails[View.SEASON]
        self._season_roughness_tail = self._tails[View.SEASON_ROUGHNESS]
        self._roughness_tail = self._tails[View.ROUGHNESS]
        self._pattern_tail = self._tails[View.PATTERN]
        self._shift_tail = self._tails[View.SHIFT]

    def observe(self, at: float, value: float) -> float:
        """Return the surprise of a finite value, then learn it.

        at: seconds, for the time of the season only.
        """
        slot = int(at % self._season_seconds * self._slots_per_second)
        short, long = self._roughen(value)
        level = self._level_tail.observe(abs(value - self._median.median)) if self._values else 0.0
        self._median.observe(value)
        self._newest.append(value)
        newest = sum(self._newest) / len(self._newest)
        seasonal = rough = 0.0
        seasons = self._seasons[slot]
        if seasons:
            seasonal = self._season_tail.observe(abs(newest - self._levels[slot]))
            rough = self._season_roughness_tail.observe(abs(short - self._roughness[slot]))
        rate = max(self._season_rate, 1 / (seasons + 1))
        self._levels[slot] += rate * (newest - self._levels[slot])
        self._roughness[slot] += rate * (short - self._roughness[slot])
        self._seasons[slot] = seasons + 1
        self._values += 1
        logarithm = math.log(long + ROUGHNESS_FLOOR * self._sum_all / self._values + TINY)
        roughness = self._roughness_tail.observe(abs(logarithm - self._rough_median.median))
        self._rough_median.observe(logarithm)
        distance = self._patterns.observe(value)
        pattern = 0.0 if distance is None else self._pattern_tail.observe(distance)
        shift = self._shift_tail.observe(self._shift.observe(slot, value))
        return max(level + seasonal + rough + roughness + pattern, shift)

    def told(self, at: float, value: float) -> float:
        """As `observe`, but 0 unless the value is worth an alarm: surprising, and no repetition."""
        return self._peaks.told(self.observe(at, value))

    def _roughen(self, value: float) -> tuple[float, float]:
        """Return the mean absolute step of the newest values, few and many."""
        steps, few = self._steps, self._short
        size = len(steps)
        place = self._values % size
        step = abs(value - self._last) if self._values else 0.0
        self._last = value
        self._sum_all += step
        self._sum_short += step - steps[place - few]
        if place:
            self._sum_long += step - steps[place]
            steps[place] = step
        else:
            # Sums are made anew once a round, so that errors of rounding do not add up.
            steps[place] = step
            self._sum_long = sum(steps)
            self._sum_short = step + sum(steps[1 - few :])
        short = max(0.0, self._sum_short) / few
        return short, max(0.0, self._sum_long) / size
