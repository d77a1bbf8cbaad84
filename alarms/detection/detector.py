"""The statistical detector: signals in, alarms out."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alarms.detection import choosing, schemas, trackers
from alarms.detection.settings import COURSES, DetectionSettings, Meaning
from alarms.detection.significance import Finding
from alarms.detection.silence import Silences
from alarms.detection.trackers import LevelTracker, Tracker
from engine.model import documents
from engine.model.alarms import Alarm
from engine.model.signals import Season, Signal

_LOG = logging.getLogger(__name__)
LARGE = 1e6
"""Statistics from here on are told by their size only."""
TINY_SHARE = 1e-6
"""A bound that is a smaller part of the value is as good as 0."""
RISE = 1.2
"""A repeated alarm must be so many times as extreme as anything since the last one,"""
WORSENED = 2.0
"""and while the series never was normal again, so many times: one trouble is one alarm."""


@dataclass(slots=True)
class Condition:
    """How a series stands: since when it is abnormal, and what was said about it already.

    trouble, peak: the way of the last alarm, and the size of its statistic.
    """

    since: float | None = None
    outside_at: float = 0.0
    alarmed_at: float | None = None
    trouble: str = ""
    peak: float = 0.0
    normal_values: int = 0


class StatisticalDetector:
    """Tests every series against its own past or its measured reference.

    Port `Detector`. Memory is bounded per series. Signals of a series that are not newer than
    the last one are ignored, so that observing something twice changes nothing.
    """

    def __init__(self, settings: DetectionSettings | None = None) -> None:
        self._settings = settings or DetectionSettings()
        self._trackers: dict[str, Tracker] = {}
        self._conditions: dict[str, Condition] = {}
        self._last: dict[str, float] = {}
        self._references: dict[str, dict[str, Signal]] = {}
        self._silences = Silences(self._settings)
        self._recalled: dict[str, list[Season]] = {}
        self._untestable: set[str] = set()
        self._now = float("-inf")

    def observe(self, signals: Sequence[Signal]) -> Sequence[Alarm]:
        """Return the alarms that these signals raise, in the order of the signals."""
        alarms: list[Alarm] = []
        for signal in signals:
            # A value that is no number is a missing one: its silence is what tells.
            is_old = signal.at <= self._last.get(signal.series, float("-inf"))
            if is_old or not (math.isfinite(signal.value) and math.isfinite(signal.at)):
                continue
            if signal.at > self._now:
                self._now = signal.at
                self._silences.advance(signal.at)
                alarms.extend(self._silent())
            self._last[signal.series] = signal.at
            alarms.extend(self._judge(signal))
        return alarms

    def remembered(self) -> Sequence[Season]:
        """Return what is new of the seasons of all series. Port `Remembering`."""
        return [
            season
            for series, tracker in self._trackers.items()
            if isinstance(tracker, LevelTracker)
            for season in tracker.remembered(series)
        ]

    def recall(self, seasons: Sequence[Season]) -> None:
        """Take the seasons of series before their first signal. Port `Remembering`."""
        for season in seasons:
            self._recalled.setdefault(season.series, []).append(season)

    def abnormal(self) -> Mapping[str, float]:
        """Return abnormal series with the time since when."""
        settings = self._settings
        found: dict[str, float] = {}
        for series, condition in self._conditions.items():
            if condition.since is None:
                continue
            age = self._now - condition.outside_at
            event = series in self._events()
            limit = settings.refractory_seconds if event else settings.forget_seconds
            if self._silences.is_silent(series) or age < limit:
                found[series] = condition.since
        return found

    def _events(self) -> frozenset[str]:
        """Return series that only speak when something happens: silence is normal there."""
        return frozenset(
            series
            for series in self._conditions
            if self._is_event(self._settings.meanings.get(series.rpartition("|")[2]))
            or series.rpartition("|")[2] in COURSES
        )

    @staticmethod
    def _is_event(meaning: Meaning | None) -> bool:
        return meaning is not None and meaning.normal is not None and not meaning.heartbeat

    def _level(self) -> float:
        """Return the level of one test: that of a step, divided among all series."""
        return self._settings.level / max(1, len(self._trackers))

    def _silent(self) -> list[Alarm]:
        found: list[Alarm] = []
        for signal, finding in self._silences.silent(self._level()):
            alarm = self._raise(signal, finding, at=self._now)
            if alarm is not None:
                found.append(alarm)
        return found

    def _judge(self, signal: Signal) -> list[Alarm]:
        if signal.name in trackers.REFERENCES:
            self._references.setdefault(signal.subject, {})[signal.name] = signal
            return []
        meaning = self._settings.meaning(signal)
        if meaning.heartbeat:
            self._silences.beat(signal)
        elif signal.name in trackers.FEATURES:
            pipeline = signal.labels.get("pipeline", signal.subject.rpartition("/")[0])
            self._silences.beat(signal, family=f"{pipeline}|{signal.name}")
        tracker = self._trackers.get(signal.series)
        if tracker is None:
            tracker = choosing.tracker_for(signal, self._settings, self._references)
            self._trackers[signal.series] = tracker
            recalled = self._recalled.pop(signal.series, ())
            if isinstance(tracker, LevelTracker):
                tracker.recall(recalled)
        try:
            judgement = tracker.observe(signal, self._level())
        except (ArithmeticError, ValueError) as error:
            self._give_up(signal, error)
            return []
        if judgement is None or not judgement.outside:
            self._calm(signal)
            return []
        alarm = self._raise(signal, judgement.finding, at=signal.at)
        return [] if alarm is None else [alarm]

    def _give_up(self, signal: Signal, error: Exception) -> None:
        """Begin anew with a series that nobody can compute with: all others are watched on.

        A share of 95, which was meant in percent, is such a value.
        """
        del self._trackers[signal.series]
        if signal.series not in self._untestable:
            self._untestable.add(signal.series)
            _LOG.warning(
                "%s is not tested: %g as a %s of weight %g cannot be (%s)",
                signal.series,
                signal.value,
                signal.shape.value,
                signal.weight,
                error,
            )

    def _calm(self, signal: Signal) -> None:
        """Note a normal value; after some of them the series is normal again."""
        condition = self._conditions.get(signal.series)
        if condition is None:
            return
        condition.normal_values += 1
        settings = self._settings
        if (
            condition.normal_values >= settings.recovery_values
            or signal.at - condition.outside_at >= settings.refractory_seconds
        ):
            condition.since = None

    def _raise(self, signal: Signal, finding: Finding, *, at: float) -> Alarm | None:
        """Return an alarm unless it repeats what was said already."""
        condition = self._conditions.setdefault(signal.series, Condition())
        meaning = self._settings.meaning(signal)
        # What another run does is another trouble.
        trouble = f"{trouble_of(finding)} {signal.labels.get('run', '')}".rstrip()
        factor = 0.0
        if trouble == condition.trouble:
            factor = self._factor(condition, at, is_event=self._is_event(meaning))
        if condition.since is None:
            condition.since = at
        condition.outside_at = at
        condition.normal_values = 0
        magnitude = abs(finding.statistic)
        if magnitude <= factor * condition.peak:
            return None
        condition.peak = magnitude
        condition.trouble = trouble
        condition.alarmed_at = at
        return alarm_of(signal, finding, meaning, at=at)

    def _factor(self, condition: Condition, at: float, *, is_event: bool) -> float:
        """Return how many times as extreme as what was said already an alarm must be."""
        settings = self._settings
        lasts = condition.since is not None and not is_event
        if lasts and at - condition.outside_at < settings.forget_seconds:
            return WORSENED
        alarmed_at = condition.alarmed_at
        if alarmed_at is not None and at - alarmed_at < settings.refractory_seconds:
            return RISE
        return 0.0


def trouble_of(finding: Finding) -> str:
    """Return in which way a series is abnormal: one alarm says each."""
    if finding.test == "silence":
        return "silent"
    return "high" if finding.statistic > 0 else "low"


def alarm_of(signal: Signal, finding: Finding, meaning: Meaning, *, at: float) -> Alarm:
    """Return the alarm of a finding. Its id follows from series, time and test alone."""
    unit = "s" if finding.test == "silence" else signal.unit
    low, high = band_of(finding)
    return Alarm(
        alarm_id="A-" + documents.letters(f"{signal.series}@{at!r}|{finding.test}", 12),
        series=signal.series,
        subject=signal.subject,
        signal=signal.name,
        layer=signal.layer,
        at=at,
        value=finding.value,
        unit=unit,
        test=finding.test,
        statistic=finding.statistic,
        p_value=finding.p_value,
        expected_low=low,
        expected_high=high,
        severity=meaning.severity,
        labels={key: text for key, text in signal.labels.items() if key != schemas.LABEL},
        message=message_of(signal, finding, unit),
    )


def band_of(finding: Finding) -> tuple[float, float]:
    """Return the expected band; a bound that is next to nothing beside the value is 0.

    Tests of series that stand still use a least deviation, which tells people nothing.
    """
    least = TINY_SHARE * abs(finding.value)
    low, high = (0.0 if abs(bound) < least else bound for bound in (finding.low, finding.high))
    return low, high


def message_of(signal: Signal, finding: Finding, unit: str) -> str:
    """Return one sentence: what was seen, what is normal, and the test that says so."""
    measure = f" {unit}" if unit else ""
    if finding.test == "silence":
        return (
            f"{signal.name} of {signal.subject} is silent for {finding.value:.3g} s; it came "
            f"every {finding.usual:.3g} s ({finding.statistic:.0f} values missing, "
            f"p = {finding.p_value:.1g})"
        )
    if finding.test == "declared state":
        return f"{signal.name} of {signal.subject} is {finding.value:g}, not {finding.usual:g}"
    if finding.test == schemas.TEST:
        return f"the columns of {signal.subject} changed: {finding.said}"
    low, high = band_of(finding)
    statistic = f"{finding.statistic:+{'.1f' if abs(finding.statistic) < LARGE else '.1e'}}"
    return (
        f"{signal.name} of {signal.subject} is {finding.value:.4g}{measure}; normal is "
        f"{f'{low:.4g} to {high:.4g}' if low < high else f'{low:.4g}'} "
        f"({finding.test}: {statistic}, p = {finding.p_value:.1g})"
        f"{f'; {finding.said}' if finding.said else ''}"
    )
