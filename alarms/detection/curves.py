"""Curves of a training: each run of it begins anew, high up, whatever the one before ended with.

Loss and gradient norm fall while a model learns, fast at first, and spike now and then. So neither
their level nor a single value says much. A curve diverges when its newest values are, all of them,
larger than every one of many before. Were nothing the matter, the k largest of n + k values would
stand last with the probability 1 / C(n + k, k), whatever the distribution (a permutation test);
where the curve falls, it is less.
"""

from __future__ import annotations

import math
import statistics
from collections import deque

from alarms.detection.settings import DetectionSettings, Meaning
from alarms.detection.significance import Finding, Judgement
from engine.model.signals import Signal

CURVES = frozenset({"training_loss", "gradient_norm"})
RUN = "run"
"""The label that tells curves of one series apart."""


class CurveTracker:
    """Tests the newest curve of a series against its own past."""

    def __init__(self, settings: DetectionSettings, meaning: Meaning) -> None:
        self._settings = settings
        self._meaning = meaning
        self._begin("")

    def _begin(self, run: str) -> None:
        self._run = run
        self._before: deque[float] = deque(maxlen=self._settings.window_values)
        self._above: list[float] = []

    def observe(self, signal: Signal, level: float) -> Judgement | None:
        """Test the newest values that are above all before; the first ones are only learned."""
        run = signal.labels.get(RUN, "")
        if run != self._run:
            self._begin(run)
        if len(self._before) < self._settings.values_least:
            self._before.append(signal.value)
            return None
        highest, usual = max(self._before), statistics.median(self._before)
        self._above.append(signal.value)
        if signal.value <= highest or len(self._above) > self._settings.adopt_values:
            self._before.extend(self._above)
            self._above.clear()
        count = len(self._above)
        finding = Finding(
            test="newest above all before",
            value=signal.value,
            statistic=float(count),
            p_value=1 / math.comb(len(self._before) + count, count),
            usual=usual,
            low=min(self._before),
            high=max(highest, usual + self._meaning.effect * abs(usual)),
        )
        return Judgement(finding, finding.is_outside(level, self._meaning.worse))
