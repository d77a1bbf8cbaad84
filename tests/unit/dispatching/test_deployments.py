"""What a pipeline serves: first start, hot swap, refusal, loss, taking over and giving back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.dispatching import cancel
from engine.dispatching.clearing import RUNS_KEPT
from engine.model import documents
from engine.model.dispatches import AttemptOrder, AttemptState, Reason, RunState, TaskState
from engine.model.identifiers import Digest, TaskName
from engine.model.records import DEPLOYMENTS, EVENTS, RUNS, TASK_RUNS, Delete, Put
from engine.model.specs import TaskKind, TaskSpec
from engine.testing.crash import CrashPoints
from engine.testing.fakes import Outcome, succeed
from engine.testing.samples import chain, pipeline
from engine.testing.world import World

SERVE = "serve"
PAUSE = 60.0
"""Longest pause between swaps, in seconds."""


def package(run: int) -> Digest:
    """The package that a run of `chain` makes."""
    return documents.sha256(f"r-{run}.package.1".encode())


def served(world: World, runs: int = 1) -> World:
    """Let so many runs of `chain` go through."""
    for _ in range(runs):
        world.submit(chain())
        world.settle(world.engine())
    return world


class TestFirstStart:
    def test_the_package_serves_and_the_run_has_succeeded(self, world: World) -> None:
        served(world)
        deployment = world.deployment()
        assert deployment.wanted == deployment.serving == package(1)
        assert deployment.endpoint == "http://memory/r-1.serve.1"
        assert world.run("r-1").state is RunState.SUCCEEDED
        assert world.task("r-1", SERVE).state is TaskState.RUNNING

    def test_a_digest_among_the_outputs_names_the_package(self) -> None:
        image = documents.sha256(b"image")

        def behave(order: AttemptOrder) -> Outcome:
            if order.kind is TaskKind.PACKAGE:
                return Outcome(outputs={"digest": image})
            return succeed(order)

        world = served(World(behave=behave))
        assert world.deployment().serving == image
        assert world.executor.orders[world.attempt("r-1.serve.1").attempt_id].inputs == {
            "package": package(1)
        }
        world.close()

    def test_without_a_package_the_task_fails(self, world: World) -> None:
        world.submit(pipeline(TaskSpec(name=TaskName(SERVE), kind=TaskKind.SERVE)))
        world.settle(world.engine())
        assert world.task("r-1", SERVE).reason is Reason.BAD_INPUT
        assert world.run("r-1").state is RunState.FAILED

    def test_a_first_package_that_is_refused_leaves_nothing_running(self, world: World) -> None:
        world.servers.bad.add(package(1))
        served(world)
        assert world.run("r-1").state is RunState.FAILED
        assert world.ledger.get(DEPLOYMENTS, "heart") is None
        assert world.attempt("r-1.serve.1").state is AttemptState.STOPPED

    def test_a_server_that_does_not_answer_yet_is_asked_again(self, world: World) -> None:
        world.servers.down.add("http://memory/r-1.serve.1")
        served(world)
        assert world.run("r-1").state is RunState.ACTIVE
        world.servers.down.clear()
        world.clock.advance(PAUSE)
        world.settle(world.engine())
        assert world.run("r-1").state is RunState.SUCCEEDED


class TestSwap:
    def test_the_next_run_takes_the_server_over(self, world: World) -> None:
        served(world, runs=2)
        deployment = world.deployment()
        assert (deployment.serving, deployment.previous) == (package(2), package(1))
        assert deployment.attempt_id == "r-1.serve.1"
        assert (deployment.run_id, deployment.swaps) == ("r-2", 2)

    def test_the_former_run_is_replaced(self, world: World) -> None:
        served(world, runs=2)
        former, present = world.task("r-1", SERVE), world.task("r-2", SERVE)
        assert (former.state, former.reason) == (TaskState.SUCCEEDED, Reason.REPLACED)
        assert present.state is TaskState.RUNNING
        assert present.cluster == world.attempt("r-1.serve.1").cluster

    def test_every_swap_leaves_an_event(self, world: World) -> None:
        served(world, runs=2)
        events = world.ledger.select(EVENTS, where={"kind": "deployment"}, order_by="at")
        assert [event.value.message for event in events] == [
            "heart serves the model of run r-1",
            "heart serves the model of run r-2",
        ]

    def test_a_refused_package_leaves_the_former_serving(self, world: World) -> None:
        world.servers.bad.add(package(2))
        served(world, runs=2)
        deployment = world.deployment()
        assert deployment.wanted == deployment.serving == package(1)
        assert deployment.run_id == "r-1"
        assert world.task("r-1", SERVE).state is TaskState.RUNNING
        assert world.run("r-2").state is RunState.FAILED

    def test_an_older_run_gives_way_to_a_newer_one(self, world: World) -> None:
        world.submit(chain(), {"package": ""})
        world.clock.advance(1.0)
        world.submit(chain())
        engine = world.engine()
        world.settle(engine)
        done = replace(world.task("r-1", "package"), state=TaskState.SUCCEEDED, artifact=package(1))
        world.ledger.commit("test", [Put(TASK_RUNS, done)])
        world.settle(engine)
        assert world.deployment().serving == package(2)
        assert world.task("r-1", SERVE).reason is Reason.REPLACED

    def test_a_server_taken_over_before_it_started_still_starts(self, world: World) -> None:
        places = dict.fromkeys(["etl", "train", "package"], "a")
        world.submit(chain(), {**places, SERVE: "b"})
        world.executor.hide("b")
        engine = world.engine()
        for _ in range(5):
            engine.step()
        assert world.attempt("r-1.serve.1").state is AttemptState.INTENDED
        world.clock.advance(1.0)
        world.submit(chain(), {**places, SERVE: "a"})
        for _ in range(6):
            engine.step()
        world.executor.restore("b")
        world.settle(engine)
        assert world.deployment().serving == package(2)
        assert world.deployment().attempt_id == "r-1.serve.1"


class TestLoss:
    def test_a_server_that_died_is_started_again(self, world: World) -> None:
        served(world)
        world.executor.kill(world.attempt("r-1.serve.1").attempt_id)
        world.settle(world.engine())
        assert world.deployment().attempt_id == "r-1.serve.2"
        assert world.deployment().serving == package(1)

    def test_a_server_that_ended_by_itself_is_started_again(self) -> None:
        ends = iter([Outcome(seconds=5.0), Outcome(state=AttemptState.RUNNING)])
        world = World(
            behave=lambda order: next(ends) if order.kind is TaskKind.SERVE else Outcome()
        )
        served(world)
        world.clock.advance(6.0)
        world.settle(world.engine())
        assert world.attempt("r-1.serve.1").state is AttemptState.SUCCEEDED
        assert world.deployment().attempt_id == "r-1.serve.2"
        world.close()

    def test_the_run_whose_package_is_wanted_starts_the_next_server(self, world: World) -> None:
        served(world, runs=2)
        world.executor.kill(world.attempt("r-1.serve.1").attempt_id)
        world.settle(world.engine())
        assert world.deployment().attempt_id == "r-2.serve.1"
        assert world.deployment().serving == package(2)

    def test_a_server_lost_with_its_cluster_waits_for_a_re_plan(self, world: World) -> None:
        served(world)
        world.fail(str(world.attempt("r-1.serve.1").cluster))
        world.settle(world.engine())
        deployment = world.deployment()
        assert (deployment.attempt_id, deployment.serving, deployment.endpoint) == (None, None, "")
        assert world.task("r-1", SERVE).reason is Reason.CLUSTER_DOWN

    def test_a_server_lost_before_the_swap_remembers_what_served(self, world: World) -> None:
        served(world)
        world.servers.down.add("http://memory/r-1.serve.1")
        served(world)
        world.executor.kill(world.attempt("r-1.serve.1").attempt_id)
        world.settle(world.engine())
        deployment = world.deployment()
        assert (deployment.serving, deployment.previous) == (package(2), package(1))

    def test_a_server_that_cannot_be_started_fails_its_task(self) -> None:
        failed = Outcome(state=AttemptState.FAILED, reason=Reason.EXIT_CODE)
        world = World(behave=lambda order: failed if order.kind is TaskKind.SERVE else Outcome())
        served(world)
        assert world.task("r-1", SERVE).state is TaskState.FAILED
        assert world.run("r-1").state is RunState.FAILED
        assert world.deployment().attempt_id is None
        world.close()

    def test_a_run_takes_over_what_has_no_server(self, world: World) -> None:
        served(world)
        world.fail(str(world.attempt("r-1.serve.1").cluster))
        world.settle(world.engine())
        places = dict.fromkeys(["etl", "train", "package", SERVE], "a")
        world.submit(chain(), places)
        world.settle(world.engine())
        assert world.deployment().attempt_id == "r-2.serve.1"
        assert world.task("r-1", SERVE).reason is Reason.REPLACED

    def test_an_end_that_is_not_noted_yet_starts_no_second_server(self, world: World) -> None:
        served(world)
        engine = world.engine(CrashPoints(crash=lambda: None))
        waits = replace(world.task("r-1", SERVE), state=TaskState.WAITING)
        world.ledger.commit("test", [Put(TASK_RUNS, waits)])
        engine.step()
        assert world.task("r-1", SERVE).attempt == 1


class TestCancelling:
    def test_a_cancelled_first_run_stops_its_server(self, world: World) -> None:
        world.submit(chain())
        world.servers.down.add("http://memory/r-1.serve.1")
        engine = world.engine()
        world.settle(engine)
        cancel(world.ledger, world.clock, "r-1")
        world.settle(engine)
        world.settle(engine)
        assert world.attempt("r-1.serve.1").state is AttemptState.STOPPED
        assert world.ledger.get(DEPLOYMENTS, "heart") is None

    def test_a_cancelled_next_run_gives_the_server_back(self, world: World) -> None:
        served(world)
        world.servers.down.add("http://memory/r-1.serve.1")
        served(world)
        cancel(world.ledger, world.clock, "r-2")
        world.servers.down.clear()
        world.settle(world.engine())
        deployment = world.deployment()
        assert deployment.wanted == deployment.serving == package(1)
        assert world.task("r-1", SERVE).state is TaskState.RUNNING

    def test_a_cancelled_owner_without_a_server_ends_the_deployment(self, world: World) -> None:
        world.submit(chain(), {SERVE: ""})
        engine = world.engine()
        world.settle(engine)
        cancel(world.ledger, world.clock, "r-1")
        stored = world.ledger.get(DEPLOYMENTS, "heart")
        assert stored is not None
        world.settle(engine)
        assert world.ledger.get(DEPLOYMENTS, "heart") is None

    def test_a_run_after_a_cancelled_owner_finds_nothing_to_end(self, world: World) -> None:
        world.submit(chain(), {SERVE: ""})
        engine = world.engine()
        world.settle(engine)
        stored = world.ledger.get(DEPLOYMENTS, "heart")
        assert stored is not None
        failed = replace(world.task("r-1", SERVE), state=TaskState.FAILED)
        world.ledger.commit("test", [Put(TASK_RUNS, failed)])
        served(world)
        assert world.deployment().run_id == "r-2"
        assert world.task("r-1", SERVE).state is TaskState.FAILED

    def test_a_server_of_nobody_known_is_stopped(self, world: World) -> None:
        served(world)
        orphan = replace(world.deployment(), serving=package(9))
        world.ledger.commit("test", [Put(DEPLOYMENTS, orphan), Delete(TASK_RUNS, "r-1/serve")])
        engine = world.engine()
        world.settle(engine)
        world.settle(engine)
        assert world.ledger.get(DEPLOYMENTS, "heart") is None
        assert world.attempt("r-1.serve.1").state is AttemptState.STOPPED

    def test_a_server_whose_run_was_removed_goes_on(self, world: World) -> None:
        served(world)
        world.ledger.commit("test", [Delete(RUNS, "r-1")])
        assert not world.engine().step()
        assert world.attempt("r-1.serve.1").state is AttemptState.RUNNING

    def test_a_deployment_without_run_and_server_goes(self, world: World) -> None:
        served(world)
        gone = replace(world.deployment(), attempt_id=None)
        world.ledger.commit("test", [Put(DEPLOYMENTS, gone), Delete(TASK_RUNS, "r-1/serve")])
        world.settle(world.engine())
        assert world.ledger.get(DEPLOYMENTS, "heart") is None


def test_packages_that_serve_or_may_be_rolled_back_to_are_kept(world: World) -> None:
    served(world, runs=2)
    other = pipeline(TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL), name="other")
    for _ in range(RUNS_KEPT):
        world.submit(other)
    world.settle(world.engine())
    world.clock.advance(30.0 * 86_400.0)
    made = {each: documents.sha256(f"r-{each}.etl.1".encode()) for each in (1, 2)}
    world.artifacts.kept = {package(1): {}, package(2): {}, made[1]: {}, made[2]: {}}
    world.engine().step()
    assert set(world.artifacts.kept) == {package(1), package(2), made[2]}


@pytest.mark.parametrize("runs", [1, 2])
def test_one_server_runs_whatever_the_number_of_runs(world: World, runs: int) -> None:
    served(world, runs)
    servers = [attempt for attempt in world.executor.starts if ".serve." in attempt]
    assert servers == ["r-1.serve.1"]
