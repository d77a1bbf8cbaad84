"""Hypothesis 1, one machine: it says what is wrong with it, or who measures says nothing."""

from __future__ import annotations

from collections.abc import Iterator

from alarms.rootcause.facts import Evidence, Facts, Hypothesis
from engine.model.alarms import Alarm, CauseKind

PRIOR = -1.5
_WORDS = {
    "node_not_ready": "is not ready",
    "node_memory_pressure": "runs out of memory",
    "node_disk_pressure": "runs out of disk",
    "node_pid_pressure": "runs out of process ids",
    "node_network_unavailable": "has no network",
    "node_kernel_deadlock": "has a deadlock in its kernel",
    "node_disk_readonly": "cannot write to its disk",
    "sender_silent_seconds": "sends nothing any more",
    "source_reachable": "does not answer",
    "gpu_memory_errors": "has memory that loses what it holds",
}
_WELL = {"source_reachable": 1.0}
_SETTLES = {
    "node": "`kubectl describe node {name}`: conditions and events",
    "sender": "`berth doctor`, and the log of {name}",
    "gpu": "`nvidia-smi -q -d ECC`, then drain it",
}


def hypotheses(facts: Facts) -> Iterator[Hypothesis]:
    """Yield one hypothesis for each machine that says what is wrong with it."""
    alarms = facts.alarms_of(*_WORDS)
    for subject in dict.fromkeys(alarm.subject for alarm in alarms):
        yield _machine(facts, [alarm for alarm in alarms if alarm.subject == subject])


def _machine(facts: Facts, mine: list[Alarm]) -> Hypothesis:
    subject = mine[0].subject
    kind, _, name = subject.partition(":")
    said = list(dict.fromkeys(_WORDS[alarm.signal] for alarm in mine))
    evidence = Evidence(PRIOR)
    for number, alarm in enumerate(mine):
        reason = alarm.labels.get("reason", "")
        evidence.supports(
            0.5 if number else 5.0, alarm.message + (f" ({reason})" if reason else "")
        )
    newest = [facts.latest(subject, alarm.signal) for alarm in mine]
    if all(signal is not None and signal.value == _WELL.get(signal.name, 0.0) for signal in newest):
        evidence.opposes(0.5, f"{name} is well again")
    settle = _SETTLES.get(kind, "`df -h` and `free -h` on {name}")
    return Hypothesis(
        kind=CauseKind.INFRASTRUCTURE,
        subject=subject,
        title=f"{kind} {name} {' and '.join(said)}",
        weight=evidence.weight,
        evidence_for=tuple(evidence.pro),
        evidence_against=tuple(evidence.contra),
        settle=settle.format(name=name.rpartition("/")[2]),
        settled=True,
    )
