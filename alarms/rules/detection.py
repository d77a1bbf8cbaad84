"""Detection as it is used: statistics, then rules that confirm, lower, veto or raise."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence

from alarms.detection.detector import StatisticalDetector
from alarms.detection.settings import DetectionSettings
from alarms.rules.model import Rule, RuleSet, Verb, alarm_values, signal_values
from engine.model import documents
from engine.model.alarms import Alarm, Severity
from engine.model.errors import FinalError
from engine.model.signals import Season, Signal
from engine.ports import Detector, Remembering

_LOG = logging.getLogger(__name__)


class RuleDetector:
    """Raises alarms by rules alone. Port `Detector`.

    A rule that holds on again raises one alarm per refractory time and series.
    """

    def __init__(self, rules: RuleSet, *, refractory_seconds: float = 300.0) -> None:
        self._rules = [rule for rule in rules.rules if rule.verb is Verb.RAISE]
        self._refractory_seconds = refractory_seconds
        self._raised: dict[tuple[str, str], float] = {}
        self._holds: dict[tuple[str, str], float] = {}
        self._last: dict[str, float] = {}

    def use(self, rules: RuleSet) -> None:
        """Raise by other rules from now on; what rules that are gone hold of is over."""
        self._rules = [rule for rule in rules.rules if rule.verb is Verb.RAISE]
        names = {rule.name for rule in self._rules}
        self._holds = {key: since for key, since in self._holds.items() if key[0] in names}

    def observe(self, signals: Sequence[Signal]) -> Sequence[Alarm]:
        """Return an alarm for each rule that begins to hold of a signal."""
        found: list[Alarm] = []
        for signal in signals:
            if not self._rules or signal.at <= self._last.get(signal.series, float("-inf")):
                continue
            self._last[signal.series] = signal.at
            values = {"signal": signal_values(signal)}
            found += [
                raised(rule, signal) for rule in self._rules if self._begins(rule, signal, values)
            ]
        return found

    def abnormal(self) -> Mapping[str, float]:
        """Return the series of which a rule holds, with the time since when."""
        found: dict[str, float] = {}
        for (_, series), since in self._holds.items():
            found[series] = min(since, found.get(series, since))
        return found

    def _begins(self, rule: Rule, signal: Signal, values: Mapping[str, object]) -> bool:
        key = (rule.name, signal.series)
        if not holds(rule, values):
            self._holds.pop(key, None)
            return False
        self._holds.setdefault(key, signal.at)
        last = self._raised.get(key)
        if last is not None and signal.at - last < self._refractory_seconds:
            return False
        self._raised[key] = signal.at
        return True


class Detection:
    """Statistics and rules together. Port `Detector`.

    Every alarm of the statistics passes all rules in the order of the file. One that is vetoed is
    returned as well and says by whom and why, so that no alarm is lost without a trace.
    """

    def __init__(
        self,
        settings: DetectionSettings | None = None,
        rules: RuleSet | None = None,
        *,
        statistics: Detector | None = None,
    ) -> None:
        settings = settings or DetectionSettings()
        self._rules = rules or RuleSet()
        self._statistics = statistics or StatisticalDetector(settings)
        self._raising = RuleDetector(self._rules, refractory_seconds=settings.refractory_seconds)
        self._vetoed: set[str] = set()

    def use(self, rules: RuleSet) -> None:
        """Judge by other rules from now on."""
        self._rules = rules
        self._raising.use(rules)

    def observe(self, signals: Sequence[Signal]) -> Sequence[Alarm]:
        """Return the alarms of statistics and rules in order of time."""
        found = [self.judged(alarm) for alarm in self._statistics.observe(signals)]
        for alarm in found:
            (self._vetoed.add if alarm.vetoed else self._vetoed.discard)(alarm.series)
        return sorted(
            [*found, *self._raising.observe(signals)], key=lambda alarm: (alarm.at, alarm.alarm_id)
        )

    def remembered(self) -> Sequence[Season]:
        """Return what the detector inside remembers, where it does. Port `Remembering`."""
        inside = self._statistics
        return inside.remembered() if isinstance(inside, Remembering) else ()

    def recall(self, seasons: Sequence[Season]) -> None:
        """Remind the detector inside, where it remembers. Port `Remembering`."""
        if isinstance(self._statistics, Remembering):
            self._statistics.recall(seasons)

    def abnormal(self) -> Mapping[str, float]:
        """Return abnormal series with the time since when; vetoed ones are normal."""
        found = {
            series: since
            for series, since in self._statistics.abnormal().items()
            if series not in self._vetoed
        }
        for series, since in self._raising.abnormal().items():
            found[series] = min(since, found.get(series, since))
        return found

    def judged(self, alarm: Alarm) -> Alarm:
        """Return an alarm as the rules leave it; one that they veto says by which, who and why."""
        return judged(self._rules, alarm)[0]


def judged(rules: RuleSet, alarm: Alarm) -> tuple[Alarm, tuple[Rule, ...]]:
    """Return an alarm as rules leave it, and the rules that touched it; a veto is the last."""
    by: list[Rule] = []
    for rule in rules.rules:
        if rule.verb is Verb.RAISE or not holds(rule, {"alarm": alarm_values(alarm)}):
            continue
        by.append(rule)
        if rule.verb is Verb.VETO:
            vetoed = dataclasses.replace(alarm, rule=rule.name, vetoed=f"vetoed by {rule.words}")
            return vetoed, tuple(by)
        alarm = touched(rule, alarm)
    return alarm, tuple(by)


def holds(rule: Rule, values: Mapping[str, object]) -> bool:
    """Return whether a rule's condition holds; one that cannot be evaluated does not."""
    try:
        return rule.condition.holds(values)
    except FinalError as error:
        _LOG.warning("rule %s is left out: %s", rule.name, error.message)
        return False


def touched(rule: Rule, alarm: Alarm) -> Alarm:
    """Return an alarm with the severity a rule gives it, and the rule's reason."""
    wanted = rule.severity or alarm.severity
    choose = max if rule.verb is Verb.CONFIRM else min
    severity = choose((alarm.severity, wanted), key=lambda each: each.rank)
    verb = "confirmed" if rule.verb is Verb.CONFIRM else "lowered"
    return dataclasses.replace(
        alarm,
        severity=severity,
        rule=rule.name,
        message=f"{alarm.message}; {verb} by {rule.words}",
    )


def raised(rule: Rule, signal: Signal) -> Alarm:
    """Return the alarm that a rule raises on a signal; no band is known, so it has no width."""
    key = f"{signal.series}@{signal.at!r}|rule {rule.name}"
    return Alarm(
        alarm_id="A-" + documents.letters(key, 12),
        series=signal.series,
        subject=signal.subject,
        signal=signal.name,
        layer=signal.layer,
        at=signal.at,
        value=signal.value,
        unit=signal.unit,
        test="expert rule",
        statistic=0.0,
        p_value=0.0,
        expected_low=signal.value,
        expected_high=signal.value,
        severity=rule.severity or Severity.WARNING,
        labels=dict(signal.labels),
        rule=rule.name,
        message=f"{signal.name} of {signal.subject} is {signal.value:.4g}; {rule.words}",
    )
