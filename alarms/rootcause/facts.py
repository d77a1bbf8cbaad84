"""What is known when causes are looked for: the group, recent signals by series, events."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from engine.model.alarms import Alarm, CauseKind, Event, Remedy, SuperAlarm
from engine.model.checks import Check, Checked
from engine.model.signals import Signal

ONSET_VALUES = 60
"""Newest values in which it is looked for when something began."""
ONSET_VALUES_LEAST = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """A cause before beliefs are compared; `weight` is the logarithm of its odds.

    A weight of 0 is that of "something else"; 1 is three times as likely, 3 twenty times.
    """

    kind: CauseKind
    subject: str
    title: str
    weight: float
    evidence_for: tuple[str, ...] = ()
    evidence_against: tuple[str, ...] = ()
    settle: str = ""
    settled: bool | None = None
    remedy: Remedy | None = None
    check: Check | None = None
    checked: Checked | None = None


@dataclass(slots=True)
class Evidence:
    """Gathers what speaks for and against a hypothesis, with its weight."""

    weight: float
    pro: list[str] = field(default_factory=list)
    contra: list[str] = field(default_factory=list)

    def supports(self, weight: float, text: str) -> None:
        """Add evidence for."""
        self.weight += weight
        self.pro.append(text)

    def opposes(self, weight: float, text: str) -> None:
        """Add evidence against."""
        self.weight -= weight
        self.contra.append(text)


class Facts:
    """Signals by series in order of time, and the alarms and events of one group."""

    def __init__(
        self, group: SuperAlarm, signals: Iterable[Signal], events: Sequence[Event]
    ) -> None:
        self.group = group
        self.events = tuple(sorted(events, key=lambda event: (event.at, event.event_id)))
        found: dict[tuple[str, str], list[Signal]] = {}
        for signal in signals:
            found.setdefault((signal.subject, signal.name), []).append(signal)
        # Mostly they come in order already, which makes sorting cheap.
        for series in found.values():
            series.sort(key=lambda signal: signal.at)
        self._by_series = {series[0].series: series for series in found.values()}
        self._onsets: dict[str, float] = {}
        self.started_at = min(alarm.at for alarm in group.alarms)

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """The alarms of the group."""
        return self.group.alarms

    @property
    def series(self) -> Iterable[list[Signal]]:
        """Recent signals, one list per series."""
        return self._by_series.values()

    def when(self, at: float) -> str:
        """Return when something was, against the first alarm."""
        ago = self.started_at - at
        return f"{ago:.0f} s before the first alarm" if ago > 0 else "as the first alarm came"

    def latest(self, subject: str, name: str) -> Signal | None:
        """Return the newest signal of a series, or None."""
        known = self._by_series.get(f"{subject}|{name}")
        return known[-1] if known else None

    def since(self, series: str, at: float) -> list[Signal]:
        """Return the signals of a series from a time on."""
        return [signal for signal in self._by_series.get(series, []) if signal.at >= at]

    def onset(self, alarm: Alarm) -> float:
        """Return when what an alarm speaks of began, by its series; its own time if unknown.

        The split of recent values up to the alarm that explains most of their scatter (least
        squares): a test that gathers evidence alarms later than the change.
        """
        if alarm.alarm_id not in self._onsets:
            self._onsets[alarm.alarm_id] = self._onset(alarm)
        return self._onsets[alarm.alarm_id]

    def _onset(self, alarm: Alarm) -> float:
        known = self._by_series.get(alarm.series, [])
        values = [signal.value for signal in known if signal.at <= alarm.at][-ONSET_VALUES:]
        times = [signal.at for signal in known if signal.at <= alarm.at][-ONSET_VALUES:]
        if len(values) < ONSET_VALUES_LEAST:
            return alarm.at
        total, before = math.fsum(values), 0.0
        best, at = 0.0, alarm.at
        for place in range(1, len(values)):
            before += values[place - 1]
            after = total - before
            size = len(values) - place
            gain = (before / place - after / size) ** 2 * place * size
            if gain > best:
                best, at = gain, times[place]
        return at

    def began_at(self) -> float:
        """Return when the first alarm's trouble began."""
        return self.onset(self._first())

    def apart_seconds(self) -> float:
        """Return how far values of what alarmed first are apart: the trouble began in such a time.

        The median of the newest; 0 where its values are not known.
        """
        times = [signal.at for signal in self._by_series.get(self._first().series, [])]
        times = times[-ONSET_VALUES:]
        gaps = [later - at for at, later in itertools.pairwise(times)]
        return statistics.median(gaps) if gaps else 0.0

    def _first(self) -> Alarm:
        return min(self.alarms, key=lambda alarm: (alarm.at, alarm.alarm_id))

    def ratio(self, series: str, since: float) -> float | None:
        """Return the median of the few since a time against the few before; None where unknown.

        Few on both sides: what grows over the hours after is the time of day.
        """
        before = [signal.value for signal in self._by_series.get(series, []) if signal.at < since]
        later = [signal.value for signal in self.since(series, since)]
        if len(before) < ONSET_VALUES_LEAST or not later:
            return None
        usual = statistics.median(before[-ONSET_VALUES_LEAST:])
        return statistics.median(later[:ONSET_VALUES_LEAST]) / usual if usual > 0 else None

    def alarms_of(self, *names: str) -> list[Alarm]:
        """Return the alarms on signals of these names."""
        return [alarm for alarm in self.alarms if alarm.signal in names]


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: `1 task`, `3 tasks`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
