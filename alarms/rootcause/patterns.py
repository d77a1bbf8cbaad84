"""Seen before: what past super-alarms that looked alike say of each hypothesis.

Only causes that a person judged count. The logarithm of how often the first cause was right
against wrong, with one half added to each (Krichevsky and Trofimov 1981), is scaled by how alike
the two are.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from alarms.rootcause.facts import Facts, Hypothesis
from alarms.rootcause.memory import Memory, Seen
from engine.model.alarms import Cause

ALIKE_MOST = 5
"""Super-alarms that are looked at, the most alike first."""
AGAIN_PRIOR = -0.5


def weighed(facts: Facts, found: Sequence[Hypothesis], memory: Memory) -> list[Hypothesis]:
    """Return hypotheses with what the past says of each, and those that only the past knows."""
    judged = [
        (alike, seen) for alike, seen in memory.alike(facts.group) if seen.is_right is not None
    ]
    judged = judged[:ALIKE_MOST]
    if not judged:
        return list(found)
    changed = [_weighed(one, judged) for one in found]
    return [*changed, *_again(found, judged)]


def _weighed(one: Hypothesis, judged: Sequence[tuple[float, Seen]]) -> Hypothesis:
    mine = [(alike, seen) for alike, seen in judged if _is_same(one, seen.cause)]
    if not mine:
        return one
    right = math.fsum(alike for alike, seen in mine if seen.is_right)
    wrong = math.fsum(alike for alike, seen in mine if not seen.is_right)
    weight = math.log((right + 0.5) / (wrong + 0.5))
    alike, newest = mine[0]
    text = (
        f"{newest.super_alarm_id} looked like this ({100 * alike:.0f} % alike) and this was "
        f"{'its cause' if newest.is_right else 'not its cause'}, said a person"
    )
    pro, contra = one.evidence_for, one.evidence_against
    if weight >= 0:
        pro = (*pro, text)
    else:
        contra = (*contra, text)
    return dataclasses.replace(
        one, weight=one.weight + weight, evidence_for=pro, evidence_against=contra
    )


def _again(found: Sequence[Hypothesis], judged: Sequence[tuple[float, Seen]]) -> list[Hypothesis]:
    """Return the confirmed cause of the most alike past event, where nothing here says it."""
    for alike, seen in judged:
        cause = seen.cause
        if not seen.is_right or cause is None or any(_is_same(one, cause) for one in found):
            continue
        return [
            Hypothesis(
                kind=cause.kind,
                subject=cause.subject,
                title=f"as in {seen.super_alarm_id}: {cause.title}",
                weight=AGAIN_PRIOR + 2.0 * alike,
                evidence_for=(_confirmed(alike, seen),),
                settle=cause.settle,
            )
        ]
    return []


def _is_same(one: Hypothesis, cause: Cause | None) -> bool:
    return cause is not None and (one.kind, one.subject) == (cause.kind, cause.subject)


def _confirmed(alike: float, seen: Seen) -> str:
    what = f"{seen.super_alarm_id}, which looked like this ({100 * alike:.0f} % alike)"
    return f"a person confirmed the cause of {what}"
