"""Heartbeats that stop: series whose missing values are themselves a signal.

Time counts only while anything at all arrives: after a pause of the whole machine nobody was
silent. A series of a family (features of one model) is silent only while its siblings speak;
its time runs with theirs. The p-value is that of so many missing values in a row, at the rate at
which values of this series were missing before.
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
class _Running:
    """A clock that stands still while nothing is heard, but for a short step."""

    now: float = 0.0
    heard_at: float | None = None
    cadence_least: float = float("inf")

    def hear(self, at: float) -> None:
        """Let time pass up to `at`, a pause counting for less."""
        if self.heard_at is None:
            self.heard_at = at
        elif at > self.heard_at:
            self.now += min(at - self.heard_at, PAUSE_CADENCES * self.cadence_least)
            self.heard_at = at


@dataclass(slots=True)
class Heartbeat:
    """One series that should keep talking, in the time of the clock it is held against."""

    signal: Signal
    seen_at: float
    clock: _Running
    intervals: Sample = field(default_factory=lambda: Sample(INTERVALS))
    values: int = 1
    missed: int = 0
    is_silent: bool = False


class Silences:
    """Watches heartbeats over a common clock that only runs while anything arrives."""

    def __init__(self, settings: DetectionSettings) -> None:
        self._settings = settings
        self._beats: dict[str, Heartbeat] = {}
        self._everything = _Running()
        self._families: dict[str, _Running] = {}

    def advance(self, at: float) -> None:
        """Let time pass up to `at`."""
        self._everything.hear(at)

    def beat(self, signal: Signal, *, family: str = "") -> None:
        """Take a value of a heartbeat."""
        clock = self._everything
        if family:
            clock = self._families.setdefault(family, _Running())
            clock.hear(signal.at)
        known = self._beats.get(signal.series)
        if known is None:
            self._beats[signal.series] = Heartbeat(signal, clock.now, clock)
            return
        interval = clock.now - known.seen_at
        if known.intervals:
            cadence = known.intervals.median()
            if cadence > 0:
                known.missed += max(0, round(interval / cadence) - 1)
        known.intervals.add(interval)
        known.values += 1
        known.seen_at = clock.now
        known.signal = signal
        known.is_silent = False
        # The first intervals may be those of a start; they set no pace for everybody.
        if len(known.intervals) >= self._settings.silence_values:
            clock.cadence_least = min(clock.cadence_least, known.intervals.median() or 1e9)

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
        elapsed = beat.clock.now - beat.seen_at
        if cadence <= 0 or elapsed < max(
            settings.silence_seconds, (settings.silence_values + 1) * cadence
        ):
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
