"""Hypotheses about a run that failed: what the rules on its exit say of the kind of cause."""

from __future__ import annotations

from alarms.rootcause import changes
from alarms.rootcause.facts import Evidence, Facts, Hypothesis
from engine.model.alarms import Alarm, CauseKind
from engine.model.checks import Check, CheckKind
from engine.model.remedies import FailureCause

PRIOR = -1.0
SAID = 2.5
EXPLAINED = 1.5
"""Its own parameters were changed before, which explains it without another cause."""
KINDS = {
    FailureCause.OUT_OF_MEMORY: CauseKind.CONFIGURATION,
    FailureCause.OUT_OF_GPU_MEMORY: CauseKind.CONFIGURATION,
    FailureCause.DISK_FULL: CauseKind.CONFIGURATION,
    FailureCause.TIMED_OUT: CauseKind.CONFIGURATION,
    FailureCause.MISSING_INPUT: CauseKind.DATA,
    FailureCause.USER_ERROR: CauseKind.CODE,
    FailureCause.INFRASTRUCTURE: CauseKind.INFRASTRUCTURE,
}
"""Others say nothing of the kind."""
_CHECKS = {
    CauseKind.CONFIGURATION: CheckKind.CONFIGURATION,
    CauseKind.CODE: CheckKind.CONFIGURATION,
    CauseKind.DATA: CheckKind.SCHEMA,
}


def hypotheses(facts: Facts) -> list[Hypothesis]:
    """Return one hypothesis for each run that failed and of which rules know the kind."""
    found = (_failure(facts, alarm) for alarm in facts.alarms_of("run_failed"))
    return [one for one in found if one is not None]


def _failure(facts: Facts, alarm: Alarm) -> Hypothesis | None:
    cause, task = alarm.labels.get("cause", ""), alarm.labels.get("task", "")
    kind = KINDS.get(FailureCause(cause)) if cause in set(FailureCause) else None
    if kind is None or not task:
        return None
    pipeline = alarm.labels.get("pipeline", "")
    evidence = Evidence(PRIOR)
    words = alarm.labels.get("words", "")
    rule = alarm.labels.get("rule", "")
    evidence.supports(SAID, f"{rule}: {words}" if words else rule)
    if changes.own_parameters(facts, task):
        evidence.opposes(EXPLAINED, f"parameters of {task} were changed before, which explains it")
    check = _CHECKS.get(kind)
    return Hypothesis(
        kind=kind,
        subject=f"task:{pipeline}/{task}",
        title=f"{task} of {pipeline} failed: {cause}",
        weight=evidence.weight,
        evidence_for=tuple(evidence.pro),
        evidence_against=tuple(evidence.contra),
        settle=f"read its last lines: berth logs {alarm.labels.get('run', '')} {task}",
        check=None
        if check is None
        else Check(kind=check, subject=f"pipeline:{pipeline}", since=facts.began_at()),
    )
