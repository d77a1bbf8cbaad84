"""What people say of checks decides how far the next ones are believed, by kind of cause."""

from __future__ import annotations

import dataclasses

import pytest

from alarms import HypothesisTree
from alarms.rootcause import trust
from alarms.rootcause.trust import Trust
from engine.model.alarms import Cause, CauseKind, SuperAlarm
from engine.model.checks import Checked, CheckKind, Verdict
from engine.model.feedback import CheckFeedback
from engine.model.feedback import Verdict as Said
from engine.model.identifiers import SuperAlarmId
from engine.model.signals import Layer
from engine.testing.watch_suites import group
from tests.unit.alarms.test_causes_of_runs import named

KINDS = (CheckKind.CLUSTER, CauseKind.INFRASTRUCTURE)


def said(number: int, verdict: Said, **changes: object) -> CheckFeedback:
    given = CheckFeedback(
        super_alarm_id=SuperAlarmId(f"SA-{number}"),
        at=float(number),
        verdict=verdict,
        who="ann",
        check=CheckKind.CLUSTER,
        subject="cluster:c",
        said=Verdict.CONFIRMS,
        cause=CauseKind.INFRASTRUCTURE,
    )
    return dataclasses.replace(given, **changes)


def trusting(*verdicts: Said) -> Trust:
    made = Trust()
    made.learn([said(number, verdict) for number, verdict in enumerate(verdicts)])
    return made


@pytest.mark.parametrize("kind", CheckKind)
def test_at_first_the_weights_are_those_by_hand(kind: CheckKind) -> None:
    assert Trust().weight(kind, CauseKind.DATA) == pytest.approx(trust.WEIGHTS[kind])
    assert Trust().settles(kind, CauseKind.DATA) is (kind in trust.SETTLING)


def test_wrong_verdicts_lower_the_belief_and_right_ones_bring_it_back() -> None:
    usual = Trust().weight(*KINDS)
    once, twice = trusting(Said.WRONG), trusting(Said.WRONG, Said.WRONG)
    assert usual > once.weight(*KINDS) > twice.weight(*KINDS) > 0.0
    mended = trusting(Said.WRONG, *[Said.RIGHT] * 20)
    assert usual > mended.weight(*KINDS) > once.weight(*KINDS)
    assert trusting(Said.RIGHT).weight(*KINDS) > usual


def test_a_word_about_a_check_is_not_of_what_came_later() -> None:
    made = Trust()
    made.learn([said(1, Said.WRONG)])
    checked = Checked(
        kind=CheckKind.CLUSTER,
        subject="cluster:c",
        verdict=Verdict.CONFIRMS,
        message="",
        at=1.0,
        took_seconds=0.1,
    )
    once = group(name="SA-1")
    assert made.is_refuted(once, checked)
    again = dataclasses.replace(once, times=2)
    assert not made.is_refuted(again, checked)
    made.learn([said(1, Said.RIGHT, times=2)])
    assert not made.is_refuted(again, checked)
    assert made.is_refuted(once, checked)
    assert made.counts(*KINDS) == (1, 1)


def test_a_check_settles_nothing_while_it_is_wrong_more_than_once_in_ten() -> None:
    assert not trusting(Said.WRONG).settles(*KINDS)
    assert trusting(Said.WRONG, *[Said.RIGHT] * 5).settles(*KINDS)


def test_a_check_that_is_mostly_wrong_says_nothing_and_not_the_opposite() -> None:
    assert trusting(*[Said.WRONG] * 50).weight(*KINDS) == 0.0


def test_other_kinds_of_checks_and_causes_are_believed_as_before() -> None:
    found = trusting(Said.WRONG)
    for other in (
        (CheckKind.QUALITY, CauseKind.INFRASTRUCTURE),
        (CheckKind.CLUSTER, CauseKind.CODE),
    ):
        assert found.counts(*other) == (0, 0)
        assert found.weight(*other) == pytest.approx(trust.WEIGHTS[other[0]])


def test_of_one_check_the_newest_word_counts() -> None:
    found = Trust()
    found.learn([said(1, Said.WRONG), said(1, Said.RIGHT)])
    assert found.counts(*KINDS) == (1, 0)


def test_only_so_many_words_are_remembered() -> None:
    found = Trust()
    found.learn(said(number, Said.WRONG) for number in range(trust.REMEMBERED + 5))
    assert found.counts(*KINDS) == (0, trust.REMEMBERED)


def alarmed(verdict: Verdict, name: str = "SA-1") -> SuperAlarm:
    killed = named("exit_killed", "task:heart/train", Layer.MACHINE, cluster="c")
    seen = Checked(
        kind=CheckKind.CLUSTER,
        subject="cluster:c",
        verdict=verdict,
        message="seen",
        at=120.0,
        took_seconds=0.1,
    )
    return dataclasses.replace(group(killed, name=name), checks=(seen,))


def of_cluster(tree: HypothesisTree, found: SuperAlarm) -> Cause:
    return next(one for one in tree.causes(found, (), ()) if one.subject == "cluster:c")


@pytest.mark.parametrize("verdict", [Verdict.CONFIRMS, Verdict.DENIES])
def test_a_verdict_that_a_person_called_wrong_does_not_count(verdict: Verdict) -> None:
    tree = HypothesisTree()
    usual = of_cluster(tree, dataclasses.replace(alarmed(verdict), checks=()))
    before = of_cluster(tree, alarmed(verdict))
    tree.learn_checks([said(1, Said.WRONG, said=verdict)])
    after = of_cluster(tree, alarmed(verdict))
    assert before.settled is (verdict is Verdict.CONFIRMS)
    assert after.settled is None
    assert after.belief == pytest.approx(usual.belief)
    evidence = after.evidence_against if before.settled else after.evidence_for
    assert evidence[-1] == f"its check {verdict.value} it, which was wrong, said a person"


def test_a_later_look_that_comes_out_otherwise_counts() -> None:
    tree = HypothesisTree()
    usual = of_cluster(tree, dataclasses.replace(alarmed(Verdict.DENIES), checks=()))
    tree.learn_checks([said(1, Said.WRONG, said=Verdict.DENIES)])
    assert of_cluster(tree, alarmed(Verdict.CONFIRMS)).belief > usual.belief


def test_the_next_super_alarm_believes_such_a_check_less() -> None:
    tree = HypothesisTree()
    before = of_cluster(tree, alarmed(Verdict.CONFIRMS, "SA-2"))
    tree.learn_checks([said(1, Said.WRONG)])
    after = of_cluster(tree, alarmed(Verdict.CONFIRMS, "SA-2"))
    assert after.belief < before.belief
    assert (before.settled, after.settled) == (True, None)
