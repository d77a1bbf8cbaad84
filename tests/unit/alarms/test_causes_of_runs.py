"""Causes of trainings that lose precision and of runs that fail, and what checks make of causes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from alarms import HypothesisTree
from alarms.rootcause.trust import SETTLING, WEIGHTS
from engine.model import differing
from engine.model.alarms import Alarm, Cause, CauseKind, Event
from engine.model.checks import Checked, CheckKind, Verdict
from engine.model.differing import Difference
from engine.model.signals import Layer, Signal
from engine.testing.watch_suites import alarm, group

RUN = {"pipeline": "heart", "run": "r-2", "task": "train"}
CHANGE = Event(
    event_id="e",
    at=60.0,
    kind="schema",
    subject="pipeline:heart",
    message="the specification of heart changed: train.rate 0.1 → 10",
    labels={"pipeline": "heart", **differing.labels((Difference("train.rate", 0.1, 10),))},
)


def named(signal: str, subject: str, layer: Layer, at: float = 100.0, **labels: str) -> Alarm:
    made = alarm(f"{subject}|{signal}", at, **labels)
    series = f"{subject}|{signal}"
    return dataclasses.replace(
        made, series=series, subject=subject, signal=signal, layer=layer, test="declared state"
    )


def failed(cause: str, **labels: str) -> Alarm:
    known = {**RUN, "cause": cause, "rule": "its log says so", "words": "last words", **labels}
    return named("run_failed", "pipeline:heart", Layer.PLAN, **known)


def causes(
    alarms: Sequence[Alarm],
    signals: Sequence[Signal] = (),
    events: Sequence[Event] = (),
    checks: tuple[Checked, ...] = (),
) -> list[Cause]:
    made = dataclasses.replace(group(*alarms), pipelines=("heart",), checks=checks)
    return list(HypothesisTree().causes(made, signals, events))


class TestFailures:
    @pytest.mark.parametrize(
        ("cause", "kind"),
        [
            ("out of memory", CauseKind.CONFIGURATION),
            ("missing input", CauseKind.DATA),
            ("user error", CauseKind.CODE),
            ("infrastructure", CauseKind.INFRASTRUCTURE),
        ],
    )
    def test_the_diagnosis_tells_the_kind(self, cause: str, kind: CauseKind) -> None:
        first = causes([failed(cause)])[0]
        assert (first.kind, first.subject) == (kind, "task:heart/train")
        assert first.belief > 0.6
        assert first.evidence_for == ("its log says so: last words",)

    @pytest.mark.parametrize("cause", ["hopeless", "", "no such word"])
    def test_what_rules_do_not_know_stays_unknown(self, cause: str) -> None:
        assert causes([failed(cause)])[0].kind is CauseKind.UNKNOWN

    def test_a_run_without_a_failed_task_stays_unknown(self) -> None:
        assert causes([failed("user error", task="")])[0].kind is CauseKind.UNKNOWN

    def test_a_change_of_its_parameters_explains_it_and_is_set_back(self) -> None:
        first, second, *_ = causes([failed("user error", words="")], (), [CHANGE])
        assert (first.kind, first.subject) == (CauseKind.CONFIGURATION, "pipeline:heart")
        assert first.remedy is not None
        assert first.remedy.parameters == {"train.rate": 0.1}
        assert first.remedy.description == "set back train.rate to 0.1"
        assert first.check is not None
        assert first.check.kind is CheckKind.CONFIGURATION
        assert second.evidence_against
        assert second.evidence_for == ("its log says so",)

    def test_what_was_not_set_before_cannot_be_set_back(self) -> None:
        labels = differing.labels((Difference("train.rate", None, 10),))
        event = dataclasses.replace(CHANGE, labels={"pipeline": "heart", **labels})
        first = causes([failed("hopeless")], (), [event])[0]
        assert (first.kind, first.remedy) == (CauseKind.CONFIGURATION, None)


class TestTrainings:
    FALL = named("precision", "model:heart/net", Layer.TRAINING, **RUN)

    def losses(self, after: float) -> list[Signal]:
        values = [(50.0 + at, 0.2) for at in range(40)] + [(92.0 + at, after) for at in range(8)]
        precisions = [(50.0 + at, 0.9) for at in range(42)] + [(92.0 + at, 0.5) for at in range(8)]
        return [
            Signal(
                name=name,
                layer=Layer.TRAINING,
                subject="model:heart/net",
                at=at,
                value=value,
                labels=RUN,
            )
            for name, series in (("loss", values), ("precision", precisions))
            for at, value in series
        ]

    def test_a_loss_that_rises_is_of_the_configuration(self) -> None:
        first = causes([self.FALL], self.losses(1.0))[0]
        assert (first.kind, first.subject) == (CauseKind.CONFIGURATION, "task:heart/train")
        assert "diverges" in first.title
        assert first.belief > 0.6

    def test_a_loss_that_falls_is_of_the_model(self) -> None:
        first = causes([self.FALL], self.losses(0.05))[0]
        assert first.kind is CauseKind.MODEL
        assert "by heart" in first.title
        assert first.remedy is None

    @pytest.mark.parametrize("after", [0.2, None])
    def test_a_loss_that_stays_or_is_not_told_says_nothing(self, after: float | None) -> None:
        signals = [] if after is None else self.losses(after)
        assert causes([self.FALL], signals)[0].kind is CauseKind.UNKNOWN

    def test_a_loss_of_nothing_is_not_compared(self) -> None:
        zero = [dataclasses.replace(one, value=0.0) for one in self.losses(1.0)]
        assert causes([self.FALL], zero)[0].kind is CauseKind.UNKNOWN

    def test_precision_outside_of_a_run_is_no_training(self) -> None:
        trial = named("precision", "model:heart/net", Layer.TRAINING, pipeline="heart")
        assert causes([trial], self.losses(1.0))[0].kind is CauseKind.UNKNOWN

    def test_wrong_data_speak_against_it(self) -> None:
        rows = named("rows", "task:heart/etl", Layer.ETL, pipeline="heart")
        found = causes([self.FALL, rows], self.losses(1.0))
        (mine,) = [one for one in found if one.subject == "task:heart/train"]
        assert "alarmed too" in mine.evidence_against[0]


class TestChecks:
    def checked(self, verdict: Verdict, kind: CheckKind = CheckKind.CONFIGURATION) -> Checked:
        return Checked(
            kind=kind,
            subject="pipeline:heart",
            verdict=verdict,
            message="seen",
            at=120.0,
            took_seconds=0.1,
        )

    def belief(self, *checks: Checked) -> Cause:
        found = causes([failed("out of memory")], (), (), checks)
        return next(one for one in found if one.kind is CauseKind.CONFIGURATION)

    def test_what_confirms_raises_the_belief_and_what_denies_lowers_it(self) -> None:
        usual = self.belief()
        assert usual.checked is None
        more, less, same = (self.belief(self.checked(verdict)) for verdict in Verdict)
        assert more.belief > usual.belief > less.belief
        assert same.belief == pytest.approx(usual.belief)
        assert more.checked == self.checked(Verdict.CONFIRMS)
        assert more.settled is None, "a difference is no proof"

    def test_another_check_changes_nothing(self) -> None:
        other = self.checked(Verdict.CONFIRMS, CheckKind.ROWS)
        assert self.belief(other).checked is None

    @pytest.mark.parametrize("verdict", [Verdict.CONFIRMS, Verdict.DENIES])
    def test_a_check_that_settles_it_settles_it(self, verdict: Verdict) -> None:
        killed = named("exit_killed", "task:heart/train", Layer.MACHINE, cluster="c")
        seen = dataclasses.replace(self.checked(verdict, CheckKind.CLUSTER), subject="cluster:c")
        found = causes([killed], (), (), (seen,))
        (mine,) = [one for one in found if one.subject == "cluster:c"]
        assert mine.settled is (verdict is Verdict.CONFIRMS)

    def test_every_kind_has_a_weight(self) -> None:
        assert set(WEIGHTS) == set(CheckKind) >= SETTLING
