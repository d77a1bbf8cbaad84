"""The hypothesis tree: causes in the order a person on call would try them, with beliefs.

Beliefs are the normalised exponentials of the weights (odds) of all hypotheses, "something
else" among them. The weights are set by hand, in the order of how decisive each kind of
evidence is, and the same for every pipeline; they are no measured frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from alarms.rootcause import data, infrastructure, service
from alarms.rootcause.conversions import Conversion
from alarms.rootcause.facts import Facts, Hypothesis
from engine.model.alarms import Cause, CauseKind, Event, SuperAlarm
from engine.model.signals import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseSettings:
    """Settings of the tree.

    conversions: further conversions of units, tried before the built-in ones.
    causes_most: causes shown, "something else" among them; the least likely are left out.
    """

    conversions: tuple[Conversion, ...] = ()
    causes_most: int = 5


class HypothesisTree:
    """Ranks causes. Port `CauseFinder`; pure."""

    def __init__(self, settings: CauseSettings | None = None) -> None:
        self._settings = settings or CauseSettings()

    def causes(
        self, group: SuperAlarm, signals: Sequence[Signal], events: Sequence[Event]
    ) -> Sequence[Cause]:
        """Return causes by falling belief; of equals the one that is tried first."""
        facts = Facts(group, signals, events)
        found = [
            *infrastructure.hypotheses(facts),
            *data.hypotheses(facts, self._settings.conversions),
            *service.model(facts),
            *service.demand(facts),
            *service.changes(facts),
        ]
        found.sort(key=lambda hypothesis: -hypothesis.weight)
        shown = [*found[: self._settings.causes_most - 1], unknown(facts)]
        total = sum(math.exp(hypothesis.weight) for hypothesis in shown)
        ranked = [_cause(item, math.exp(item.weight) / total) for item in shown]
        return sorted(ranked, key=lambda cause: -cause.belief)


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
    )
