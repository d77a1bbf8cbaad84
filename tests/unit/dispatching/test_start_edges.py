"""What the store and the clusters do while a step judges waiting tasks and starts attempts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from engine.dispatching import cancel
from engine.expressions import CelConditions
from engine.model.dispatches import (
    AttemptOrder,
    AttemptState,
    Reason,
    RunState,
    TaskState,
)
from engine.model.fleet import Fleet
from engine.model.identifiers import TaskName
from engine.model.records import RUNS, Delete
from engine.model.resources import Resources
from engine.model.specs import Join, TaskKind, TaskSpec
from engine.testing import samples
from engine.testing.fakes import Outcome
from engine.testing.world import FixedConditions, World

ETL = TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL)


class Cancelling(FixedConditions):
    """Conditions while whose evaluation somebody cancels the run."""

    def __init__(self, world: World) -> None:
        super().__init__({"good": False})
        self._world = world

    def holds(self, expression: str, values: Mapping[str, object]) -> bool:
        """Return the answer, after the run was cancelled."""
        cancel(self._world.ledger, self._world.clock, "r-1")
        return super().holds(expression, values)


def test_a_run_cancelled_while_its_condition_is_evaluated_stays_cancelled(world: World) -> None:
    world.conditions = Cancelling(world)
    world.submit(samples.pipeline(TaskSpec(name=ETL.name, kind=ETL.kind, when="good")))
    world.engine().step()
    task = world.task("r-1", "etl")
    assert (task.state, world.run("r-1").state) == (TaskState.CANCELLED, RunState.CANCELLED)
    assert task.reason is not Reason.CONDITION_FALSE


def test_an_attempt_whose_run_is_gone_is_never_started(world: World) -> None:
    run = world.submit(samples.pipeline(ETL))
    dispatcher = world.engine()
    world.executor.hide("a")
    dispatcher.step()
    world.executor.restore("a")
    world.ledger.commit("test", [Delete(RUNS, run.run_id)])
    dispatcher.step()
    assert world.attempt(f"{run.run_id}.etl.1").state is AttemptState.INTENDED
    assert not world.executor.starts


@pytest.mark.parametrize(
    ("when", "state"),
    [("size(t) == 1", TaskState.SUCCEEDED), ("size(t) == 2", TaskState.SKIPPED)],
)
def test_a_condition_reads_of_a_loop_only_what_succeeded(when: str, state: TaskState) -> None:
    names = (TaskName("t-1"), TaskName("t-2"))
    loop = [TaskSpec(name=n, kind=TaskKind.ETL, loop=TaskName("t"), retries=0) for n in names]
    end = TaskSpec(name=TaskName("end"), kind=TaskKind.ETL, after=names, join=Join.DONE, when=when)

    def behave(order: AttemptOrder) -> Outcome:
        if order.task == "t-2":
            return Outcome(state=AttemptState.FAILED, reason=Reason.EXIT_CODE, message="broken")
        return Outcome()

    world = World(behave=behave)
    world.conditions = CelConditions()  # type: ignore[assignment]
    world.submit(samples.pipeline(*loop, end))
    world.settle(world.engine())
    assert world.task("r-1", "t-2").state is TaskState.FAILED
    assert world.task("r-1", "end").state is state
    world.close()


def test_a_task_waits_for_room_that_others_hold(world: World) -> None:
    fleet = world.clusters.clusters
    taken = Resources(cpu_cores=1_000.0)
    full = tuple(
        replace(each, pools=tuple(replace(pool, taken=taken) for pool in each.pools))
        for each in fleet.clusters
    )
    world.submit(samples.pipeline(ETL))
    world.clusters.clusters = Fleet(clusters=full)
    engine = world.engine()
    engine.step()
    waits = world.task("r-1", "etl")
    assert (waits.state, waits.reason) == (TaskState.WAITING, Reason.CAPACITY)
    world.clusters.clusters = fleet
    world.settle(engine)
    assert world.task("r-1", "etl").state is TaskState.SUCCEEDED
