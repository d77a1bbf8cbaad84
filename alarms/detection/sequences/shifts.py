"""A cumulative sum of what neither the season nor the last value explains: changes of level.

What is left of a value after its season follows its predecessor (an autoregression of order one,
learned as it goes), so that a series that wanders is not taken for one that changed; what is
left of that is summed up in both directions (Page 1954).
"""

# Comparisons are written out: this runs for every value, and calls of max and min take a tenth of
# its time.
# ruff: noqa: FURB136

from __future__ import annotations

import math
from array import array

SEASONS_LEAST = 2
"""Earlier seasons needed before a slot's own level is used."""
CORRELATION_MOST = 0.99
MEAN_TO_DEVIATION = math.sqrt(math.pi / 2)
"""Standard deviation of normal values in mean absolute deviations."""
CLIPPED_AT = 12.0
"""One value adds at most so many deviations."""
WINSORISED_AT = 3.0
"""Deviations above this do not widen the scale."""
LEARNED_FROM = 30
"""Values needed before anything is summed."""
MEAN_FREE = 100
"""After so many values the mean moves by no more than MEAN_STEP limits of the scale at once."""
MEAN_STEP = 4.0


class CumulativeShift:
    """Page's sums upward and downward over whitened residuals, in their standard deviations.

    allowance: half of the shift, in standard deviations, for which the sums are best.
    memory: values over which mean, scale and correlation are averaged.
    """

    __slots__ = (
        "_allowance",
        "_before",
        "_covariance",
        "_down",
        "_expected",
        "_followed",
        "_last",
        "_levels",
        "_mean",
        "_memory",
        "_rate",
        "_scale",
        "_seasons",
        "_seen",
        "_up",
        "_variance",
        "is_seasonal",
    )

    def __init__(self, *, slots: int, rate: float, allowance: float, memory: int) -> None:
        self._levels = array("d", bytes(8 * slots))
        self._seasons = array("q", bytes(8 * slots))
        self._rate = rate
        self._allowance = allowance
        self._memory = memory
        self._mean = self._scale = self._last = 0.0
        self._variance = self._covariance = 0.0
        self._up = self._down = 0.0
        self._expected = 0.0
        self._before = (0.0, 0.0, 0.0)
        self._seen = self._followed = 0
        self.is_seasonal = False

    def band(self, most: float) -> tuple[float, float, float]:
        """Return what the newest value was expected to be, and the band that keeps the sums small.

        most: the largest sum that is normal.
        """
        up, down, deviation = self._before
        room = most + self._allowance
        low, high = max(0.0, room - down), max(0.0, room - up)
        return self._expected, self._expected - low * deviation, self._expected + high * deviation

    def observe(self, slot: int, value: float) -> float:
        """Return the larger sum with this value, then learn all but the season."""
        if not self._seen:
            self._mean = value
        seasons = self._seasons[slot]
        if seasons >= SEASONS_LEAST and not self.is_seasonal:
            self._begin_season()
        usual = self._levels[slot] if seasons >= SEASONS_LEAST else self._mean
        residual, last = value - usual, self._last
        correlation = 0.0
        # The square of what is next to nothing is nothing, though the covariance is not.
        if self._covariance > 0 and self._variance > 0:
            correlation = min(CORRELATION_MOST, self._covariance / self._variance)
        rest = residual - correlation * last
        self._expected = value - rest
        found = 0.0
        limit = math.inf
        if self._followed > LEARNED_FROM and self._scale > 0:
            deviation = self._scale * MEAN_TO_DEVIATION
            limit = WINSORISED_AT * deviation
            found = self._add(rest, deviation)
        self._seen += 1
        memory = self._memory
        weight = 1 / (self._seen if self._seen < memory else memory)
        width = abs(rest)
        self._scale += weight * ((width if width < limit else limit) - self._scale)
        self._followed += 1
        following = 1 / (self._followed if self._followed < memory else memory)
        self._variance += following * (last * last - self._variance)
        self._covariance += following * (last * residual - self._covariance)
        self._last = residual
        step = value - self._mean
        if self._seen > MEAN_FREE and abs(step) > MEAN_STEP * limit:
            step = math.copysign(MEAN_STEP * limit, step)
        self._mean += weight * step
        return found

    def _add(self, rest: float, deviation: float) -> float:
        """Add what is left of a value to the sums of both directions; return the larger."""
        self._before = (self._up, self._down, deviation)
        size = rest / deviation
        if not -CLIPPED_AT <= size <= CLIPPED_AT:
            size = math.copysign(CLIPPED_AT, size)
        up = self._up + size - self._allowance
        down = self._down - size - self._allowance
        self._up = up = up if up > 0.0 else 0.0
        self._down = down = down if down > 0.0 else 0.0
        return up if up > down else down

    def learn(self, slot: int, mean: float) -> None:
        """Remember the mean of a slot that is over, for later seasons."""
        self._seasons[slot] += 1
        rate = max(self._rate, 1 / self._seasons[slot])
        self._levels[slot] += rate * (mean - self._levels[slot])

    def _begin_season(self) -> None:
        """Forget how residuals followed one another while the season was in them."""
        self.is_seasonal = True
        self._last = self._variance = self._covariance = 0.0
        self._up = self._down = 0.0
        self._followed = 0
