"""The hypothesis tree: causes in the order a person on call would try them, with beliefs.

Beliefs are the normalised exponentials of the weights (odds) of all hypotheses, "something
else" among them. The weights are set by hand, in the order of how decisive each kind of
evidence is, and the same for every pipeline; they are no measured frequencies.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alarms.rootcause import (
    calls,
    changes,
    checked,
    components,
    data,
    failures,
    falls,
    infrastructure,
    nodes,
    patterns,
    service,
    sources,
    trainings,
)
from alarms.rootcause.conversions import Conversion
from alarms.rootcause.facts import Facts, Hypothesis
from alarms.rootcause.memory import Memory
from alarms.rootcause.trust import Trust
from engine.model.alarms import Cause, CauseKind, Event, SuperAlarm
from engine.model.feedback import CheckFeedback
from engine.model.signals import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseSettings:
    """Settings of the tree.

    conversions: further conversions of units, tried before the built-in ones.
    calls: caller and callee of known calls, beside those that labels tell.
    causes_most: causes shown, "something else" among them; the least likely are left out.
    day_seconds: within which one change of a thing is usual.
    """

    conversions: tuple[Conversion, ...] = ()
    calls: tuple[tuple[str, str], ...] = ()
    causes_most: int = 5
    day_seconds: float = 86_400.0

    def scaled(self, factor: float) -> CauseSettings:
        """Return settings for a clock that is `factor` times as fast."""
        return dataclasses.replace(self, day_seconds=self.day_seconds / factor)


class HypothesisTree:
    """Ranks causes, of Berth's own alarms and of alerts of any system. Port `CauseFinder`.

    Pure but for what `learn` told it of the past.
    """

    def __init__(self, settings: CauseSettings | None = None) -> None:
        self._settings = settings or CauseSettings()
        self._memory = Memory()
        self._trust = Trust()

    def learn(self, past: Sequence[SuperAlarm], verdicts: Mapping[str, bool]) -> None:
        """Learn from super-alarms that are over, oldest first. Port `Learner`."""
        self._memory.learn(past, verdicts)

    def learn_checks(self, given: Sequence[CheckFeedback]) -> None:
        """Learn which checks to believe, oldest word first. Port `CheckLearner`."""
        self._trust.learn(given)

    def causes(
        self, group: SuperAlarm, signals: Sequence[Signal], events: Sequence[Event]
    ) -> Sequence[Cause]:
        """Return causes by falling belief; of equals the one that is tried first."""
        facts = Facts(group, signals, events)
        found = [
            *infrastructure.hypotheses(facts),
            *nodes.hypotheses(facts),
            *data.hypotheses(facts, self._settings.conversions),
            *sources.hypotheses(facts),
            *trainings.hypotheses(facts),
            *service.model(facts, self._settings.day_seconds),
            *service.demand(facts),
            *falls.hypotheses(facts),
            *failures.hypotheses(facts),
            *changes.hypotheses(facts, self._settings.day_seconds),
            *components.hypotheses(facts, self._memory),
            *calls.hypotheses(facts, self._settings.calls),
        ]
        found = patterns.weighed(facts, _distinct(found), self._memory)
        found = checked.weighed(found, group, self._trust)
        found.sort(key=lambda hypothesis: -hypothesis.weight)
        shown = [*found[: self._settings.causes_most - 1], unknown(facts)]
        total = sum(math.exp(hypothesis.weight) for hypothesis in shown)
        ranked = [_cause(item, math.exp(item.weight) / total) for item in shown]
        return sorted(ranked, key=lambda cause: -cause.belief)


def _distinct(found: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Return hypotheses without those that say the same of the same as a likelier one."""
    kept: dict[tuple[str, str], Hypothesis] = {}
    for one in sorted(found, key=lambda each: -each.weight):
        kept.setdefault((one.kind.value, one.subject), one)
    return [one for one in found if kept[one.kind.value, one.subject] is one]


def unknown(facts: Facts) -> Hypothesis:
    """Return the hypothesis that it is something else; its odds are the unit of all weights."""
    worst = min(facts.alarms, key=lambda alarm: (alarm.at, alarm.alarm_id))
    return Hypothesis(
        kind=CauseKind.UNKNOWN,
        subject=worst.subject,
        title="something else",
        weight=0.0,
        settle=f"start at the first alarm: {worst.message}",
    )


def _cause(hypothesis: Hypothesis, belief: float) -> Cause:
    return Cause(
        kind=hypothesis.kind,
        subject=hypothesis.subject,
        title=hypothesis.title,
        belief=belief,
        evidence_for=hypothesis.evidence_for,
        evidence_against=hypothesis.evidence_against,
        settle=hypothesis.settle,
        settled=hypothesis.settled,
        remedy=hypothesis.remedy,
        check=hypothesis.check,
        checked=hypothesis.checked,
    )
