"""Hypotheses about a training that loses precision: it diverges, or it learns by heart.

What tells them apart is the loss on what it learns from: it rises with the one and goes on falling
with the other.
"""

from __future__ import annotations

import statistics

from alarms.rootcause.facts import Evidence, Facts, Hypothesis
from engine.model.alarms import Alarm, CauseKind
from engine.model.checks import Check, CheckKind

PRIOR = -1.0
TELLS = 3.0
VALUES = 5
"""Values of the loss that are compared, at the time of the alarm and before."""
ROSE = 1.2
FELL = 0.95


def hypotheses(facts: Facts) -> list[Hypothesis]:
    """Return one hypothesis for each training of which an alarm says that it loses precision."""
    falls: dict[str, Alarm] = {}
    for alarm in facts.alarms_of("precision"):
        if alarm.labels.get("run") and alarm.labels.get("task"):
            falls[alarm.series] = alarm
    return [one for alarm in falls.values() if (one := _fall(facts, alarm)) is not None]


def _fall(facts: Facts, alarm: Alarm) -> Hypothesis | None:
    ratio = _loss_ratio(facts, alarm)
    if ratio is None or FELL < ratio < ROSE:
        return None
    pipeline, task = alarm.labels.get("pipeline", ""), alarm.labels["task"]
    evidence = Evidence(PRIOR)
    if ratio >= ROSE:
        kind, what = CauseKind.CONFIGURATION, "diverges"
        evidence.supports(TELLS, f"its loss is {ratio:.1f} times what it was at its best")
        settle = "run it with a tenth of the learning rate, or with gradients that are clipped"
    else:
        kind, what = CauseKind.MODEL, "learns its records by heart"
        evidence.supports(
            TELLS, f"its loss goes on falling, to {ratio:.2f} of what it was at its best"
        )
        settle = "run it with fewer batches, or with a smaller model"
    evidence.supports(0.5, alarm.message)
    if facts.alarms_of("rows", "nulls_share", "rejected_rows"):
        evidence.opposes(1.5, "what it learns from is alarmed too")
    return Hypothesis(
        kind=kind,
        subject=f"task:{pipeline}/{task}",
        title=f"the training {task} of {pipeline} {what}",
        weight=evidence.weight,
        evidence_for=tuple(evidence.pro),
        evidence_against=tuple(evidence.contra),
        settle=settle,
        check=Check(
            kind=CheckKind.CONFIGURATION, subject=f"pipeline:{pipeline}", since=facts.began_at()
        ),
    )


def _loss_ratio(facts: Facts, alarm: Alarm) -> float | None:
    """Return the loss at the alarm against that before the fall; None where it is not told.

    A loss that is no number any more counts as infinitely large: such values are left out by
    those who measure, so the newest finite ones are what is compared.
    """
    run = alarm.labels["run"]
    known = facts.since(f"{alarm.subject}|loss", float("-inf"))
    losses = [one for one in known if one.labels.get("run", run) == run and one.at <= alarm.at]
    began = facts.onset(alarm)
    before = [one.value for one in losses if one.at < began][-VALUES:]
    newest = [one.value for one in losses if one.at >= began][-VALUES:]
    if not before or not newest:
        return None
    usual = statistics.median(before)
    return statistics.median(newest) / usual if usual > 0 else None
