"""Top-1 and top-3 of the faulty component among all, leaving one fault out.

Reads every system below `alarms/*/label.csv`. Rates of alarms are learned from the alerts of all
other faults, never from a label. Candidates are all entities of the topology. Ties count by
expectation. Below, without a bar: with the alerts of earlier faults only, and how far the stated
belief is from the truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from alarms.localization import origins
from alarms.localization.background import AlarmKey, Background, Past
from alarms.localization.origins import Origin
from benchmarks import frame
from benchmarks.alarms import _faults, _ranking
from benchmarks.alarms._faults import Fault, System

CONTAINS = frozenset({"has_instance"})
"""Labels of edges from a whole to its parts."""


def run(context: frame.Context) -> Iterable[frame.Figure]:
    """Score every system."""
    for system in _faults.systems(context):
        alarms = alarms_by_fault(system)
        others = [ranked(system, alarms, number) for number in range(len(alarms))]
        chance = len(system.types)
        yield from _figures(system, others, chance)
        if not context.quick:
            yield from _earlier_only(system, alarms)


def _figures(
    system: System, found: Sequence[Sequence[Origin]], chance: int
) -> Iterator[frame.Figure]:
    faults = in_order(system)
    first, third = top(found, faults, 1), top(found, faults, 3)
    yield frame.at_least(
        f"{system.name}: top-1 of {len(faults)} faults",
        first,
        0.45,
        anchor=f"chance {1 / chance:.3f}; LLM agents .21; surprise counts .33",
    )
    yield frame.at_least(
        f"{system.name}: top-3",
        third,
        0.75,
        anchor=f"chance {3 / chance:.3f}; LLM agents .39; surprise counts .67",
    )
    yield frame.informs(
        f"{system.name}: mean belief in the first cause",
        _ranking.mean([origins[0].belief for origins in found]),
        anchor=f"calibrated if near {first:.3f}",
    )
    for level in sorted({fault.level for fault in faults}):
        here = [i for i, fault in enumerate(faults) if fault.level == level]
        few = [faults[i] for i in here]
        yield frame.informs(
            f"{system.name}: top-1 of {len(here)} faults of a {level}",
            top([found[i] for i in here], few, 1),
            anchor=f"top-3 {top([found[i] for i in here], few, 3):.3f}",
        )


def _earlier_only(system: System, alarms: Sequence[frozenset[AlarmKey]]) -> Iterator[frame.Figure]:
    faults = in_order(system)
    found = [ranked(system, alarms, number, after=False) for number in range(len(alarms))]
    for most in (1, 3):
        yield frame.informs(
            f"{system.name}: top-{most} with earlier faults only", top(found, faults, most)
        )


def in_order(system: System) -> list[Fault]:
    """Return faults by their start."""
    return sorted(system.faults, key=lambda fault: (fault.started_at, fault.number))


def alarms_by_fault(system: System) -> list[frozenset[AlarmKey]]:
    """Return what fired in each fault, by the start of faults.

    An alarm of a call is one of its callee; who called is part of its name.
    """
    fired: dict[str, set[AlarmKey]] = {fault.number: set() for fault in system.faults}
    for firing in system.firings:
        alert = firing.alert
        name = alert.name
        if firing.source == "trace":
            name = " from ".join((alert.name, *alert.related))
        if firing.fault in fired:
            fired[firing.fault].add(AlarmKey(alert.entity, name))
    return [frozenset(fired[fault.number]) for fault in in_order(system)]


def ranked(
    system: System,
    alarms: Sequence[frozenset[AlarmKey]],
    number: int,
    *,
    after: bool = True,
) -> list[Origin]:
    """Return the candidates of one fault, with rates from the other faults."""
    last = len(alarms) if after else number
    history = [
        Past(distance=abs(number - other), alarms=alarms[other])
        for other in range(last)
        if other != number
    ]
    contains: dict[str, list[str]] = {}
    for whole, part, label in system.edges:
        if label in CONTAINS:
            contains.setdefault(whole, []).append(part)
    found = origins.candidates(system.types, contains)
    return origins.rank(alarms[number], Background(history), found)


def top(found: Sequence[Sequence[Origin]], faults: Sequence[Fault], most: int) -> float:
    """Return the share of faults whose entity is among the first."""
    hits: list[float] = []
    for ranking, fault in zip(found, faults, strict=True):
        scores: Mapping[str, float] = {o.candidate.entity: o.weight for o in ranking}
        hits.append(_ranking.hit(scores, fault.entity, most))
    return _ranking.mean(hits)
