"""No successor starts while the former attempt may be alive (it is, until its grace has passed)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.model.dispatches import AttemptOrder, AttemptState
from engine.model.identifiers import TaskName
from engine.model.records import PLANS, RUNS, Put
from engine.model.specs import TaskKind, TaskSpec
from engine.testing import samples
from engine.testing.clocks import ManualClock
from engine.testing.crash import CrashPoints
from engine.testing.fakes import Outcome
from engine.testing.world import World

GRACE = 10.0
ONE = samples.pipeline(TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL))


def behave(order: AttemptOrder) -> Outcome:
    """Let the first attempt run until it is stopped."""
    lasts = order.attempt_id.endswith(".1")
    return Outcome(state=AttemptState.RUNNING) if lasts else Outcome()


@pytest.fixture
def running() -> Iterator[World]:
    """A world in which the first attempt runs on `a`, and the plan in force says `b`."""
    world = moved()
    yield world
    world.close()


def moved() -> World:
    """Return such a world."""
    world = World(behave=behave)
    run = world.submit(ONE)
    world.engine().step()
    plan = samples.plan(ONE, samples.fleet("b"), as_of=1.0)
    world.ledger.commit("test", [Put(PLANS, plan), Put(RUNS, replace(run, plan_id=plan.plan_id))])
    return world


def test_the_grace_of_a_gone_cluster_counts_anew_after_a_restart(running: World) -> None:
    running.hide("a")
    running.engine().step()
    running.clock.advance(100.0)
    # In between, unseen by any engine, the cluster answered, and then it went again.
    engine = running.engine()
    engine.step()
    running.clock.advance(GRACE - 0.1)
    engine.step()
    assert running.task("r-1", "etl").attempt == 1
    running.clock.advance(0.1)
    running.settle(engine)
    assert running.task("r-1", "etl").attempt == 2


def test_a_start_whose_outcome_was_lost_long_ago_may_be_alive() -> None:
    world = World(behave=behave)
    world.submit(ONE)

    class CrashError(BaseException):
        """Stands for the end of the process."""

    class Crash(CrashPoints):
        def passed(self, point: str) -> None:
            if point == "executor:start:after":
                raise CrashError

    with pytest.raises(CrashError):
        world.engine(Crash()).step()
    world.clock.advance(100.0)
    world.executor.hide("a")
    engine = world.engine()
    engine.step()
    assert world.attempt("r-1.etl.1").state is AttemptState.INTENDED
    world.executor.restore("a")
    world.settle(engine)
    assert world.executor.starts == {"r-1.etl.1": 1}
    world.close()


def test_a_cluster_that_has_just_left_the_fleet_may_be_alive(running: World) -> None:
    running.clock.advance(100.0)
    running.clusters.clusters = samples.fleet("b")
    engine = running.engine()
    engine.step()
    engine.step()
    assert running.task("r-1", "etl").attempt == 1
    running.clock.advance(GRACE)
    running.settle(engine)
    assert running.task("r-1", "etl").attempt == 2


class JumpingClock(ManualClock):
    """A clock whose wall time somebody sets wrong by `wrong_seconds`."""

    wrong_seconds = 0.0

    def now(self) -> float:
        """Return the wrong time."""
        return super().now() + self.wrong_seconds

    def monotonic(self) -> float:
        """Return what nobody can set."""
        return super().now()


@pytest.mark.parametrize("wrong_seconds", [3_600.0, -3_600.0])
def test_a_wall_clock_that_jumps_ends_no_attempt(running: World, wrong_seconds: float) -> None:
    running.clock = clock = JumpingClock(running.clock.now())
    running.hide("a")
    engine = running.engine()
    engine.step()
    clock.wrong_seconds = wrong_seconds
    clock.advance(GRACE - 0.1)
    engine.step()
    assert running.task("r-1", "etl").attempt == 1


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0.1, 6.0)), max_size=25))
@settings(max_examples=15)
def test_a_successor_starts_a_whole_grace_period_after_the_last_news(
    story: list[tuple[bool, bool, float]],
) -> None:
    world = moved()
    engine = world.engine()
    last_news = world.clock.now()
    for hidden, restarted, seconds in story:
        (world.hide if hidden else world.restore)("a")
        engine = world.engine() if restarted else engine
        engine.step()
        if len(world.executor.starts) > 1:
            assert world.clock.now() - last_news >= GRACE
            break
        last_news = last_news if hidden else world.clock.now()
        world.clock.advance(seconds)
    world.close()
