"""Ages that grow until something new comes: of the newest output, of what a sender sent last.

Such a series is a saw: its level says nothing, but how old things got before the next one came
does. So an age is tested against the highest point of each earlier tooth.
"""

from __future__ import annotations

from alarms.detection import significance
from alarms.detection.memory import Sample
from alarms.detection.settings import DetectionSettings, Meaning
from alarms.detection.significance import Judgement
from alarms.detection.trackers import least_of
from engine.model.signals import Signal

AGES = frozenset({"output_age_seconds", "sender_silent_seconds"})


class AgeTracker:
    """Tests an age against those at which something new came before."""

    def __init__(self, settings: DetectionSettings, meaning: Meaning) -> None:
        self._settings = settings
        self._meaning = meaning
        self._highest = Sample(settings.window_values)
        self._last: float | None = None
        self._streak = 0

    def observe(self, signal: Signal, level: float) -> Judgement | None:
        """Test an age, or learn how old the last one got where something new came.

        An age that was found too high is learned only where that goes on tooth after tooth, which
        is then the pace.
        """
        last, self._last = self._last, signal.value
        if last is not None and signal.value < last:
            self._learn(last, level)
        if len(self._highest) < least_of(self._settings, self._meaning):
            return None
        finding = self._finding(signal.value, level)
        return Judgement(finding, finding.is_outside(level, self._meaning.worse))

    def _learn(self, age: float, level: float) -> None:
        known = len(self._highest) >= least_of(self._settings, self._meaning)
        if known and self._finding(age, level).is_outside(level, self._meaning.worse):
            self._streak += 1
            if self._streak < self._settings.recovery_values:
                return
            self._highest.clear()
        self._streak = 0
        self._highest.add(age)

    def _finding(self, age: float, level: float) -> significance.Finding:
        return significance.gauge(age, self._highest, level=level, effect=self._meaning.effect)
