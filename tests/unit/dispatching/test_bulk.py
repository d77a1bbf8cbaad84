"""Executors that start many attempts at once (port `BulkExecutor`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from engine.dispatching import launching, observing
from engine.model.dispatches import AttemptState, Reason, Run, TaskState
from engine.model.errors import RefusedError
from engine.model.identifiers import TaskName
from engine.model.specs import TaskKind, TaskSpec
from engine.testing import samples
from engine.testing.crash import CrashPlan, CrashPoints
from engine.testing.fakes import InstantBulkExecutor
from engine.testing.world import World

TASKS = ("first", "second", "third")


class Bulk(World):
    """A world whose executor starts many at once."""

    def __init__(self, *clusters: str) -> None:
        super().__init__(samples.fleet(*clusters))
        self.bulk = InstantBulkExecutor(self.clock)
        self.executor = self.bulk

    def submit_three(self) -> Run:
        """Submit three tasks that do not wait for each other."""
        tasks = (TaskSpec(name=TaskName(name), kind=TaskKind.ETL) for name in TASKS)
        return self.submit(samples.pipeline(*tasks))


@pytest.fixture
def bulk() -> Iterator[Bulk]:
    world = Bulk("a")
    yield world
    world.close()


def test_all_that_may_start_is_handed_over_at_once(bulk: Bulk) -> None:
    run = bulk.submit_three()
    bulk.settle(bulk.engine())
    assert bulk.bulk.batches == [len(TASKS)]
    assert {bulk.task(run.run_id, name).state for name in TASKS} == {TaskState.SUCCEEDED}
    assert set(bulk.bulk.starts.values()) == {1}


def test_what_a_busy_cluster_did_not_take_is_handed_over_again(bulk: Bulk) -> None:
    run = bulk.submit_three()
    dispatcher = bulk.engine()
    bulk.bulk.busy.add("a")
    dispatcher.step()
    assert {bulk.task(run.run_id, name).state for name in TASKS} == {TaskState.RUNNING}
    assert {bulk.attempt(f"{run.run_id}.{name}.1").state for name in TASKS} == {
        AttemptState.INTENDED
    }
    bulk.bulk.busy.clear()
    bulk.settle(dispatcher)
    assert {bulk.task(run.run_id, name).state for name in TASKS} == {TaskState.SUCCEEDED}


def test_one_that_its_cluster_refuses_fails_alone_with_its_words(bulk: Bulk) -> None:
    run = bulk.submit_three()
    bulk.bulk.refused["second"] = RefusedError("the image is not allowed here")
    bulk.settle(bulk.engine())
    refused = bulk.attempt(f"{run.run_id}.second.1")
    assert (refused.state, refused.reason) == (AttemptState.FAILED, Reason.ADMISSION)
    assert refused.message == "the image is not allowed here"
    assert bulk.task(run.run_id, "first").state is TaskState.SUCCEEDED


def test_those_whose_cluster_did_not_answer_are_tried_again(bulk: Bulk) -> None:
    run = bulk.submit_three()
    bulk.bulk.hide("a")
    dispatcher = bulk.engine()
    dispatcher.step()
    assert not bulk.bulk.starts
    bulk.bulk.restore("a")
    bulk.settle(dispatcher)
    assert bulk.task(run.run_id, "third").state is TaskState.SUCCEEDED
    assert set(bulk.bulk.starts.values()) == {1}


def test_a_crash_on_either_side_of_a_start_of_many_starts_nothing_twice(bulk: Bulk) -> None:
    class Crash(BaseException):
        """The end of the process."""

    def crash() -> None:
        raise Crash

    for point in ("executor:start:before", "executor:start:after"):
        run = bulk.submit_three()
        with pytest.raises(Crash):
            bulk.settle(bulk.engine(CrashPoints(CrashPlan(point), crash=crash)))
        bulk.settle(bulk.engine())
        assert {bulk.task(run.run_id, name).state for name in TASKS} == {TaskState.SUCCEEDED}
    assert set(bulk.bulk.starts.values()) == {1}


def test_many_are_handed_over_some_at_a_time(bulk: Bulk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "STARTS_AT_ONCE", 2)
    run = bulk.submit_three()
    bulk.bulk.refused["first"] = RefusedError("not here")
    bulk.settle(bulk.engine())
    assert bulk.bulk.batches == [2, 1]
    states = [bulk.task(run.run_id, name).state for name in TASKS]
    assert states == [TaskState.FAILED, TaskState.SUCCEEDED, TaskState.SUCCEEDED]
    assert set(bulk.bulk.starts.values()) == {1}


def test_a_busy_cluster_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "STARTS_AT_ONCE", 1)
    with closing(Bulk("a", "b")) as world:
        run = world.submit_three()
        world.bulk.busy.add("a")
        world.engine().step()
        assert world.bulk.batches == [1, 1]
        assert list(world.bulk.starts) == [f"{run.run_id}.second.1"]


def test_a_step_starts_no_more_than_it_may(bulk: Bulk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "_STARTS_MOST", 2)
    bulk.submit_three()
    dispatcher = bulk.engine()
    dispatcher.step()
    assert bulk.bulk.batches == [2]
    bulk.settle(dispatcher)
    assert bulk.bulk.batches == [2, 1]


def test_more_running_tasks_than_are_read_at_once_are_kept(
    bulk: Bulk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observing, "_TASKS_MOST", 1)
    run = bulk.submit_three()
    bulk.bulk.busy.add("a")
    dispatcher = bulk.engine()
    dispatcher.step()
    dispatcher.step()
    bulk.bulk.busy.clear()
    bulk.settle(dispatcher)
    assert {bulk.task(run.run_id, name).state for name in TASKS} == {TaskState.SUCCEEDED}
    assert set(bulk.bulk.starts.values()) == {1}
