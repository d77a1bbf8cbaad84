"""Planning and dispatching never call each other, and still finish each other's work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.model.alarms import ActionKind, ActionState
from engine.model.dispatches import Run, RunState, TaskState
from engine.model.records import ACTIONS
from engine.planning import ActionReconciler, Planner
from engine.testing import samples
from engine.testing.world import World
from tests.support.planning import FirstPlacer, SampleForecaster, put, wanted

REPLAN = wanted(ActionKind.REPLAN, "cluster:a")
RETRAIN = wanted(ActionKind.RETRAIN, "pipeline:heart", pipeline="heart")


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


@pytest.fixture
def reconciler(world: World) -> ActionReconciler:
    planner = Planner(SampleForecaster(), FirstPlacer(), "test")
    return ActionReconciler(world.ledger, planner, world.clusters, world.clock)


@pytest.fixture
def served(world: World) -> Run:
    """A run that has ended and whose model is served from cluster a."""
    spec = samples.chain()
    run = world.submit(spec, {task.name: "a" for task in spec.tasks})
    world.settle(world.engine())
    assert world.run(run.run_id).state is RunState.SUCCEEDED
    return run


def test_a_server_on_a_lost_cluster_comes_up_where_the_replan_says(
    world: World, reconciler: ActionReconciler, served: Run
) -> None:
    dispatcher = world.engine()
    world.fail("a")
    world.settle(dispatcher)
    put(world.ledger, (ACTIONS, REPLAN))
    assert reconciler.step()
    world.settle(dispatcher)
    serve = world.task(served.run_id, "serve")
    assert (serve.state, serve.cluster) == (TaskState.RUNNING, "b")


def test_a_retraining_is_dispatched_and_its_model_swapped_in(
    world: World, reconciler: ActionReconciler, served: Run
) -> None:
    before = world.deployment().serving
    put(world.ledger, (ACTIONS, RETRAIN))
    assert reconciler.step()
    world.settle(world.engine())
    assert reconciler.step()
    action = world.ledger.get(ACTIONS, RETRAIN.action_id)
    assert action is not None
    assert (action.value.state, action.value.run_id) == (ActionState.DONE, "r-2")
    assert world.deployment().serving != before
    assert world.task(served.run_id, "serve").attempt == 1
