"""Hypothesis 5: a training runs away from its optimum, or its machine holds it up."""

from __future__ import annotations

from collections.abc import Iterator

from alarms.grouping.nature import Nature, nature
from alarms.rootcause.facts import Evidence, Facts, Hypothesis, counted
from engine.model.alarms import CauseKind

PRIOR = -1.0
_SIGNALS = ("diverged", "gradient_norm", "training_loss")


def hypotheses(facts: Facts) -> Iterator[Hypothesis]:
    """Yield one hypothesis for each training that diverges.

    Wrong data make a training diverge as well as too large steps do: where its data moved, that
    speaks against its configuration.
    """
    alarms = facts.alarms_of(*_SIGNALS)
    for subject in dict.fromkeys(alarm.subject for alarm in alarms):
        mine = [alarm for alarm in alarms if alarm.subject == subject]
        evidence = Evidence(PRIOR)
        for number, alarm in enumerate(mine):
            evidence.supports(0.5 if number else 3.5, alarm.message)
        moved = {alarm.subject for alarm in facts.alarms if nature(alarm) is Nature.DATA}
        if moved:
            evidence.opposes(3.0, f"{counted(len(moved), 'subject')} of its data moved before it")
        name = subject.partition(":")[2]
        yield Hypothesis(
            kind=CauseKind.CONFIGURATION,
            subject=subject,
            title=f"the training of {name} takes too large steps",
            weight=evidence.weight,
            evidence_for=tuple(evidence.pro),
            evidence_against=tuple(evidence.contra),
            settle=(
                "train from the last checkpoint at a tenth of the learning rate, or with clipped "
                "gradients, for as many steps"
            ),
        )
