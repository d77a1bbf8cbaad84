"""Trainings that go wrong, through the watch loop: what is stopped, and what is run again."""

from __future__ import annotations

import pytest

from benchmarks.alarms import _mending
from engine.model.alarms import ActionKind
from simulations import training_runs
from simulations.training_runs import TrainingOutcome

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def outcome() -> TrainingOutcome:
    return training_runs.TrainingWorld(1).run()


def faults(outcome: TrainingOutcome, kind: ActionKind) -> set[str]:
    by_name = {one.name: one.fault for one in outcome.trainers}
    return {by_name[str(action.pipeline)] for action in outcome.done(kind)}


def test_only_what_is_lost_for_good_is_stopped(outcome: TrainingOutcome) -> None:
    assert faults(outcome, ActionKind.STOP) == training_runs.LASTING


def test_a_stop_saves_batches(outcome: TrainingOutcome) -> None:
    for one in outcome.trainers:
        if one.fault in training_runs.LASTING:
            assert 0 < one.vain < training_runs.BATCHES - one.falls_at


def test_only_what_a_remedy_cures_is_run_again(outcome: TrainingOutcome) -> None:
    assert "wrong rate" in faults(outcome, ActionKind.RETRY)
    assert "missing data" not in faults(outcome, ActionKind.RETRY)
    by_fault = {one.fault: one.name for one in outcome.trainers}
    assert {by_fault["wrong rate"], by_fault["nothing"]} <= outcome.succeeded
    assert by_fault["missing data"] not in outcome.succeeded


def test_scores_follow_from_what_was_done(outcome: TrainingOutcome) -> None:
    found = {figure.name: figure for figure in _mending.of_trainings([outcome])}
    assert found["stops that were right, of 2"].value == 1.0
    assert found["failed runs with a remedy that were mended, of 1"].value == 1.0
