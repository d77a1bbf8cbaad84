"""Values of other systems as signals: one series for each set of labels, totals as rates."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alarms.intake import labels as known_labels
from alarms.intake.samples import Form, Sample
from engine.model.signals import Signal

_KEPT_LABELS = 16
_NAME_CHARACTERS_MOST = 300
_NOT_NAMED = frozenset({"job", "instance", "namespace", "cluster", "region", "provider"})
"""Labels that stand with a signal but do not make another series of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesLimits:
    """Bounds of the series of one sender.

    series_most: series that are watched; values of others are dropped.
    ahead_seconds, behind_seconds: a value whose time is further from ours is dropped, since one
        clock that is off would make all others look late.
    """

    series_most: int = 20_000
    ahead_seconds: float = 300.0
    behind_seconds: float = 3_600.0


@dataclass(slots=True)
class _Series:
    """What a series is called, and its last total."""

    name: str
    subject: str
    labels: Mapping[str, str]
    at: float = -math.inf
    total: float | None = None


class Converter:
    """Makes the values of one sender into signals. Not for several threads at once."""

    def __init__(self, sender: str, limits: SeriesLimits) -> None:
        self._sender = sender
        self._limits = limits
        self._series: dict[tuple[str, str], _Series] = {}

    def signals(self, samples: Sequence[Sample], now: float) -> tuple[list[Signal], Counter[str]]:
        """Return signals in order of time, and how many values were dropped for which reason."""
        found: list[Signal] = []
        dropped: Counter[str] = Counter()
        for sample in sorted(samples, key=lambda one: one.at):
            why = self._fault(sample, now)
            series = None if why else self._known(sample)
            if series is None:
                dropped[why or f"of more than {self._limits.series_most:,} series"] += 1
                continue
            if sample.at <= series.at:
                dropped["older than the last of their series, or repeated"] += 1
                continue
            value = _value(series, sample)
            series.at = sample.at
            if value is not None:
                found.append(self._signal(series, sample, value))
        return found, dropped

    def _fault(self, sample: Sample, now: float) -> str:
        if not (math.isfinite(sample.value) and math.isfinite(sample.at)):
            return "that are no numbers"
        if sample.at > now + self._limits.ahead_seconds:
            return f"from a clock more than {self._limits.ahead_seconds:g} s ahead"
        if sample.at < now - self._limits.behind_seconds:
            return f"older than {self._limits.behind_seconds:g} s"
        return ""

    def _known(self, sample: Sample) -> _Series | None:
        """Return the series of a value; None for a new one when there are too many."""
        key = (sample.name, known_labels.fingerprint(sample.labels))
        found = self._series.get(key)
        if found is None and len(self._series) < self._limits.series_most:
            labels = known_labels.bounded(sample.labels)
            subject, told = known_labels.subject_of(labels, self._sender)
            others = sorted(set(labels) - told - _NOT_NAMED)
            name = known_labels.cut(sample.name)
            if others:
                name += "{" + ",".join(f"{label}={labels[label]}" for label in others) + "}"
            if len(name) > _NAME_CHARACTERS_MOST:
                name = f"{name[: _NAME_CHARACTERS_MOST - 9]}~{key[1][:8]}"
            kept = dict(list(labels.items())[:_KEPT_LABELS])
            found = self._series[key] = _Series(name=name, subject=subject, labels=kept)
        return found

    def _signal(self, series: _Series, sample: Sample, value: float) -> Signal:
        is_rate = sample.form is not Form.LEVEL
        return Signal(
            name=f"{series.name}_per_second" if is_rate else series.name,
            layer=known_labels.layer_of(series.labels),
            subject=series.subject,
            at=sample.at,
            value=value,
            unit=f"{sample.unit}/s" if is_rate else sample.unit,
            labels=series.labels,
        )


def _value(series: _Series, sample: Sample) -> float | None:
    """Return the level, or how fast a total grew since the value before; None for the first."""
    if sample.form is Form.LEVEL:
        return sample.value
    seconds = sample.at - series.at
    if sample.form is Form.DELTA:
        return sample.value / seconds if math.isfinite(seconds) else None
    before, series.total = series.total, sample.value
    if before is None:
        return None
    # A total that fell began anew from 0.
    grown = sample.value - before if sample.value >= before else sample.value
    return grown / seconds
