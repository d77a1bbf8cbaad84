"""Hypotheses from calls: which service adds the time or the errors that a caller suffers from.

Calls are known from labels that service meshes and tracing systems give (`client` and `server`,
`source_workload` and `destination_workload`) and from the topology file, requests and levels from
signals of the services.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from alarms.localization.flows import FlowCause, FlowFinder, Measure, Series
from alarms.rootcause.facts import Evidence, Facts, Hypothesis
from engine.model.alarms import CauseKind
from engine.model.signals import Signal

PRIOR = 0.5
CAUSES_MOST = 2
_PAIRS = (
    ("client", "server"),
    ("source_workload", "destination_workload"),
    ("source", "destination"),
    ("caller", "callee"),
)
_REQUESTS = ("requests", "requests_per_second")
_LEVELS: Mapping[Measure, tuple[tuple[str, float], ...]] = {
    Measure.SECONDS: (
        ("latency_seconds_mean", 1.0),
        ("latency_seconds", 1.0),
        ("latency_ms_mean", 1e-3),
        ("latency_ms_p99", 1e-3),
    ),
    Measure.ERRORS: (("errors_share", 1.0),),
}


def hypotheses(facts: Facts, known: Sequence[tuple[str, str]] = ()) -> list[Hypothesis]:
    """Return the services that have most of the surplus of an alarmed caller as their own.

    known: caller and callee of calls that need no labels.
    """
    calls = sorted({*known, *_labelled(facts)})
    if not calls:
        return []
    services = {name for pair in calls for name in pair}
    found: list[Hypothesis] = []
    for measure in Measure:
        target = _target(facts, services, measure)
        if target is None:
            continue
        normal: dict[str, Series] = {}
        present: dict[str, Series] = {}
        for service in sorted(services):
            rows = _rows(facts, service, measure)
            before = [row for row in rows if row[0] < facts.started_at]
            since = [row for row in rows if row[0] >= facts.started_at]
            if before and since:
                normal[service], present[service] = _series(before), _series(since)
        causes = FlowFinder(calls, normal, measure).causes(target, present)
        total = math.fsum(cause.own for cause in causes)
        found += [_hypothesis(cause, measure, total) for cause in causes[:CAUSES_MOST]]
    return found


def _hypothesis(cause: FlowCause, measure: Measure, total: float) -> Hypothesis:
    share = cause.own / total
    evidence = Evidence(PRIOR)
    evidence.supports(
        1.5 + math.log(max(share, 1e-3)),
        f"{100 * share:.0f} % of the surplus of {measure.value} are its own, what it calls taken "
        f"off ({cause.deviations:.1f} standard deviations)",
    )
    if len(cause.path) > 1:
        evidence.pro.append(f"called along {' > '.join(cause.path)}")
    fails = measure is Measure.ERRORS
    return Hypothesis(
        kind=CauseKind.CODE if fails else CauseKind.UNKNOWN,
        subject=cause.entity,
        title=f"{cause.entity} {'fails' if fails else 'is slow'} by itself",
        weight=evidence.weight,
        evidence_for=tuple(evidence.pro),
        settle=f"take {cause.entity} out of the path of some calls and compare them",
    )


def _labelled(facts: Facts) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    labelled = [alarm.labels for alarm in facts.alarms]
    labelled += [series[-1].labels for series in facts.series]
    for labels in labelled:
        for one, other in _PAIRS:
            caller, callee = labels.get(one, ""), labels.get(other, "")
            if caller and callee and caller != callee:
                found.add((f"service:{caller}", f"service:{callee}"))
    return found


def _target(facts: Facts, services: set[str], measure: Measure) -> str | None:
    """Return the service whose level alarmed first, or None."""
    names = {name for name, _ in _LEVELS[measure]}
    alarmed = [a for a in facts.alarms if a.signal in names and a.subject in services]
    return min(alarmed, key=lambda a: (a.at, a.alarm_id)).subject if alarmed else None


def _rows(facts: Facts, service: str, measure: Measure) -> list[tuple[float, float, float]]:
    """Return times with requests and level of a service, where both are known."""
    requests = _first(facts, service, [(name, 1.0) for name in _REQUESTS])
    level = _first(facts, service, _LEVELS[measure])
    return [(at, requests[at], level[at]) for at in sorted(requests.keys() & level.keys())]


def _first(facts: Facts, service: str, names: Sequence[tuple[str, float]]) -> dict[float, float]:
    for name, factor in names:
        known: Sequence[Signal] = facts.since(f"{service}|{name}", -math.inf)
        if known:
            return {signal.at: signal.value * factor for signal in known}
    return {}


def _series(rows: Sequence[tuple[float, float, float]]) -> Series:
    return Series(
        requests=np.array([row[1] for row in rows]), level=np.array([row[2] for row in rows])
    )
