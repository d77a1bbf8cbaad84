"""How a feature moved, and which conversion of units would move it back."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from alarms.grouping.nature import pipeline_of
from alarms.rootcause.conversions import Conversion, candidates
from alarms.rootcause.facts import Facts
from engine.model.alarms import Alarm

RESIDUAL_MAX = 0.5
"""A conversion fits when what is left of the shift is at most so many standard deviations,"""
SAMPLING_ERRORS = 2.0
"""and so many standard errors of the few rows that were seen."""
EXPLAINED_LEAST = 0.6
"""And when it explains at least this part of the shift."""
SETTLED_Z = 4.0
"""A conversion is settled when what is left is at most so many standard errors."""
SETTLED_RESIDUAL = 0.25
"""Or at most so many standard deviations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Mean or median of a feature: where it was trained, where it is, in the same unit."""

    name: str
    reference: float
    deviation: float
    observed: float
    rows: float

    def shift(self, conversion: Conversion | None = None) -> float:
        """Return the shift in standard deviations, after a conversion where one is given."""
        value = self.observed
        if conversion is not None:
            value = conversion.factor * value + conversion.offset
        return (value - self.reference) / self.deviation

    def z(self, conversion: Conversion) -> float:
        """Return what is left after a conversion, in standard errors."""
        widen = math.sqrt(math.pi / 2) if self.name == "median" else 1.0
        return self.shift(conversion) * math.sqrt(self.rows) / widen


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One feature that moved."""

    pipeline: str
    feature: str
    subject: str
    moments: tuple[Moment, ...]
    fitting: tuple[Conversion, ...]
    """Conversions that would move it back, best first."""

    @property
    def size(self) -> float:
        """The largest shift of a moment, in standard deviations."""
        return max((moment.shift() for moment in self.moments), key=abs)

    @property
    def is_settled(self) -> bool | None:
        """Whether the converted values fit the reference; None without a conversion."""
        if not self.fitting:
            return None
        best = self.fitting[0]
        return all(
            abs(moment.z(best)) <= SETTLED_Z or abs(moment.shift(best)) <= SETTLED_RESIDUAL
            for moment in self.moments
        )


def shifts(facts: Facts, more: tuple[Conversion, ...] = ()) -> list[Shift]:
    """Return the features of the group that moved, the largest shift first."""
    found: dict[str, Shift] = {}
    for alarm in facts.alarms_of("feature_median", "feature_mean"):
        if alarm.test != "silence" and alarm.subject not in found:
            shift = _shift(facts, alarm, more)
            if shift is not None:
                found[alarm.subject] = shift
    return sorted(found.values(), key=lambda shift: (-abs(shift.size), shift.subject))


def _shift(facts: Facts, alarm: Alarm, more: tuple[Conversion, ...]) -> Shift | None:
    started = min(other.at for other in facts.alarms if other.subject == alarm.subject)
    feature = alarm.labels.get("feature", alarm.subject.rpartition("/")[2])
    moments = [
        moment
        for name, spread in (("median", "mad"), ("mean", "sd"))
        if (moment := _moment(facts, alarm.subject, started, name, spread)) is not None
    ]
    if not moments:
        return None
    fitting = [
        conversion
        for conversion in dict.fromkeys(candidates(feature, more))
        if _fits(conversion, moments)
    ]
    fitting.sort(
        key=lambda conversion: (
            not conversion.fits_name(feature),
            max(abs(moment.shift(conversion)) for moment in moments),
        )
    )
    return Shift(
        pipeline=pipeline_of(alarm),
        feature=feature,
        subject=alarm.subject,
        moments=tuple(moments),
        fitting=tuple(fitting),
    )


def _fits(conversion: Conversion, moments: list[Moment]) -> bool:
    before = max(abs(moment.shift()) for moment in moments)
    after = max(abs(moment.shift(conversion)) for moment in moments)
    rows = min(moment.rows for moment in moments)
    chance = SAMPLING_ERRORS / math.sqrt(max(rows, 1.0))
    return after <= RESIDUAL_MAX + chance and after <= (1 - EXPLAINED_LEAST) * before


def _moment(facts: Facts, subject: str, started: float, name: str, spread: str) -> Moment | None:
    """Return a moment since the feature's first alarm, where it is known.

    The middle of the windows: one that the change cut in two does not matter.
    """
    reference = facts.latest(subject, f"reference_{name}")
    deviation = facts.latest(subject, f"reference_{spread}")
    windows = facts.since(f"{subject}|feature_{name}", started)
    if reference is None or deviation is None or deviation.value <= 0 or not windows:
        return None
    return Moment(
        name=name,
        reference=reference.value,
        deviation=deviation.value,
        observed=statistics.median(window.value for window in windows),
        rows=sum(window.weight for window in windows),
    )
