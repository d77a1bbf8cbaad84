"""Curves of a training: each run of it begins anew, high up, whatever the one before ended with.

Loss and gradient norm fall while a model learns, fast at first. A value is compared with the newest
ones of the same curve: what rises far above them diverges.
"""

from __future__ import annotations

from alarms.detection.settings import DetectionSettings, Meaning
from alarms.detection.trackers import Judgement, LevelTracker
from engine.model.signals import Signal

CURVES = frozenset({"training_loss", "gradient_norm"})
RUN = "run"
"""The label that tells curves of one series apart."""


class CurveTracker:
    """Tests the newest curve of a series against its own past."""

    def __init__(self, settings: DetectionSettings, meaning: Meaning) -> None:
        self._settings = settings
        self._meaning = meaning
        self._run = ""
        self._level = LevelTracker(settings, meaning, has_memory=False)

    def observe(self, signal: Signal, level: float) -> Judgement | None:
        """Test a value, and learn; the first values of a curve are only learned."""
        run = signal.labels.get(RUN, "")
        if run != self._run:
            self._run = run
            self._level = LevelTracker(self._settings, self._meaning, has_memory=False)
        return self._level.observe(signal, level)
