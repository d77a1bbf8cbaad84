"""What checks that Berth ran say of each hypothesis: belief moves by how telling each kind is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from alarms.rootcause.facts import Hypothesis
from engine.model.checks import Checked, CheckKind, Verdict

WEIGHTS = {
    CheckKind.SCHEMA: 2.0,
    CheckKind.ROWS: 1.5,
    CheckKind.CLUSTER: 4.0,
    CheckKind.GOLDEN: 1.5,
    CheckKind.QUALITY: 3.0,
    CheckKind.REQUESTS: 2.5,
    CheckKind.CONFIGURATION: 1.5,
}
"""Logarithms of odds, by hand like all weights of the tree."""
SETTLING = frozenset({CheckKind.CLUSTER, CheckKind.QUALITY, CheckKind.REQUESTS})
"""Kinds after which there is nothing left to ask; others only make a cause more or less likely."""


def weighed(found: Sequence[Hypothesis], checks: Sequence[Checked]) -> list[Hypothesis]:
    """Return hypotheses with the results of their checks, unless signals settled them before."""
    results = {(one.kind, one.subject): one for one in checks}
    return [_weighed(one, results) for one in found]


def _weighed(one: Hypothesis, results: dict[tuple[CheckKind, str], Checked]) -> Hypothesis:
    result = None if one.check is None else results.get((one.check.kind, one.check.subject))
    if result is None:
        return one
    if one.settled is not None:
        return dataclasses.replace(one, checked=result)
    side = {Verdict.CONFIRMS: 1.0, Verdict.DENIES: -1.0, Verdict.OPEN: 0.0}[result.verdict]
    settled = result.kind in SETTLING and result.verdict is not Verdict.OPEN
    return dataclasses.replace(
        one,
        weight=one.weight + side * WEIGHTS[result.kind],
        settled=side > 0 if settled else None,
        checked=result,
    )
