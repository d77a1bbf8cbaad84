"""What `status` tells: states, why tasks wait, and when they will start and end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.dispatching import status, submit
from engine.model.dispatches import AttemptState, Reason, RunState, TaskState
from engine.model.identifiers import FREE, TaskName
from engine.model.plans import Promise
from engine.model.progress import RunStatus, TaskStatus
from engine.model.records import RUNS, Delete
from engine.model.specs import TaskKind, TaskSpec
from engine.testing.fakes import Outcome
from engine.testing.samples import chain, fleet, pipeline, plan
from engine.testing.world import World

ETL = TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL)


def now(world: World) -> RunStatus:
    return status(world.ledger, world.clock.now())[0]


def task(world: World, name: str) -> TaskStatus:
    return next(each for each in now(world).tasks if each.task == name)


class TestForecast:
    def test_a_waiting_chain_adds_up(self, world: World) -> None:
        world.submit(chain())
        found = task(world, "train")
        assert (found.start_seconds_p50, found.start_seconds_p95) == (1_010.0, 1_016.0)
        assert (found.end_seconds_p50, found.end_seconds_p95) == (1_020.0, 1_032.0)

    def test_a_run_ends_with_its_last_task_but_serving(self, world: World) -> None:
        world.submit(chain())
        assert (now(world).end_seconds_p50, now(world).end_seconds_p95) == (1_030.0, 1_048.0)
        assert task(world, "serve").end_seconds_p95 is None

    def test_a_fast_machine_takes_less(self) -> None:
        world = World(fleet("a", speed=2.0))
        world.submit(pipeline(ETL))
        assert now(world).end_seconds_p50 == 1_005.0
        world.close()

    def test_what_runs_longer_than_usual_is_expected_later(self) -> None:
        world = World(behave=lambda _order: Outcome(seconds=15.0))
        world.submit(pipeline(ETL))
        world.engine().step()
        first = task(world, "etl").end_seconds_p50
        world.clock.advance(12.0)
        later = task(world, "etl").end_seconds_p50
        assert first == 1_010.0
        assert later is not None
        assert 1_012.0 < later < 1_020.0
        world.close()

    def test_what_waits_for_room_starts_when_the_first_ahead_ends(self) -> None:
        world = World(fleet("a", node_count=1), lambda _order: Outcome(seconds=15.0))
        tasks = [TaskSpec(name=TaskName(name), kind=TaskKind.ETL) for name in "xyz"]
        world.submit(pipeline(*tasks))
        world.engine().step()
        found = task(world, "z")
        assert found.waiting_for == ("heart/x", "heart/y")
        assert (found.start_seconds_p50, found.end_seconds_p50) == (1_010.0, 1_020.0)
        world.close()

    def test_behind_a_server_nobody_knows(self) -> None:
        world = World(fleet("a", node_count=1), lambda _o: Outcome(state=AttemptState.RUNNING))
        serve = TaskSpec(name=TaskName("serve"), kind=TaskKind.SERVE, after=(TaskName("etl"),))
        names = [TaskName("x"), TaskName("y")]
        world.submit(pipeline(*[TaskSpec(name=n, kind=TaskKind.SERVE) for n in names], name="s"))
        world.submit(pipeline(ETL, serve), {"etl": ""})
        world.settle(world.engine())
        runs = {each.run.pipeline: each for each in status(world.ledger, world.clock.now())}
        assert runs["heart"].tasks[0].reason is Reason.NO_PLACE  # type: ignore[index]
        assert runs["heart"].end_seconds_p95 is None  # type: ignore[index]
        world.close()

    def test_what_waits_for_a_place_has_no_end(self, world: World) -> None:
        world.submit(chain(), {"etl": ""})
        world.engine().step()
        assert task(world, "train").end_seconds_p95 is None
        assert now(world).end_seconds_p95 is None

    def test_behind_an_attempt_without_an_end_nobody_knows(self) -> None:
        world = World(fleet("a", node_count=1), lambda _o: Outcome(state=AttemptState.RUNNING))
        first = samples_without_profile(world, "x", "y")
        world.submit(pipeline(ETL))
        world.engine().step()
        assert first == "r-1"
        found = task(world, "etl")
        assert (found.reason, found.start_seconds_p50) == (Reason.CAPACITY, None)
        world.close()


def samples_without_profile(world: World, *names: str) -> str:
    """Submit tasks of which no duration is forecast."""
    tasks = [TaskSpec(name=TaskName(name), kind=TaskKind.ETL) for name in names]
    bare = replace(plan(pipeline(*tasks, name="bare"), world.clusters.clusters), profiles={})
    return submit(world.ledger, world.clock, bare, "bare").run_id


class TestStates:
    def test_what_ended_has_no_forecast(self, world: World) -> None:
        world.submit(chain())
        world.settle(world.engine())
        found = now(world)
        assert found.run.state is RunState.SUCCEEDED
        assert found.end_seconds_p95 is None
        assert [each.end_seconds_p95 for each in found.tasks] == [None] * 4
        assert found.endpoint == "http://memory/r-1.serve.1"

    def test_a_waiting_task_shows_where_it_will_run(self, world: World) -> None:
        world.submit(chain())
        found = task(world, "train")
        assert (found.state, found.cluster) == (TaskState.WAITING, "b")

    def test_a_task_without_a_place_shows_none(self, world: World) -> None:
        world.submit(chain(), {"etl": ""})
        assert task(world, "etl").cluster is None

    def test_the_newest_run_comes_first(self, world: World) -> None:
        for _ in range(2):
            world.submit(chain())
            world.clock.advance(1.0)
        found = status(world.ledger, world.clock.now())
        assert [each.run.run_id for each in found] == ["r-2", "r-1"]

    def test_the_deadline_is_that_of_the_plan(self, world: World) -> None:
        spec = chain()
        made = plan(spec, world.clusters.clusters)
        promise = Promise(
            pipeline=spec.name,
            deadline_seconds=2_000.0,
            keep_asked=0.95,
            keep_forecast=0.99,
            run_cost_micro_dollars=FREE,
            run_cost_micro_dollars_p95=FREE,
            serving_micro_dollars_per_hour=FREE,
        )
        placement = replace(made.placement, promises=(promise,))
        submit(world.ledger, world.clock, replace(made, placement=placement), "heart")
        assert now(world).deadline_seconds == 2_000.0

    def test_an_attempt_of_no_known_run_is_passed_over(self) -> None:
        world = World(behave=lambda _order: Outcome(seconds=15.0))
        world.submit(pipeline(ETL))
        world.engine().step()
        world.ledger.commit("test", [Delete(RUNS, "r-1")])
        assert status(world.ledger, world.clock.now()) == ()
        world.close()


@pytest.mark.parametrize("seconds", [0.0, 30.0])
def test_nothing_is_forecast_to_end_in_the_past(seconds: float) -> None:
    world = World(behave=lambda _order: Outcome(seconds=60.0))
    world.submit(chain())
    world.engine().step()
    world.clock.advance(seconds)
    found = [each.end_seconds_p50 for each in now(world).tasks]
    assert all(end is None or end >= world.clock.now() for end in found)
    world.close()
