"""Attempts that failed are tried again after pauses that grow, and everybody can see why."""

from __future__ import annotations

import pytest

from api.wiring.clocks import ScaledClock
from engine.clocks import SystemClock
from engine.dispatching import cancel, retrying, status
from engine.model.dispatches import AttemptOrder, AttemptState, Reason, RunState, TaskState
from engine.model.identifiers import TaskName
from engine.model.specs import TaskKind, TaskSpec
from engine.testing import samples
from engine.testing.clocks import ManualClock
from engine.testing.fakes import Outcome
from engine.testing.world import World

ONE = samples.pipeline(TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL))
FAILS = Outcome(state=AttemptState.FAILED, reason=Reason.EXIT_CODE, message="no such column")
FAILS_ELSE = Outcome(state=AttemptState.FAILED, reason=Reason.EXIT_CODE, message="no such row")


def behave(order: AttemptOrder) -> Outcome:
    """Let the third attempt succeed; the first two fail of different things."""
    return {"1": FAILS, "2": FAILS_ELSE}.get(order.attempt_id[-1], Outcome())


@pytest.fixture
def failed() -> World:
    """A world in which the first attempt has just failed."""
    world = World(behave=behave)
    world.submit(ONE)
    engine = world.engine()
    engine.step()
    engine.step()
    return world


def test_the_next_attempt_waits_for_the_end_of_the_pause(failed: World) -> None:
    engine = failed.engine()
    failed.clock.advance(0.9)
    engine.step()
    assert failed.task("r-1", "etl").attempt == 1
    failed.clock.advance(0.1)
    engine.step()
    assert failed.task("r-1", "etl").attempt == 2
    assert failed.task("r-1", "etl").not_before is None
    failed.close()


def test_while_it_waits_it_says_why_and_for_what(failed: World) -> None:
    task = failed.task("r-1", "etl")
    assert (task.state, task.reason) == (TaskState.WAITING, Reason.EXIT_CODE)
    assert task.message == "no such column"
    assert task.waiting_for == ("a pause of 1 s before attempt 2",)
    failed.close()


def test_the_forecast_starts_after_the_pause(failed: World) -> None:
    ((run),) = status(failed.ledger, failed.clock.now())
    assert run.tasks[0].start_seconds_p50 == failed.clock.now() + 1.0
    failed.close()


def test_pauses_do_not_keep_a_run_from_succeeding(failed: World) -> None:
    failed.settle(failed.engine())
    assert failed.run("r-1").state is RunState.SUCCEEDED
    failed.close()


def test_a_run_is_cancelled_in_the_middle_of_a_pause(failed: World) -> None:
    cancel(failed.ledger, failed.clock, "r-1")
    failed.settle(failed.engine())
    failed.clock.advance(60.0)
    failed.settle(failed.engine())
    assert len(failed.executor.starts) == 1
    failed.close()


def test_pauses_double_up_to_a_minute() -> None:
    pauses = [retrying.pause_seconds(failures) for failures in (1, 2, 3, 7, 8, 10_000)]
    assert pauses == [1.0, 2.0, 4.0, 60.0, 60.0, 60.0]


def test_a_cluster_that_was_lost_needs_no_pause(world: World) -> None:
    world.executor.hide("a")
    world.submit(ONE)
    engine = world.engine()
    engine.step()
    world.clusters.down.add("a")
    engine.step()
    world.clock.advance(10.0)
    engine.step()
    assert world.task("r-1", "etl").waiting_for == ("a",)
    assert world.task("r-1", "etl").not_before is None


def test_waits_of_a_scaled_clock_end_earlier() -> None:
    clock = ScaledClock(1_000_000.0)
    before = clock.now()
    assert clock.after(1_000.0) - before < 500.0


def test_waits_of_the_machines_clock_end_in_time() -> None:
    before = SystemClock().now()
    assert SystemClock().after(1_000.0) >= before + 1_000.0


def test_a_clock_that_stands_still_waits_too() -> None:
    assert ManualClock(5.0).after(2.0) == 7.0
    assert ManualClock(5.0).after(-2.0) == 5.0
