"""Whether the likely cause of a super-alarm is believed enough to be acted upon."""

from __future__ import annotations

import dataclasses

import pytest

from engine.model import deciding
from engine.model.alarms import Cause, CauseKind, SuperAlarm, SuperAlarmState
from engine.testing.watch_suites import group

CODE = Cause(kind=CauseKind.CODE, subject="model:heart", title="a deployment", belief=0.45)
CHANGE = Cause(
    kind=CauseKind.CONFIGURATION, subject="pipeline:heart", title="a change", belief=0.44
)


def believed(*causes: Cause) -> SuperAlarm:
    return dataclasses.replace(group(), causes=causes, act_above=0.6)


@pytest.mark.parametrize(
    ("first", "other", "belief"),
    [
        (CODE, CHANGE, 0.89),
        (CHANGE, CODE, 0.44),
        (CODE, dataclasses.replace(CHANGE, subject="pipeline:lung"), 0.45),
        (CODE, dataclasses.replace(CHANGE, settled=False), 0.45),
        (CODE, dataclasses.replace(CHANGE, kind=CauseKind.MODEL), 0.45),
    ],
)
def test_a_deployment_is_believed_as_all_changes_of_its_model(
    first: Cause, other: Cause, belief: float
) -> None:
    assert deciding.believed(believed(first, other), first) == pytest.approx(belief)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (believed(), ""),
        (believed(CODE, CHANGE), ""),
        (believed(CHANGE, CODE), "the belief in it, 0.44, is below 0.6"),
        (believed(dataclasses.replace(CHANGE, belief=0.5999)), "the belief in it, 0.59, is below"),
        (believed(dataclasses.replace(CHANGE, belief=0.6)), ""),
        (believed(dataclasses.replace(CHANGE, settled=False)), "it is ruled out"),
        (dataclasses.replace(believed(CODE), state=SuperAlarmState.RESOLVED), ""),
        (dataclasses.replace(believed(CODE), act_above=0.0), ""),
    ],
)
def test_what_is_not_acted_upon_says_why(made: SuperAlarm, why: str) -> None:
    said = deciding.undecided(made)
    assert said.startswith(why)
    assert bool(said) == bool(why)
