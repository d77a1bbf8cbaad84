"""Curves of a training: each run of it begins anew, high up, whatever the one before ended with.

Loss and gradient norm fall while a model learns, fast at first, so that their level says little.
What is tested is the rise: a value against the middle of the few, and of the many, newest ones of
the same curve, among all the rises that this curve had. One spike is common; two in a row diverge.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterator

from alarms.detection import significance
from alarms.detection.memory import Sample
from alarms.detection.settings import DetectionSettings, Meaning
from alarms.detection.significance import Finding
from alarms.detection.trackers import Judgement
from engine.model.signals import Signal

CURVES = frozenset({"training_loss", "gradient_norm"})
RATIOS = frozenset({"gradient_norm"})
"""Curves whose rises are told as ratios; a loss may be negative."""
RUN = "run"
"""The label that tells curves of one series apart."""
SPANS = (8, 40)
_LEAST = 1e-300


class CurveTracker:
    """Tests the newest curve of a series against its own past."""

    def __init__(self, settings: DetectionSettings, meaning: Meaning) -> None:
        self._settings = settings
        self._meaning = meaning
        self._begin("")

    def _begin(self, run: str) -> None:
        self._run = run
        self._values: deque[float] = deque(maxlen=max(SPANS))
        self._rises = {span: Sample(self._settings.window_values) for span in SPANS}
        self._streak = 0

    def observe(self, signal: Signal, level: float) -> Judgement | None:
        """Test a value, and learn; the first values of a curve are only learned.

        What is outside is not learned, unless it stays for long.
        """
        run = signal.labels.get(RUN, "")
        if run != self._run:
            self._begin(run)
        ratios = signal.name in RATIOS
        seen = math.log(max(signal.value, _LEAST)) if ratios else signal.value
        findings = list(self._findings(signal.value, seen, level / len(SPANS), ratios=ratios))
        outside = [
            finding
            for finding in findings
            if finding.is_outside(level / len(SPANS), self._meaning.worse)
        ]
        self._streak = self._streak + 1 if outside else 0
        if not outside or self._streak >= self._settings.adopt_values:
            self._learn(seen)
        if not findings:
            return None
        chosen = min(outside or findings, key=lambda finding: finding.p_value)
        return Judgement(chosen, bool(outside) and self._streak >= self._settings.persistence)

    def _learn(self, seen: float) -> None:
        for span, rises in self._rises.items():
            middle = self._middle(span)
            if middle is not None:
                rises.add(seen - middle)
        self._values.append(seen)

    def _middle(self, span: int) -> float | None:
        """Return the middle of so many newest values; None while there are fewer."""
        if len(self._values) < span:
            return None
        return statistics.median(list(self._values)[-span:])

    def _findings(
        self, value: float, seen: float, level: float, *, ratios: bool
    ) -> Iterator[Finding]:
        """Yield the test of the rise over each span that is long enough by now."""
        for span, rises in self._rises.items():
            middle = self._middle(span)
            if middle is None or len(rises) < self._settings.values_least:
                continue
            rise = significance.gauge(seen - middle, rises, level=level, effect=0.0)
            low, high, usual = middle + rise.low, middle + rise.high, middle
            if ratios:
                low, high, usual = _exp(low), _exp(high), _exp(usual)
            margin = self._meaning.effect * abs(usual)
            yield Finding(
                test=f"robust z of {'ratios' if ratios else 'differences'} over {span} steps",
                value=value,
                statistic=rise.statistic,
                p_value=rise.p_value,
                usual=usual,
                low=min(low, usual - margin),
                high=max(high, usual + margin),
            )


def _exp(logarithm: float) -> float:
    bound = significance.LOGARITHM_MOST
    return math.exp(min(max(logarithm, -bound), bound))
