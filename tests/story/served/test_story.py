"""The story of `berth demo`: what must be so when it has been told, read back from the store."""

from collections import Counter

import pytest

from benchmarks.crash import demo
from engine import ports, store
from engine.model import alarms, dispatches, records
from tests.support.story import Story

QUALITY_OF_GUESSING = 0.55


@pytest.fixture(scope="module")
def ledger(story: Story) -> ports.Ledger:
    return store.open_ledger(f"sqlite:///{story.home / 'berth.sqlite'}")


def actions(ledger: ports.Ledger, kind: alarms.ActionKind) -> list[alarms.Action]:
    return [s.value for s in ledger.select(records.ACTIONS) if s.value.kind is kind]


def test_both_runs_succeeded(ledger: ports.Ledger) -> None:
    runs = {s.value.cause: s.value.state for s in ledger.select(records.RUNS)}
    assert runs == dict.fromkeys(dispatches.RunCause, dispatches.RunState.SUCCEEDED)


def test_exactly_one_package_was_chosen_by_its_condition(ledger: ports.Ledger) -> None:
    tasks = [s.value for s in ledger.select(records.TASK_RUNS, where={"run_id": "r-1"})]
    states = Counter(t.state for t in tasks if t.kind.value == "package")
    assert states == {dispatches.TaskState.SUCCEEDED: 1, dispatches.TaskState.SKIPPED: 3}


def test_only_the_data_fault_led_to_a_retraining(ledger: ports.Ledger) -> None:
    (retrain,) = actions(ledger, alarms.ActionKind.RETRAIN)
    stored = ledger.get(records.SUPER_ALARMS, retrain.super_alarm_id)
    assert stored is not None
    assert stored.value.likely is not None
    assert stored.value.likely.kind is alarms.CauseKind.DATA
    assert retrain.parameters == {"etl.unit.chol": "mmol/L"}


def test_the_cluster_fault_led_to_a_new_plan(ledger: ports.Ledger, story: Story) -> None:
    plans = {action.plan_id for action in actions(ledger, alarms.ActionKind.REPLAN)}
    assert story.figures["cluster fault: re-plan"] in plans


def test_the_new_model_was_swapped_in_without_a_failed_request(story: Story) -> None:
    assert story.figures["data fault: requests sent until the swap"] > 0
    assert story.figures["data fault: failed requests until and during the swap"] == 0
    assert story.figures["data fault: failed requests afterwards"] == 0


def test_the_new_model_answers_better_than_guessing(story: Story) -> None:
    assert story.figures["data fault: quality afterwards"] > QUALITY_OF_GUESSING


def test_nothing_was_alarming_while_all_was_well(story: Story) -> None:
    assert story.figures["while all was well: super-alarms"] == 0


@pytest.mark.parametrize(
    ("stretch", "sent"),
    [
        ("while all was well", "while all was well: requests sent"),
        ("data fault until the swap", "data fault: requests sent until the swap"),
    ],
)
def test_the_store_tells_of_the_requests_that_the_callers_sent(
    story: Story, stretch: str, sent: str
) -> None:
    # Windows at both ends may fall to the neighbouring stretch.
    assert story.figures[f"{stretch}: requests"] == pytest.approx(story.figures[sent], rel=0.25)
    assert story.figures[f"{stretch}: requests failed"] == 0
    assert 0 < story.figures[f"{stretch}: quality"] <= 1


def test_no_attempt_was_started_twice(story: Story) -> None:
    assert set(demo.starts(story.home).values()) == {1}


def test_every_run_was_measured_for_later_forecasts(ledger: ports.Ledger) -> None:
    measured = {s.value.task for s in ledger.select(records.RUN_RECORDS)}
    assert {"etl", "features", "knn", "tree", "forest", "svm", "compare"} <= measured
