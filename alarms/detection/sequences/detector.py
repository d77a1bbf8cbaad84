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
from array import array
from collections import deque
from dataclasses import dataclass

from alarms.detection.sequences.looks import NOTHING_SEEN, Look, Measures, Surprises, Usuals, View
from alarms.detection.sequences.medians import ThinnedMedian
from alarms.detection.sequences.patterns import PatternMemory
from alarms.detection.sequences.peaks import Peaks
from alarms.detection.sequences.shifts import CumulativeShift
from alarms.detection.sequences.tails import Shape, Tail

ROUGHNESS_FLOOR = 0.01
"""Share of the usual roughness below which a series is as good as still."""
TINY = 1e-12
SHIFT_LEAST = 4
"""An exponential tail needs so many times as many values as the others before it is trusted."""


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
        self._slot = self._in_slot = 0
        self._slot_newest = self._slot_short = self._slot_value = 0.0
        self._look: tuple[Surprises, Measures, Usuals] = NOTHING_SEEN
        self._median, self._rough_median = ThinnedMedian(), ThinnedMedian()
        self._newest = deque[float](maxlen=settings.level_values)
        self._steps = [0.0] * settings.roughness_values
        self._sum_short = self._sum_long = self._sum_all = 0.0
        self._levels, self._roughness = array("d", bytes(8 * slots)), array("d", bytes(8 * slots))
        self._seasons = array("q", bytes(8 * slots))
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
        self._kept, self._least = kept, least
        self._tails[View.SHIFT] = self._fresh_shift_tail()
        self._level_tail = self._tails[View.LEVEL]
        self._season_tail = self._tails[View.SEASON]
        self._season_roughness_tail = self._tails[View.SEASON_ROUGHNESS]
        self._roughness_tail = self._tails[View.ROUGHNESS]
        self._pattern_tail = self._tails[View.PATTERN]
        self._shift_tail = self._tails[View.SHIFT]

    def _fresh_shift_tail(self) -> Tail:
        return Tail(Shape.EXPONENTIAL, kept=self._kept, least=SHIFT_LEAST * self._least)

    def observe(self, at: float, value: float) -> float:
        """Return the surprise of a finite value, then learn it.

        at: seconds, for the time of the season only.
        """
        slot = int(at % self._season_seconds * self._slots_per_second)
        if slot != self._slot:
            self._end_slot(slot)
        short, long = self._roughen(value)
        median, seasons = self._median.median, self._seasons[slot]
        level_here, roughness_here = self._levels[slot], self._roughness[slot]
        level = self._level_tail.observe(abs(value - median)) if self._values else 0.0
        self._median.observe(value)
        self._newest.append(value)
        newest = sum(self._newest) / len(self._newest)
        season = season_roughness = pattern = 0.0
        if seasons:
            season = self._season_tail.observe(abs(newest - level_here))
            season_roughness = self._season_roughness_tail.observe(abs(short - roughness_here))
        self._in_slot += 1
        self._slot_newest += newest
        self._slot_short += short
        self._slot_value += value
        self._values += 1
        logarithm = math.log(long + ROUGHNESS_FLOOR * self._sum_all / self._values + TINY)
        log_usual = self._rough_median.median
        roughness = self._roughness_tail.observe(abs(logarithm - log_usual))
        self._rough_median.observe(logarithm)
        distance = self._patterns.observe(value)
        if distance is not None:
            pattern = self._pattern_tail.observe(distance)
        shift = self._shift_tail.observe(self._shifted(slot, value))
        sums = (level, season, season_roughness, roughness, pattern, shift)
        measures = (value, newest, short, logarithm, distance)
        self._look = (sums, measures, (median, level_here, roughness_here, log_usual))
        return max(level + season + season_roughness + roughness + pattern, shift)

    def _end_slot(self, following: int) -> None:
        """Remember the means of the slot that is over: only later seasons are held against it."""
        slot, count = self._slot, self._in_slot
        if count:
            seasons = self._seasons[slot] = self._seasons[slot] + 1
            rate = max(self._season_rate, 1 / seasons)
            self._levels[slot] += rate * (self._slot_newest / count - self._levels[slot])
            self._roughness[slot] += rate * (self._slot_short / count - self._roughness[slot])
            self._shift.learn(slot, self._slot_value / count)
        self._slot = following
        self._in_slot = 0
        self._slot_newest = self._slot_short = self._slot_value = 0.0

    def _shifted(self, slot: int, value: float) -> float:
        """Return the cumulative shift; its tail begins anew where the season becomes known."""
        shift = self._shift
        was_seasonal = shift.is_seasonal
        found = shift.observe(slot, value)
        if shift.is_seasonal and not was_seasonal:
            self._shift_tail = self._tails[View.SHIFT] = self._fresh_shift_tail()
        return found

    @property
    def is_ready(self) -> bool:
        """Whether enough was seen of the whole and of the same time of earlier seasons."""
        return self._season_tail.is_ready and self._shift_tail.is_ready

    @property
    def look(self) -> Look:
        """The views of the newest value, for people."""
        sums, measures, usuals = self._look
        return Look(sums, measures, usuals, self._tails, self._shift)

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
