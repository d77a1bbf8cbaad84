"""A model that serves is withdrawn by cancelling its run, and only by that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.dispatching import cancel
from engine.model import documents
from engine.model.dispatches import AttemptState, Deployment, Reason, RunState, TaskState
from engine.model.errors import RefusedError
from engine.model.identifiers import Digest
from engine.model.records import DEPLOYMENTS, EVENTS, TASK_RUNS, Put
from engine.testing.samples import chain
from engine.testing.world import World

SERVE = "serve"


def package(run: int) -> Digest:
    """The package that a run of `chain` makes."""
    return documents.sha256(f"r-{run}.package.1".encode())


def served(world: World, runs: int = 1) -> World:
    """Let so many runs of `chain` go through."""
    for _ in range(runs):
        world.submit(chain())
        world.settle(world.engine())
    return world


def withdraw(world: World, run_id: str) -> None:
    """Cancel a run and let the engine come to rest."""
    cancel(world.ledger, world.clock, run_id)
    world.settle(world.engine())


def live(world: World) -> list[str]:
    """The attempts that run."""
    return [a.attempt_id for a in world.executor.observe() if not a.state.is_terminal]


def test_its_server_is_stopped_and_has_no_successor(world: World) -> None:
    withdraw(served(world), "r-1")
    assert world.attempt("r-1.serve.1").state is AttemptState.STOPPED
    assert live(world) == []
    assert world.ledger.get(DEPLOYMENTS, "heart") is None


def test_run_and_task_say_so(world: World) -> None:
    withdraw(served(world), "r-1")
    run, task = world.run("r-1"), world.task("r-1", SERVE)
    assert (run.state, run.reason) == (RunState.CANCELLED, "heart no longer serves")
    assert (task.state, task.reason) == (TaskState.CANCELLED, Reason.CANCELLED)
    assert world.task("r-1", "package").state is TaskState.SUCCEEDED


def test_an_event_tells_it(world: World) -> None:
    withdraw(served(world), "r-1")
    events = world.ledger.select(EVENTS, where={"kind": "deployment"}, order_by="at")
    assert events[-1].value.message == "heart no longer serves: run r-1 was cancelled"


def test_the_intent_is_stored_before_anything_is_stopped(world: World) -> None:
    served(world)
    cancel(world.ledger, world.clock, "r-1")
    assert world.task("r-1", SERVE).state is TaskState.CANCELLED
    assert live(world) == ["r-1.serve.1"]


def test_cancelling_again_changes_nothing(world: World) -> None:
    withdraw(served(world), "r-1")
    before = world.run("r-1")
    world.clock.advance(5.0)
    assert cancel(world.ledger, world.clock, "r-1") == before


def test_a_server_that_was_lost_has_no_successor_either(world: World) -> None:
    served(world)
    cluster = str(world.attempt("r-1.serve.1").cluster)
    world.fail(cluster)
    world.settle(world.engine())
    withdraw(world, "r-1")
    world.restore(cluster)
    world.settle(world.engine())
    assert live(world) == []
    assert world.task("r-1", SERVE).attempt == 1


class TestHotSwap:
    def test_a_run_that_was_replaced_cannot_stop_the_newer_one(self, world: World) -> None:
        served(world, runs=2)
        with pytest.raises(RefusedError, match="heart serves the model of run r-2") as refusal:
            cancel(world.ledger, world.clock, "r-1")
        assert refusal.value.fix.startswith("berth cancel r-2")
        world.settle(world.engine())
        assert world.deployment().serving == package(2)

    def test_cancelling_the_newer_one_stops_the_server_of_the_older(self, world: World) -> None:
        withdraw(served(world, runs=2), "r-2")
        assert world.attempt("r-1.serve.1").state is AttemptState.STOPPED
        assert live(world) == []

    def test_what_was_withdrawn_never_comes_back(self, world: World) -> None:
        served(world)
        world.servers.bad.add(package(2))
        world.submit(chain())
        engine = world.engine()
        for _ in range(4):
            engine.step()
        gone = replace(world.task("r-1", SERVE), state=TaskState.CANCELLED, reason=Reason.CANCELLED)
        wanted = replace(world.deployment(), run_id="r-2", wanted=package(2))
        world.ledger.commit("test", [Put(TASK_RUNS, gone), Put(DEPLOYMENTS, wanted)])
        world.settle(engine)
        assert world.ledger.get(DEPLOYMENTS, "heart") is None
        assert live(world) == []

    def test_an_older_run_serves_after_a_newer_one_was_withdrawn(self, world: World) -> None:
        world.submit(chain(), {"package": ""})
        world.clock.advance(1.0)
        served(world)
        done = replace(world.task("r-1", "package"), state=TaskState.SUCCEEDED, artifact=package(1))
        cancel(world.ledger, world.clock, "r-2")
        world.ledger.commit("test", [Put(TASK_RUNS, done)])
        world.settle(world.engine())
        assert world.deployment().serving == package(1)

    def test_the_deployment_of_an_unknown_run_is_taken_over(self, world: World) -> None:
        world.submit(chain(), {"package": ""})
        engine = world.engine()
        world.settle(engine)
        done = replace(world.task("r-1", "package"), state=TaskState.SUCCEEDED, artifact=package(1))
        left = Deployment(pipeline="heart", task=SERVE, run_id="r-9", wanted=package(9))
        world.ledger.commit("test", [Put(TASK_RUNS, done), Put(DEPLOYMENTS, left)])
        world.settle(engine)
        assert world.deployment().run_id == "r-1"


def test_where_nothing_serves_the_refusal_says_so(world: World) -> None:
    world.submit(chain(), {SERVE: "a"})
    world.servers.bad.add(package(1))
    world.settle(world.engine())
    with pytest.raises(RefusedError, match="failed; heart does not serve"):
        cancel(world.ledger, world.clock, "r-1")
