"""What the views of the newest value say, in the words of an alarm: test, p-value, expected band.

The views are not independent, so their sum counts half: its p-value is 10 to the power of minus
half of it, which is on the safe side for white, autocorrelated and seasonal series (benchmark
`alarms.false_alarms`). The view with the largest surprise gives the alarm its name and its band:
what would have been normal in that view, the others being as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from alarms.detection.sequences.shifts import CumulativeShift
from alarms.detection.sequences.tails import Tail
from alarms.detection.significance import Finding

SUM_COUNTS = 0.5
"""Decades of probability in one decade of the sum of surprises of views that depend."""


class View(StrEnum):
    """What was looked at."""

    LEVEL = "level"
    SEASON = "level at this time"
    SEASON_ROUGHNESS = "roughness at this time"
    ROUGHNESS = "roughness"
    PATTERN = "pattern"
    SHIFT = "shift"


Surprises = tuple[float, float, float, float, float, float]
"""-log10 of a probability by view, in the order of `View`."""
Measures = tuple[float, float, float, float, float | None]
"""Newest value, mean of the newest few, roughness of few, log roughness of many, distance."""
Usuals = tuple[float, float, float, float]
"""Median, level and roughness at this time, median of log roughness."""
NOTHING_SEEN: tuple[Surprises, Measures, Usuals] = (
    (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.0, 0.0, 0.0, None),
    (0.0, 0.0, 0.0, 0.0),
)


@dataclass(frozen=True, slots=True)
class Look:
    """One value as all views see it, with the tails that judged it (they have learned it since)."""

    surprises: Surprises
    measures: Measures
    usuals: Usuals
    tails: Mapping[View, Tail]
    shift: CumulativeShift

    @property
    def p_value(self) -> float:
        """Probability of such a value, on the safe side."""
        return math.pow(10.0, -self.decades)

    @property
    def decades(self) -> float:
        """-log10 of the p-value."""
        *views, shift = self.surprises
        return max(SUM_COUNTS * float(sum(views)), shift)

    @property
    def view(self) -> View:
        """The view that says most."""
        *views, shift = self.surprises
        if shift > SUM_COUNTS * sum(views):
            return View.SHIFT
        return list(View)[views.index(max(views))]

    def finding(self, *, level: float, effect: float) -> Finding:
        """Return the finding of the view that says most.

        level: p-value from which a value is abnormal; effect: smallest change that matters, as a
        share of the usual level (for roughness and patterns: smallest size that matters).
        """
        view = self.view
        needed = -math.log10(level)
        if view is View.SHIFT:
            value = self.measures[0]
            usual, low, high = self.shift.band(self.tails[view].reach(needed))
            statistic = self.surprises[-1]
        else:
            *views, _ = self.surprises
            statistic = sum(views)
            rest = needed / SUM_COUNTS - statistic + max(views)
            value, usual, low, high = self._band(view, self.tails[view].reach(max(0.0, rest)))
        margin = effect * abs(self.usuals[0])
        if view in (View.LEVEL, View.SEASON, View.SHIFT):
            low, high = min(low, usual - margin), max(high, usual + margin)
        else:
            high = max(high, margin)
        return Finding(
            test=f"surprise, {view}",
            value=value,
            statistic=math.copysign(statistic, value - usual),
            p_value=self.p_value,
            usual=usual,
            low=low,
            high=high,
        )

    def _band(self, view: View, reach: float) -> tuple[float, float, float, float]:
        """Return the measured value of a view, what is usual, and the band around it."""
        value, newest, short, logarithm, distance = self.measures
        median, level, roughness, log_usual = self.usuals
        if view is View.LEVEL:
            return value, median, median - reach, median + reach
        if view is View.SEASON:
            return newest, level, level - reach, level + reach
        if view is View.SEASON_ROUGHNESS:
            return short, roughness, max(0.0, roughness - reach), roughness + reach
        if view is View.ROUGHNESS:
            band = math.exp(log_usual - reach), math.exp(min(700.0, log_usual + reach))
            return math.exp(logarithm), math.exp(log_usual), *band
        return distance or 0.0, 0.0, 0.0, reach
