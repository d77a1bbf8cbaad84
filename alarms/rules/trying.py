"""Rules tried: by the tests that stand in their file, and on what was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from alarms.rules.detection import RuleDetector, holds, judged
from alarms.rules.model import Rule, RuleSet, Trial, Verb, signal_values
from engine.model.alarms import Alarm, Severity
from engine.model.signals import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a test came out.

    found: the severity in the end, None for no alarm. rules: those that touched it.
    """

    trial: Trial
    found: Severity | None
    rules: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether what was expected came out."""
        return self.found is self.trial.expect


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a rule did to recorded signals or alarms, with the first of them as an example."""

    rule: str
    verb: str
    touched: int
    example: str = ""


def outcomes(rules: RuleSet) -> tuple[Outcome, ...]:
    """Return how each test of a file comes out."""
    return tuple(_outcome(rules, trial) for trial in rules.trials)


def _outcome(rules: RuleSet, trial: Trial) -> Outcome:
    if isinstance(trial.given, Alarm):
        found, by = judged(rules, trial.given)
        severity = None if found.vetoed else found.severity
        return Outcome(trial=trial, found=severity, rules=tuple(rule.name for rule in by))
    raised = RuleDetector(rules).observe([trial.given])
    severities = [alarm.severity for alarm in raised]
    return Outcome(
        trial=trial,
        found=max(severities, key=lambda each: each.rank, default=None),
        rules=tuple(alarm.rule for alarm in raised),
    )


def uses(rules: RuleSet, signals: Iterable[Signal], alarms: Iterable[Alarm]) -> tuple[Use, ...]:
    """Return what each rule does to recorded signals and alarms, in the order of the file."""
    touched: dict[str, list[str]] = {rule.name: [] for rule in rules.rules}
    raising = [rule for rule in rules.rules if rule.verb is Verb.RAISE]
    for signal in signals:
        values = {"signal": signal_values(signal)}
        _note(touched, raising, values, f"{signal.series} = {signal.value:g}")
    for alarm in alarms:
        for rule in judged(rules, alarm)[1]:
            touched[rule.name].append(f"{alarm.signal} of {alarm.subject}")
    return tuple(
        Use(
            rule=rule.name,
            verb=rule.verb.value,
            touched=len(touched[rule.name]),
            example=next(iter(touched[rule.name]), ""),
        )
        for rule in rules.rules
    )


def _note(
    touched: Mapping[str, list[str]],
    rules: Iterable[Rule],
    values: Mapping[str, object],
    words: str,
) -> None:
    for rule in rules:
        if holds(rule, values):
            touched[rule.name].append(words)
