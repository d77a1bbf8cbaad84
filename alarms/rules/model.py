"""A file of rules as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from alarms.rootcause.conversions import Conversion
from engine.expressions.conditions import CompiledExpression
from engine.model.alarms import Alarm, Severity
from engine.model.signals import Signal

LABELS = ("pipeline", "task", "cluster", "pool", "provider", "region", "feature", "model")
"""Labels that conditions read as fields; "" where a signal does not carry them."""
SIGNAL_FIELDS = frozenset({"name", "layer", "subject", "value", "unit", "weight", "at", *LABELS})
"""What `signal.` may be followed by in a condition."""
ALARM_FIELDS = frozenset(
    {
        "signal",
        "layer",
        "subject",
        "value",
        "unit",
        "at",
        "test",
        "statistic",
        "p_value",
        "expected_low",
        "expected_high",
        "severity",
        *LABELS,
    }
)
"""What `alarm.` may be followed by in a condition."""


class Verb(StrEnum):
    """What a rule does."""

    RAISE = "raise"
    """Raise an alarm on a signal, whatever the statistics say."""
    CONFIRM = "confirm"
    """Give an alarm at least this severity."""
    LOWER = "lower"
    """Give an alarm at most this severity."""
    VETO = "veto"
    """Drop an alarm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: who says so, and why, stands in every alarm it touches.

    severity: of `raise`, `confirm` and `lower`; None for `veto`.
    """

    name: str
    verb: Verb
    severity: Severity | None
    condition: CompiledExpression
    by: str
    because: str

    @property
    def words(self) -> str:
        """The rule in words, for the message of an alarm."""
        return f"rule {self.name} of {self.by}: {self.because}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A test that a file of rules brings along: what is given, and what must come of it.

    given: a signal for rules that raise, an alarm for all others.
    expect: the severity in the end; None when there must be no alarm.
    """

    name: str
    given: Signal | Alarm
    expect: Severity | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """Rules in the order of the file, conversions of units for the remedy of data faults, tests."""

    rules: tuple[Rule, ...] = ()
    conversions: tuple[Conversion, ...] = ()
    trials: tuple[Trial, ...] = ()


def signal_values(signal: Signal) -> Mapping[str, object]:
    """Return what a condition may read of a signal."""
    return {
        "name": signal.name,
        "layer": signal.layer.value,
        "subject": signal.subject,
        "value": signal.value,
        "unit": signal.unit,
        "weight": signal.weight,
        "at": signal.at,
        **{label: signal.labels.get(label, "") for label in LABELS},
    }


def alarm_values(alarm: Alarm) -> Mapping[str, object]:
    """Return what a condition may read of an alarm."""
    return {
        "signal": alarm.signal,
        "layer": alarm.layer.value,
        "subject": alarm.subject,
        "value": alarm.value,
        "unit": alarm.unit,
        "at": alarm.at,
        "test": alarm.test,
        "statistic": alarm.statistic,
        "p_value": alarm.p_value,
        "expected_low": alarm.expected_low,
        "expected_high": alarm.expected_high,
        "severity": alarm.severity.value,
        **{label: alarm.labels.get(label, "") for label in LABELS},
    }
