"""The course of one training: whether it loses what it had learned.

The mean of the newest values is held against the best mean of as many before it in the same run.
How much values scatter by themselves is learned from the differences of successive ones (von
Neumann et al. 1941), which a trend hardly moves. The p-value is that of a Student t of the
difference of two means, times the number of means that the best was chosen from (Bonferroni); its
degrees of freedom are cut to the efficiency of a median of steps. A fall must last until no value
is left of those by which it was first seen.
"""

from __future__ import annotations

import math
from collections import deque

from scipy import special

from alarms.detection.significance import Finding, Judgement
from engine.model.signals import Signal

POOLED = 5
"""Newest values whose mean is judged."""
LEAST = 3 * POOLED
"""Values of a run before the first judgement."""
EFFECT = 0.1
"""Smallest loss worth an alarm, in points: what overfitting costs is less."""
TEST = "fall from its own best"
FLOOR = 1e-3
"""Least deviation that is taken for the noise of a run."""
STEPS_KEPT = 50
EFFICIENCY = 0.37
STATISTIC_MOST = 9.0
"""Beyond it a fall is not told again as a worse one: it is as sure as can be."""


class CourseTracker:
    """Judges the values of one run after another. O(1) memory."""

    def __init__(self) -> None:
        self._run: str | None = None
        self._begin("")

    def _begin(self, run: str) -> None:
        self._run = run
        self._newest: deque[float] = deque(maxlen=POOLED)
        self._waiting: deque[float] = deque()
        """Means that share values with the newest one; they are no reference for it yet."""
        self._steps: deque[float] = deque(maxlen=STEPS_KEPT)
        self._best = -math.inf
        self._count = 0
        self._streak = 0

    def observe(self, signal: Signal, level: float) -> Judgement | None:
        """Return the judgement of a value, None while too little of its run is known."""
        run = signal.labels.get("run", "")
        if run != self._run:
            self._begin(run)
        if self._newest:
            self._steps.append(abs(signal.value - self._newest[-1]))
        self._newest.append(signal.value)
        self._count += 1
        if self._count < POOLED:
            return None
        mean = math.fsum(self._newest) / POOLED
        best = self._best
        self._waiting.append(mean)
        if len(self._waiting) > POOLED:
            self._best = max(self._best, self._waiting.popleft())
        if self._count < LEAST:
            return None
        return self._judged(mean, best, level)

    def _judged(self, mean: float, best: float, level: float) -> Judgement:
        # Of a fall half of the steps may be steep: their median tells the noise, scaled for
        # normal values (the median of |x - y| is 0.954 deviations).
        ordered = sorted(self._steps)
        noise = max(ordered[len(ordered) // 2] / 0.954, FLOOR)
        error = noise * math.sqrt(2.0 / POOLED)
        freedom = max(2.0, EFFICIENCY * len(ordered))
        statistic = max(-STATISTIC_MOST, (mean - best) / error)
        tried = max(1, self._count - 2 * POOLED + 1)
        p_value = min(1.0, tried * float(special.stdtr(freedom, (mean - best) / error)))
        quantile = -float(special.stdtrit(freedom, min(0.5, level / tried)))
        low = best - max(EFFECT, quantile * error)
        self._streak = self._streak + 1 if mean < low and p_value <= level else 0
        finding = Finding(
            test=TEST,
            value=mean,
            statistic=statistic,
            p_value=p_value,
            usual=best,
            low=low,
            high=1.0,
        )
        return Judgement(finding, self._streak > POOLED)
