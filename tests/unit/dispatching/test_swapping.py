"""Servers that do not answer, packages that are refused, and what serves instead."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from engine.dispatching import cancel
from engine.dispatching.swapping import MOST_TRIES, MOST_WAITS
from engine.model import documents
from engine.model.dispatches import AttemptState, Deployment, Reason, RunState, TaskState
from engine.model.errors import UnreachableError
from engine.model.identifiers import Digest
from engine.model.records import DEPLOYMENTS, EVENTS, TASK_RUNS, Put
from engine.testing.samples import chain
from engine.testing.world import World

SERVE = "serve"
SERVER = "http://memory/r-1.serve.1"


def package(run: int) -> Digest:
    """The package that a run of `chain` makes."""
    return documents.sha256(f"r-{run}.package.1".encode())


def served(world: World, runs: int = 1) -> World:
    """Let so many runs of `chain` go through."""
    for _ in range(runs):
        world.submit(chain())
        world.settle(world.engine())
    return world


def asked(world: World, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list that fills with the instants at which the server is asked, in vain."""
    instants: list[float] = []

    def swap(_deployment: Deployment) -> Digest:
        instants.append(world.clock.now())
        raise UnreachableError("nobody answers")

    monkeypatch.setattr(world.servers, "swap", swap)
    return instants


def wait_out(world: World) -> None:
    """Let all pauses between swaps pass."""
    engine = world.engine()
    for _ in range(MOST_TRIES):
        world.settle(engine)
        world.clock.advance(60.0)
    world.settle(engine)


class TestNoAnswer:
    def test_pauses_grow_up_to_a_minute(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        instants = asked(world, monkeypatch)
        world.submit(chain())
        engine = world.engine()
        for _ in range(300):
            engine.step()
            world.clock.advance(1.0)
        pauses = [after - before for before, after in pairwise(instants)]
        assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]

    def test_status_says_what_is_waited_for(self, world: World) -> None:
        world.servers.down.add(SERVER)
        served(world)
        task = world.task("r-1", SERVE)
        assert (task.state, task.reason) == (TaskState.RUNNING, Reason.NO_ANSWER)
        assert task.message == f"'{SERVER}' does not answer"
        assert task.waiting_for[0].startswith("a pause of ")

    def test_an_answer_clears_it(self, world: World) -> None:
        world.servers.down.add(SERVER)
        served(world)
        world.servers.down.clear()
        world.clock.advance(60.0)
        world.settle(world.engine())
        task, deployment = world.task("r-1", SERVE), world.deployment()
        assert (task.reason, task.message, task.waiting_for) == (Reason.NONE, "", ())
        assert (deployment.unanswered, deployment.next_swap_at) == (0, None)

    def test_after_the_last_try_the_run_fails_and_the_server_is_stopped(self, world: World) -> None:
        world.servers.down.add(SERVER)
        served(world)
        wait_out(world)
        assert world.task("r-1", SERVE).reason is Reason.NO_ANSWER
        assert world.run("r-1").reason.startswith("serve: the server of heart did not swap 10")
        assert world.attempt("r-1.serve.1").state is AttemptState.STOPPED

    def test_giving_up_leaves_an_event(self, world: World) -> None:
        world.servers.down.add(SERVER)
        served(world)
        wait_out(world)
        (event,) = world.ledger.select(EVENTS, where={"kind": "deployment"})
        assert event.value.message.startswith("the server of heart did not swap 10 times")

    def test_the_former_model_stays_wanted(self, world: World) -> None:
        served(world)
        world.servers.down.add(SERVER)
        served(world)
        wait_out(world)
        assert world.run("r-2").state is RunState.FAILED
        assert world.deployment().wanted == world.deployment().serving == package(1)
        assert world.task("r-1", SERVE).state is TaskState.RUNNING

    def test_a_server_that_keeps_its_model_is_given_up_too(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        served(world)
        monkeypatch.setattr(world.servers, "swap", lambda _deployment: package(1))
        served(world)
        wait_out(world)
        assert world.task("r-2", SERVE).waiting_for == ("a pause of 60 s before it is asked again",)
        for _ in range(MOST_WAITS // MOST_TRIES):
            wait_out(world)
        task = world.task("r-2", SERVE)
        assert task.state is TaskState.FAILED
        assert f"{MOST_WAITS} times in a row: it still serves {package(1)}" in task.message

    def test_a_cluster_that_is_cut_off_is_no_refusal(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        served(world)
        world.submit(chain(), dict.fromkeys(["etl", "train", "package", SERVE], "a"))
        engine = world.engine()
        for _ in range(3):
            engine.step()
        instants = asked(world, monkeypatch)
        world.hide(str(world.attempt("r-1.serve.1").cluster))
        for _ in range(5):
            engine.step()
        assert instants == []


class TestTakingUp:
    def test_a_good_package_in_between_serves_when_the_newest_is_bad(self, world: World) -> None:
        world.servers.down.add(SERVER)
        served(world, runs=3)
        world.servers.bad.add(package(3))
        world.servers.down.clear()
        world.clock.advance(60.0)
        world.settle(world.engine())
        assert world.deployment().serving == package(2)
        assert world.task("r-2", SERVE).state is TaskState.RUNNING
        assert world.run("r-3").state is RunState.FAILED

    def test_bad_ones_are_passed_over(self, world: World) -> None:
        world.servers.down.add(SERVER)
        served(world, runs=3)
        world.servers.bad |= {package(2), package(3)}
        world.servers.down.clear()
        world.clock.advance(60.0)
        world.settle(world.engine())
        assert world.deployment().serving == package(1)

    def test_what_gave_way_without_a_package_is_passed_over(self, world: World) -> None:
        served(world, runs=2)
        bare = replace(world.task("r-1", "package"), artifact=None)
        none = replace(world.deployment(), serving=None)
        world.ledger.commit("test", [Put(TASK_RUNS, bare), Put(DEPLOYMENTS, none)])
        world.servers.bad.add(package(2))
        world.settle(world.engine())
        world.settle(world.engine())
        assert world.ledger.get(DEPLOYMENTS, "heart") is None

    def test_what_a_person_withdrew_stays_withdrawn(self, world: World) -> None:
        served(world, runs=2)
        cancel(world.ledger, world.clock, "r-2")
        world.settle(world.engine())
        world.servers.bad.add(package(3))
        served(world)
        assert world.run("r-3").state is RunState.FAILED
        assert world.ledger.get(DEPLOYMENTS, "heart") is None
