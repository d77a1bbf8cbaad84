"""Heartbeats that stop: series whose missing values are themselves a signal.

Time counts only while anything at all arrives: after a pause of the whole machine nobody was
silent. The p-value is that of so many missing values in a row, at the rate at which values of
this series were missing before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from alarms.detection.memory import Sample
from alarms.detection.settings import DetectionSettings
from alarms.detection.significance import Finding
from engine.model.signals import Signal

INTERVALS = 32
"""Intervals remembered per heartbeat."""
PAUSE_CADENCES = 2.0
"""Longest step of time that counts, in the shortest cadence: a longer one is a pause of all."""


@dataclass(slots=True)
class Heartbeat:
    """One series that should keep talking. `family` is what it is silent against, if anything."""

    signal: Signal
    seen_at: float
    family: str
    intervals: Sample = field(default_factory=lambda: Sample(INTERVALS))
    values: int = 1
    missed: int = 0
    is_silent: bool = False


class Silences:
    """Watches heartbeats over a common clock that only runs while anything arrives."""

    def __init__(self, settings: DetectionSettings) -> None:
        self._settings = settings
        self._beats: dict[str, Heartbeat] = {}
        self._family_seen: dict[str, float] = {}
        self._alive = 0.0
        self._now: float | None = None
        self._cadence_least = float("inf")

    def advance(self, at: float) -> None:
        """Let time pass up to `at`."""
        if self._now is not None and at > self._now:
            self._alive += min(at - self._now, PAUSE_CADENCES * self._cadence_least)
        self._now = at if self._now is None else max(self._now, at)

    def beat(self, signal: Signal, *, family: str = "") -> None:
        """Take a value of a heartbeat."""
        if family:
            self._family_seen[family] = self._alive
        known = self._beats.get(signal.series)
        if known is None:
            self._beats[signal.series] = Heartbeat(signal, self._alive, family)
            return
        interval = self._alive - known.seen_at
        if known.intervals:
            cadence = known.intervals.median()
            if cadence > 0:
                known.missed += max(0, round(interval / cadence) - 1)
        known.intervals.add(interval)
        known.values += 1
        known.seen_at = self._alive
        known.signal = signal
        known.is_silent = False
        # Two signals of one window may carry slightly different times; those are no cadence.
        if len(known.intervals) >= self._settings.silence_values:
            self._cadence_least = min(self._cadence_least, known.intervals.median() or 1e9)

    def silent(self, level: float) -> Iterator[tuple[Signal, Finding]]:
        """Yield heartbeats that have just been found silent, with the last signal of each."""
        for beat in self._beats.values():
            finding = None if beat.is_silent else self._judge(beat, level)
            if finding is not None:
                beat.is_silent = True
                yield beat.signal, finding

    def is_silent(self, series: str) -> bool:
        """Return whether a heartbeat is silent now."""
        beat = self._beats.get(series)
        return beat is not None and beat.is_silent

    def _judge(self, beat: Heartbeat, level: float) -> Finding | None:
        settings = self._settings
        if beat.values <= settings.values_least:
            return None
        cadence = beat.intervals.median()
        elapsed = self._alive - beat.seen_at
        if cadence <= 0 or elapsed < max(
            settings.silence_seconds, (settings.silence_values + 1) * cadence
        ):
            return None
        if beat.family and self._alive - self._family_seen[beat.family] > PAUSE_CADENCES * cadence:
            return None
        missing = int(elapsed / cadence) - 1
        chance = (beat.missed + 1) / (beat.values + beat.missed + 2)
        p_value = chance**missing
        if p_value > level:
            return None
        return Finding(
            test="silence",
            value=elapsed,
            statistic=float(missing),
            p_value=p_value,
            usual=cadence,
            low=0.0,
            high=(settings.silence_values + 1) * cadence,
        )
