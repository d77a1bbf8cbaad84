"""What the plan says of itself: deadlines that will be missed, and profiles that were wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from engine.dispatching import PlanSignals, submit
from engine.dispatching.signals import FAILED_WINDOWS, WINDOWS_AFTER
from engine.model.dispatches import AttemptState, Reason, TaskState
from engine.model.identifiers import FREE, TaskName
from engine.model.plans import Promise
from engine.model.records import TASK_RUNS, Put, task_run_key
from engine.model.remedies import FailureCause
from engine.model.signals import Layer
from engine.model.specs import TaskKind, TaskSpec
from engine.ports import SignalSource
from engine.testing.fakes import Outcome
from engine.testing.samples import chain, pipeline, plan
from engine.testing.watch_suites import SignalSourceSuite
from engine.testing.world import World

WINDOW_SECONDS = 5.0
ETL = TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL)


@pytest.fixture
def slow() -> Iterator[World]:
    """Return a world in which a task of ten seconds takes a hundred."""
    world = World(behave=lambda _order: Outcome(seconds=100.0))
    yield world
    world.close()


def source_of(world: World) -> PlanSignals:
    return PlanSignals(world.ledger, world.clock, window_seconds=WINDOW_SECONDS)


def promised(world: World, deadline_seconds: float) -> None:
    """Submit a pipeline whose plan promises an end."""
    spec = pipeline(ETL)
    made = plan(spec, world.clusters.clusters)
    promise = Promise(
        pipeline=spec.name,
        deadline_seconds=deadline_seconds,
        keep_asked=0.95,
        keep_forecast=0.99,
        run_cost_micro_dollars=FREE,
        run_cost_micro_dollars_p95=FREE,
        serving_micro_dollars_per_hour=FREE,
    )
    placement = dataclasses.replace(made.placement, promises=(promise,))
    placed = dataclasses.replace(made, placement=placement)
    submit(world.ledger, world.clock, placed, spec.name)


def values(world: World) -> dict[str, float]:
    """Return the value of every signal of this window."""
    found, _ = source_of(world).read("")
    return {f"{signal.subject} {signal.name}": signal.value for signal in found}


class TestContract(SignalSourceSuite):
    @pytest.fixture
    def source(self, slow: World) -> SignalSource:
        slow.submit(pipeline(ETL))
        slow.engine().step()
        return source_of(slow)


def test_without_runs_there_is_nothing_to_say(world: World) -> None:
    assert source_of(world).read("7") == ([], "7")


def test_a_window_is_read_once(slow: World) -> None:
    slow.submit(pipeline(ETL))
    slow.engine().step()
    source = source_of(slow)
    (signal,), position = source.read("")
    assert (signal.layer, signal.labels) == (Layer.PLAN, {"pipeline": "heart"})
    assert source.read(position) == ([], position)
    slow.clock.advance(WINDOW_SECONDS)
    assert len(source.read(position)[0]) == 1


def test_a_task_that_outlasts_its_profile_is_told(slow: World) -> None:
    slow.submit(pipeline(ETL))
    assert values(slow) == {}
    slow.engine().step()
    assert values(slow) == {"task:heart/etl profile_exceeded": 0.0}
    slow.clock.advance(90.0)
    assert values(slow) == {"task:heart/etl profile_exceeded": 1.0}


def test_a_task_that_serves_has_no_end_to_outlast(world: World) -> None:
    world.submit(chain())
    world.settle(world.engine())
    world.clock.advance(20.0)
    found = values(world)
    assert found["task:heart/serve profile_exceeded"] == 0.0
    assert set(found.values()) == {0.0}


@pytest.mark.parametrize(("deadline_seconds", "value"), [(1_009.0, 1.0), (1_011.0, 0.0)])
def test_a_deadline_before_the_median_end_is_at_risk(
    slow: World, deadline_seconds: float, value: float
) -> None:
    promised(slow, deadline_seconds)
    assert values(slow) == {"pipeline:heart deadline_at_risk": value}


def test_a_deadline_that_is_over_is_missed(slow: World) -> None:
    promised(slow, 1_011.0)
    slow.engine().step()
    slow.clock.advance(12.0)
    assert values(slow)["pipeline:heart deadline_at_risk"] == 1.0


def test_what_is_over_is_told_for_a_while(slow: World) -> None:
    promised(slow, 1_011.0)
    engine = slow.engine()
    engine.step()
    slow.clock.advance(120.0)
    slow.settle(engine)
    assert values(slow) == {
        "pipeline:heart deadline_at_risk": 0.0,
        "task:heart/etl profile_exceeded": 0.0,
    }
    slow.clock.advance(WINDOW_SECONDS * (WINDOWS_AFTER + 1))
    assert values(slow) == {}


def test_a_run_that_ended_long_ago_says_nothing_beside_one_that_runs(slow: World) -> None:
    slow.submit(pipeline(ETL, name="old"))
    engine = slow.engine()
    slow.settle(engine)
    slow.clock.advance(200.0)
    slow.settle(engine)
    slow.clock.advance(200.0)
    slow.submit(pipeline(ETL, name="new"))
    engine.step()
    assert set(values(slow)) == {"task:new/etl profile_exceeded"}


def test_a_run_that_failed_is_told_with_its_task_and_why() -> None:
    failed = Outcome(state=AttemptState.FAILED, reason=Reason.BAD_INPUT, message="no such column")
    world = World(behave=lambda _order: failed)
    world.submit(pipeline(ETL))
    world.settle(world.engine())
    found, _ = source_of(world).read("")
    (signal,) = [one for one in found if one.name == "run_failed"]
    assert (signal.subject, signal.value) == ("pipeline:heart", 1.0)
    assert signal.labels["run"] == "r-1"
    assert signal.labels["task"] == "etl"
    assert signal.labels["cause"] == FailureCause.USER_ERROR.value
    assert signal.labels["words"] == "no such column"
    world.clock.advance((WINDOWS_AFTER + 1) * WINDOW_SECONDS)
    assert values(world)["pipeline:heart run_failed"] == 1.0
    world.clock.advance(FAILED_WINDOWS * WINDOW_SECONDS)
    assert values(world) == {}
    world.close()


def test_a_task_that_an_alarm_stopped_has_no_diagnosis() -> None:
    world = World(behave=lambda _order: Outcome(state=AttemptState.RUNNING))
    world.submit(pipeline(ETL))
    engine = world.engine()
    engine.step()
    stored = world.ledger.get(TASK_RUNS, task_run_key("r-1", "etl"))
    assert stored is not None
    stopped = dataclasses.replace(
        stored.value, state=TaskState.FAILED, reason=Reason.ALARM, message="it lost precision"
    )
    world.ledger.commit("test", [Put(TASK_RUNS, stopped, stored.version)])
    world.settle(engine)
    found, _ = source_of(world).read("")
    (signal,) = [one for one in found if one.name == "run_failed"]
    assert (signal.labels["cause"], signal.labels["words"]) == ("", "it lost precision")
    world.close()


def test_a_new_run_says_that_the_failure_is_over() -> None:
    outcomes = [Outcome(state=AttemptState.FAILED, reason=Reason.BAD_INPUT)]
    world = World(behave=lambda _order: outcomes.pop() if outcomes else Outcome(seconds=50.0))
    world.submit(pipeline(ETL))
    world.settle(world.engine())
    world.clock.advance(1.0)
    world.submit(pipeline(ETL))
    world.engine().step()
    found, _ = source_of(world).read("")
    (signal,) = [one for one in found if one.name == "run_failed"]
    assert (signal.value, signal.labels) == (0.0, {"pipeline": "heart", "run": "r-2"})
    world.close()
