"""Turns what the finders of foreign systems found into causes that people are shown.

`origins`, `flows` and `common` weigh components, services and attributes; a `Cause` says in
addition what kind of thing went wrong, and which check would settle it. The kind follows from
what fired: words of the names of signals, which every exporter uses alike. Where they say nothing
or contradict each other the kind is unknown, which never leads to a retraining.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from alarms.localization.common import Combination
from alarms.localization.flows import FlowCause, Measure
from alarms.localization.origins import Origin
from engine.model.alarms import Cause, CauseKind

_NAMED = {
    CauseKind.INFRASTRUCTURE: (
        "cpu disk fs io load mem memory network node pod threads reachable oom evicted gpu"
    ),
    CauseKind.DATA: "rows nulls null schema freshness feature features drift",
    CauseKind.MODEL: "quality precision recall accuracy loss gradient",
    CauseKind.DEMAND: "requests qps rps traffic sessions",
    CauseKind.CODE: "exception exceptions error errors 500 panic traceback",
    CauseKind.CONFIGURATION: "config configuration flag quota certificate",
}
_WORDS = {kind: frozenset(words.split()) for kind, words in _NAMED.items()}
_MAJORITY = 0.5


def kind_of(names: Iterable[str]) -> CauseKind:
    """Return the kind that more than half of the telling names speak of, or unknown."""
    votes: Counter[CauseKind] = Counter()
    for name in names:
        words = frozenset(re.split(r"[^a-z0-9]+", name.lower()))
        votes.update(kind for kind, known in _WORDS.items() if words & known)
    if not votes:
        return CauseKind.UNKNOWN
    kind, most = max(votes.items(), key=lambda item: (item[1], item[0].value))
    return kind if most > _MAJORITY * votes.total() else CauseKind.UNKNOWN


def of_origins(ranked: Sequence[Origin], *, most: int = 5) -> list[Cause]:
    """Return components as causes, the likeliest first; what is left out is "something else"."""
    shown = ranked[:most]
    causes = [
        Cause(
            kind=kind_of(origin.fired),
            subject=origin.candidate.entity,
            title=f"trouble on {origin.candidate.entity}",
            belief=origin.belief,
            evidence_for=origin.evidence_for,
            evidence_against=origin.evidence_against,
            settle=_settle(origin.candidate.entity),
        )
        for origin in shown
    ]
    return [*causes, *_rest(causes, "none of these")]


def of_flows(found: Sequence[FlowCause], measure: Measure, *, most: int = 5) -> list[Cause]:
    """Return services as causes; belief goes with how much of the surplus is their own."""
    total = math.fsum(cause.own for cause in found)
    causes = [
        Cause(
            kind=CauseKind.CODE if measure is Measure.ERRORS else CauseKind.UNKNOWN,
            subject=cause.entity,
            title=f"{cause.entity} {'fails' if measure is Measure.ERRORS else 'is slow'} by itself",
            belief=cause.own / total,
            evidence_for=(
                f"{cause.own:.3g} {measure.value} are its own, {cause.deviations:.1f} deviations",
                f"reached by {' > '.join(cause.path)}",
            ),
            settle=_settle(cause.entity),
        )
        for cause in found[:most]
    ]
    return [*causes, *_rest(causes, "a service that was not measured")]


def of_combinations(found: Sequence[Combination]) -> list[Cause]:
    """Return combinations of attributes as causes."""
    causes: list[Cause] = []
    for one in found:
        what = ", ".join(f"{name} {value}" for name, value in one.attributes.items())
        causes.append(
            Cause(
                kind=CauseKind.UNKNOWN,
                subject=what,
                title=f"what has {what} goes wrong",
                belief=one.belief,
                evidence_for=(_told(one),),
                settle=f"compare the rate with {what} and without since the start",
            )
        )
    return [*causes, *_rest(causes, "another combination")]


def _told(one: Combination) -> str:
    usual = f"{one.cases:.0f} cases where {one.expected:.0f} are usual"
    return f"{usual} (p <= {one.p_value:.1g})"


def _settle(entity: str) -> str:
    return f"restart or move {entity}, or undo its newest change, and see whether alarms stop"


def _rest(causes: Sequence[Cause], title: str) -> list[Cause]:
    """Return "something else" with the belief that is left, so that beliefs sum to 1."""
    left = max(0.0, 1.0 - math.fsum(cause.belief for cause in causes))
    if causes and left <= 0.0:
        return []
    return [
        Cause(
            kind=CauseKind.UNKNOWN,
            subject="",
            title=title,
            belief=left,
            settle="start at the first alarm and look at what nobody measures",
        )
    ]
