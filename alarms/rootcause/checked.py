"""What checks that Berth ran say of each hypothesis: belief moves by how telling each kind is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from alarms.rootcause.facts import Hypothesis
from alarms.rootcause.trust import Trust
from engine.model import remedied
from engine.model.alarms import SuperAlarm
from engine.model.checks import Checked, Verdict
from engine.model.remedied import CheckKey


def weighed(found: Sequence[Hypothesis], group: SuperAlarm, trust: Trust) -> list[Hypothesis]:
    """Return hypotheses with the results of their checks, unless signals settled them before."""
    results = {(one.kind, one.subject): one for one in group.checks}
    return [_weighed(one, group, results, trust) for one in found]


def _weighed(
    one: Hypothesis,
    group: SuperAlarm,
    results: dict[CheckKey, Checked],
    trust: Trust,
) -> Hypothesis:
    result = _result(one, results)
    if result is None:
        return one
    if one.settled is not None:
        return dataclasses.replace(one, checked=result)
    if trust.is_refuted(group, result):
        text = f"its check {result.verdict.value} it, which was wrong, said a person"
        is_for = result.verdict is Verdict.DENIES
        pro, contra = one.evidence_for, one.evidence_against
        return dataclasses.replace(
            one,
            checked=result,
            evidence_for=(*pro, text) if is_for else pro,
            evidence_against=contra if is_for else (*contra, text),
        )
    side = {Verdict.CONFIRMS: 1.0, Verdict.DENIES: -1.0, Verdict.OPEN: 0.0}[result.verdict]
    settled = result.verdict is not Verdict.OPEN and trust.settles(result.kind, one.kind)
    return dataclasses.replace(
        one,
        weight=one.weight + side * trust.weight(result.kind, one.kind),
        settled=side > 0 if settled else None,
        checked=result,
    )


def _result(one: Hypothesis, results: dict[CheckKey, Checked]) -> Checked | None:
    """Return what came of what was done about a cause, or else how its check came out."""
    done = remedied.check_of(one.kind, one.subject)
    if done in results:
        return results[done]
    return None if one.check is None else results.get((one.check.kind, one.check.subject))
