"""Hypotheses about alerts of any system: which component, which attributes, which service.

The finders of `alarms.localization` weigh components by surprise, attributes by a scan, and
services by what flows along calls; here their findings become hypotheses of the tree, with the
order in time and what led to what in the past as further evidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from alarms.grouping.naming import is_foreign
from alarms.localization import kinds, origins
from alarms.localization.common import Combination, Table, common
from alarms.localization.origins import Origin
from alarms.rootcause.facts import Evidence, Facts, Hypothesis, counted
from alarms.rootcause.memory import Memory, key_of, wholes
from engine.model.alarms import Alarm, CauseKind

COMPONENTS_MOST = 3
UNEXPLAINED = 0.2
"""Belief kept for what is no component at all."""
FIRST = 0.7
LED = 0.7
ATTRIBUTES_MOST = 8
VALUES_MOST = 50
ALARMED_LEAST = 4
"""Subjects that must be alarmed before it is asked what they have in common."""
SHARED_LEAST = 0.6
"""And the part of them that must have it."""
CHANCE_MOST = 0.01
_PLACES = frozenset({"region", "zone", "provider", "node", "cluster", "rack", "host", "pool"})
_RELEASES = frozenset({"version", "image", "release", "commit", "revision", "build"})


def hypotheses(facts: Facts, memory: Memory) -> list[Hypothesis]:
    """Return hypotheses about a group with alerts of other systems; none for our own alarms."""
    foreign = [alarm for alarm in facts.alarms if is_foreign(alarm)]
    if not foreign:
        return []
    return [*_components(facts, foreign, memory), *_attributes(foreign, memory)]


def _components(facts: Facts, foreign: Sequence[Alarm], memory: Memory) -> list[Hypothesis]:
    contains = memory.contains(facts.group)
    entities = {alarm.subject for alarm in foreign}
    entities |= {whole for alarm in foreign for whole in wholes(alarm.labels)}
    keys = frozenset(map(key_of, foreign))
    found = origins.candidates(entities, contains)
    ranked = origins.rank(keys, memory.background(), found)[:COMPONENTS_MOST]
    total = math.fsum(math.exp(one.weight - ranked[0].weight) for one in ranked)
    odds = math.log((1.0 - UNEXPLAINED) / UNEXPLAINED)
    scale = odds - ranked[0].weight - math.log(total)
    return [_component(one, one.weight + scale, foreign, memory) for one in ranked]


def _component(one: Origin, weight: float, foreign: Sequence[Alarm], memory: Memory) -> Hypothesis:
    entity, covers = one.candidate.entity, one.candidate.covers
    evidence = Evidence(weight, list(one.evidence_for), list(one.evidence_against))
    first = min(foreign, key=lambda alarm: (alarm.at, alarm.alarm_id))
    later = [alarm.at for alarm in foreign if alarm.subject not in covers]
    mine = [alarm.at for alarm in foreign if alarm.subject in covers]
    if later and mine and first.subject in covers and min(later) > first.at:
        lead = min(later) - first.at
        evidence.supports(FIRST, f"its alarm came first, {lead:.0f} s before any other")
    elif later and mine and min(mine) > first.at:
        after = min(mine) - first.at
        evidence.opposes(FIRST, f"{first.subject} alarmed {after:.0f} s before it")
    _led(foreign, covers, memory, evidence)
    kind = kinds.kind_of(one.fired)
    return Hypothesis(
        kind=kind if kind is not CauseKind.UNKNOWN else _kind_of_place(entity),
        subject=entity,
        title=f"trouble on {entity}",
        weight=evidence.weight,
        evidence_for=tuple(evidence.pro),
        evidence_against=tuple(evidence.contra),
        settle=f"restart or move {entity}, or undo its newest change, and see whether alarms stop",
    )


def _led(
    foreign: Sequence[Alarm], covers: frozenset[str], memory: Memory, evidence: Evidence
) -> None:
    """Weigh whether alarms of a component led to others of the group in the past."""
    here = {_told(alarm) for alarm in foreign if alarm.subject in covers}
    there = {_told(alarm) for alarm in foreign if alarm.subject not in covers}
    for one in memory.leads():
        if one.first in here and one.then in there:
            evidence.supports(
                LED,
                f"in the past {one.first} led to {one.then} "
                f"({one.seen:.0f} times, {one.expected:.1f} by chance)",
            )
            return


def _told(alarm: Alarm) -> str:
    return f"{key_of(alarm).name} on {alarm.subject}"


def _kind_of_place(entity: str) -> CauseKind:
    """A machine that alarms by whatever name is infrastructure."""
    is_machine = entity.partition(":")[0] in {"node", "cluster", "instance"}
    return CauseKind.INFRASTRUCTURE if is_machine else CauseKind.UNKNOWN


def _attributes(foreign: Sequence[Alarm], memory: Memory) -> list[Hypothesis]:
    """Return what alarmed subjects have in common and others have not."""
    known = {**memory.labels, **{alarm.subject: alarm.labels for alarm in foreign}}
    alarmed = {alarm.subject for alarm in foreign}
    if len(alarmed) < ALARMED_LEAST or len(known) == len(alarmed):
        return []
    subjects = sorted(known)
    columns = {
        name: [known[subject].get(name, "") for subject in subjects]
        for name in _telling_labels(known[subject] for subject in subjects)
    }
    if not columns:
        return []
    table = Table(
        attributes=columns,
        at=np.zeros(len(subjects)),
        cases=np.array([float(subject in alarmed) for subject in subjects]),
        trials=np.ones(len(subjects)),
    )
    found = [one for one in common(table, 0.0, most=3) if _is_shared(one, len(alarmed))]
    return [_attribute(one, len(alarmed)) for one in found[:1]]


def _telling_labels(every: Iterable[Mapping[str, str]]) -> list[str]:
    """Return labels that divide subjects: neither the same for all nor different for each."""
    values: dict[str, list[str]] = {}
    count = 0
    for labels in every:
        count += 1
        for name, value in labels.items():
            values.setdefault(name, []).append(value)
    telling_ones = [
        (len(set(found)), name)
        for name, found in values.items()
        if 1 < len(set(found)) <= min(VALUES_MOST, count // 2)
        and name not in {"alertname", "severity"}
    ]
    return [name for _, name in sorted(telling_ones)[:ATTRIBUTES_MOST]]


def _is_shared(one: Combination, alarmed: int) -> bool:
    is_known = all(one.attributes.values())
    return is_known and one.p_value <= CHANCE_MOST and one.cases >= SHARED_LEAST * alarmed


def _attribute(one: Combination, alarmed: int) -> Hypothesis:
    what = ", ".join(f"{name} {value}" for name, value in one.attributes.items())
    evidence = Evidence(-1.0)
    evidence.supports(
        min(3.0, -math.log(max(one.p_value, 1e-9)) / 3.0),
        f"{one.cases:.0f} of {counted(alarmed, 'alarmed subject')} have {what}, as do "
        f"{one.trials:.0f} in all; {one.expected:.1f} are usual (p <= {one.p_value:.1g})",
    )
    names = set(one.attributes)
    kind = CauseKind.UNKNOWN
    if names & _RELEASES:
        kind = CauseKind.CODE
    elif names & _PLACES:
        kind = CauseKind.INFRASTRUCTURE
    return Hypothesis(
        kind=kind,
        subject=what,
        title=f"what has {what} goes wrong",
        weight=evidence.weight,
        evidence_for=tuple(evidence.pro),
        settle=f"compare what has {what} with what has not since the start",
    )
