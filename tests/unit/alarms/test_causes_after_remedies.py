"""What came of roll-backs and retrainings weighs the causes that they answered."""

from __future__ import annotations

import dataclasses
import math

import pytest

from alarms import HypothesisTree
from alarms.rootcause.trust import WEIGHTS
from engine.model import remedied
from engine.model.alarms import Cause, CauseKind, Event
from engine.model.checks import Checked, CheckKind, Verdict
from engine.model.signals import Layer, Signal
from engine.testing.watch_suites import alarm, group

DEPLOYED = Event(
    event_id="e",
    at=90.0,
    kind="deployment",
    subject="model:heart",
    message="heart serves the model of run r-2",
    labels={"pipeline": "heart"},
)


def found(*checks: Checked) -> dict[CauseKind, Cause]:
    """Return causes by kind where quality fell just after a deployment."""
    fell = dataclasses.replace(
        alarm("quality", 100.0, pipeline="heart"),
        series="model:heart|quality",
        subject="model:heart",
        signal="quality",
    )
    feature = Signal(
        name="feature_mean",
        layer=Layer.SERVING,
        subject="feature:heart/age",
        at=99.0,
        value=54.0,
        labels={"pipeline": "heart"},
    )
    made = dataclasses.replace(group(fell), checks=checks)
    causes = HypothesisTree().causes(made, [feature], [DEPLOYED])
    return {cause.kind: cause for cause in causes}


def checked(kind: CheckKind, verdict: Verdict) -> Checked:
    return Checked(
        kind=kind, subject="model:heart", verdict=verdict, message="", at=200.0, took_seconds=60.0
    )


def odds(causes: dict[CauseKind, Cause], kind: CauseKind) -> float:
    """Return the logarithm of a cause's odds against something else."""
    return math.log(causes[kind].belief / causes[CauseKind.UNKNOWN].belief)


def test_a_deployment_is_believed_at_first() -> None:
    causes = found()
    assert causes[CauseKind.CODE].belief > 0.6 > causes[CauseKind.MODEL].belief


def test_a_roll_back_that_changed_nothing_makes_way_for_the_model() -> None:
    """That a model ages just after somebody changed it is no chance any more that counts."""
    causes = found(checked(CheckKind.ROLL_BACK, Verdict.DENIES))
    assert causes[CauseKind.MODEL].belief > 0.6 > causes[CauseKind.CODE].belief
    assert not causes[CauseKind.MODEL].evidence_against
    assert causes[CauseKind.CODE].settled is False
    assert causes[CauseKind.CODE].checked == checked(CheckKind.ROLL_BACK, Verdict.DENIES)


def test_a_change_of_the_same_moment_hides_no_deployment() -> None:
    """Values tell when it began as well as they are apart: of changes within that none is nearer.

    The deployment comes first then, since it can be undone.
    """
    values = [
        Signal(
            name="quality", layer=Layer.SERVING, subject="model:heart", at=10.0 * at, value=value
        )
        for at, value in enumerate([0.9] * 9 + [0.6, 0.6])
    ]
    fell = dataclasses.replace(
        alarm("quality", 100.0, pipeline="heart"),
        series="model:heart|quality",
        subject="model:heart",
        signal="quality",
    )
    deployed = dataclasses.replace(DEPLOYED, at=81.0)
    changed = dataclasses.replace(DEPLOYED, event_id="c", kind="configuration", at=89.9)
    first, second, *_ = HypothesisTree().causes(group(fell), values, [deployed, changed])
    assert (first.kind, second.kind) == (CauseKind.CODE, CauseKind.CONFIGURATION)
    assert first.belief == second.belief


def test_a_roll_back_that_helped_settles_it() -> None:
    causes = found(checked(CheckKind.ROLL_BACK, Verdict.CONFIRMS))
    assert causes[CauseKind.CODE].settled is True
    assert causes[CauseKind.CODE].belief > found()[CauseKind.CODE].belief


def test_a_retraining_that_changed_nothing_counts_against_the_model() -> None:
    usual, causes = found(), found(checked(CheckKind.RETRAINING, Verdict.DENIES))
    fell = odds(usual, CauseKind.MODEL) - odds(causes, CauseKind.MODEL)
    assert fell == pytest.approx(WEIGHTS[CheckKind.RETRAINING])
    assert odds(causes, CauseKind.CODE) == pytest.approx(odds(usual, CauseKind.CODE))


def test_what_was_done_says_more_than_a_look() -> None:
    looked = checked(CheckKind.QUALITY, Verdict.CONFIRMS)
    tried = checked(CheckKind.ROLL_BACK, Verdict.DENIES)
    assert found(looked, tried)[CauseKind.CODE].checked == tried
    assert found(looked)[CauseKind.CODE].checked == looked


@pytest.mark.parametrize(
    ("kind", "subject", "expected"),
    [
        (CauseKind.CODE, "model:heart", (CheckKind.ROLL_BACK, "model:heart")),
        # The code of a task is none of what is deployed.
        (CauseKind.CODE, "task:heart/train", None),
        (CauseKind.MODEL, "model:heart", (CheckKind.RETRAINING, "model:heart")),
        (CauseKind.DATA, "feature:heart/chol", (CheckKind.RETRAINING, "model:heart")),
        (CauseKind.INFRASTRUCTURE, "cluster:c", None),
    ],
)
def test_causes_are_checked_by_what_answers_them(
    kind: CauseKind, subject: str, expected: object
) -> None:
    assert remedied.check_of(kind, subject) == expected
