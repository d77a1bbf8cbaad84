"""Hypothesis 1: a cluster failed."""

from __future__ import annotations

from alarms.grouping.nature import Nature, cluster_of, nature
from alarms.rootcause.facts import Evidence, Facts, Hypothesis, counted
from engine.model.alarms import CauseKind
from engine.model.checks import Check, CheckKind

PRIOR = -1.5


def hypotheses(facts: Facts) -> list[Hypothesis]:
    """Return one hypothesis for every cluster that an alarm of the group comes from."""
    clusters = dict.fromkeys(filter(None, (cluster_of(alarm) for alarm in facts.alarms)))
    return [_cluster(facts, cluster) for cluster in clusters]


def _cluster(facts: Facts, cluster: str) -> Hypothesis:
    evidence = Evidence(PRIOR)
    settled = _reachable(facts, cluster, evidence)
    _victims(facts, cluster, evidence)
    _concentration(facts, cluster, evidence)
    _distribution(facts, evidence)
    _events(facts, cluster, evidence)
    return Hypothesis(
        kind=CauseKind.INFRASTRUCTURE,
        subject=f"cluster:{cluster}",
        title=f"cluster {cluster} failed" if settled else f"trouble on cluster {cluster}",
        weight=evidence.weight,
        evidence_for=tuple(evidence.pro),
        evidence_against=tuple(evidence.contra),
        settle=f"ask the cluster: `berth doctor` ({cluster} must answer)",
        settled=settled,
        check=Check(kind=CheckKind.CLUSTER, subject=f"cluster:{cluster}", since=facts.began_at()),
    )


def _reachable(facts: Facts, cluster: str, evidence: Evidence) -> bool | None:
    """Weigh whether the cluster answers; an outage that is over counts as one."""
    subject = f"cluster:{cluster}"
    known = facts.since(f"{subject}|reachable", facts.started_at)
    refused = [signal for signal in known if signal.value == 0]
    alarms = [alarm for alarm in facts.alarms_of("reachable") if alarm.subject == subject]
    silent = [alarm for alarm in alarms if alarm.test == "silence"]
    if refused or (alarms and not silent):
        count = max(len(refused), len(alarms))
        evidence.supports(6.0, f"{cluster} did not answer ({counted(count, 'refusal')})")
        return True
    if silent:
        evidence.supports(4.0, f"{cluster} says nothing for {silent[0].value:.3g} s")
        return None
    latest = facts.latest(subject, "reachable")
    if latest is None:
        return None
    evidence.opposes(2.0, f"{cluster} answers ({counted(len(known), 'answer')} since the start)")
    return False


def _victims(facts: Facts, cluster: str, evidence: Evidence) -> None:
    """Weigh what was lost on the cluster."""
    here = [alarm for alarm in facts.alarms if cluster_of(alarm) == cluster]
    killed = {alarm.subject for alarm in here if alarm.signal == "exit_killed"}
    if killed:
        evidence.supports(2.0, f"{counted(len(killed), 'task')} on it killed from outside")
    silent = {
        alarm.subject for alarm in here if alarm.test == "silence" and alarm.signal != "reachable"
    }
    if silent:
        evidence.supports(1.5, f"{counted(len(silent), 'subject')} on it fell silent")


def _concentration(facts: Facts, cluster: str, evidence: Evidence) -> None:
    """Weigh how much of the group comes from the cluster, against its part of all subjects."""
    here = sum(cluster_of(alarm) == cluster for alarm in facts.alarms)
    elsewhere = len(facts.alarms) - here
    subjects = {series[-1].subject: series[-1] for series in facts.series}
    mine = sum(signal.labels.get("cluster") == cluster for signal in subjects.values())
    expected = mine / len(subjects) if subjects else 1.0
    seen = here / len(facts.alarms)
    if seen > expected:
        share = f"{here} of {counted(len(facts.alarms), 'alarm')} share it"
        evidence.supports(
            min(0.5, seen - expected), f"{share} (which has {100 * expected:.0f} % of all subjects)"
        )
    if elsewhere > here:
        evidence.opposes(1.0, f"{counted(elsewhere, 'alarm')} come from elsewhere")


def _distribution(facts: Facts, evidence: Evidence) -> None:
    """Values that arrive in another distribution are no sign of a failed machine."""
    moved = {alarm.subject for alarm in facts.alarms if nature(alarm) is Nature.DATA}
    if not moved:
        return
    text = f"{counted(len(moved), 'subject')} of data moved, which no machine does"
    is_all = all(nature(alarm) is Nature.DATA for alarm in facts.alarms)
    evidence.opposes(6.0 if is_all else 2.0, text)


def _events(facts: Facts, cluster: str, evidence: Evidence) -> None:
    for event in facts.events:
        if event.kind == "cluster" and event.subject == f"cluster:{cluster}":
            evidence.supports(1.0, f"{event.message} ({facts.when(event.at)})")
            return
