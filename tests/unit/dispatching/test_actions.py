"""Actions of the watch loop that dispatching carries out: roll back, stop, retry."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.dispatching import cancel
from engine.model import documents
from engine.model.alarms import Action, ActionKind, ActionState
from engine.model.dispatches import AttemptOrder, AttemptState, Reason, RunState, TaskState
from engine.model.identifiers import (
    Digest,
    PipelineName,
    PlanId,
    RunId,
    SuperAlarmId,
    TaskName,
)
from engine.model.records import ACTIONS, ATTEMPTS, DEPLOYMENTS, PLANS, RUNS, Delete, Put
from engine.model.specs import Scalar, TaskKind, TaskSpec
from engine.testing import samples
from engine.testing.fakes import Outcome
from engine.testing.samples import chain, pipeline
from engine.testing.world import World


def ask(
    world: World, kind: ActionKind, subject: str = "pipeline:heart", **parameters: Scalar
) -> None:
    action = Action(
        action_id="a-1",
        kind=kind,
        state=ActionState.WANTED,
        super_alarm_id=SuperAlarmId("sa-1"),
        subject=subject,
        policy="test",
        wanted_at=world.clock.now(),
        pipeline=PipelineName("heart"),
        parameters=parameters,
    )
    world.ledger.commit("test", [Put(ACTIONS, action)])


def outcome(world: World) -> Action:
    stored = world.ledger.get(ACTIONS, "a-1")
    assert stored is not None
    return stored.value


def package(run: int) -> Digest:
    return documents.sha256(f"r-{run}.package.1".encode())


def served(world: World, runs: int) -> None:
    for _ in range(runs):
        world.submit(chain())
        world.settle(world.engine())
        world.clock.advance(1.0)


class TestRollBack:
    def test_the_former_model_serves_again(self, world: World) -> None:
        served(world, 2)
        ask(world, ActionKind.ROLL_BACK)
        world.settle(world.engine())
        assert world.deployment().serving == package(1)
        assert world.deployment().previous == package(2)
        action = outcome(world)
        assert (action.state, action.run_id) == (ActionState.DONE, "r-1")
        assert action.result == "the model of run r-1 serves again"

    def test_the_run_of_the_former_model_owns_the_server(self, world: World) -> None:
        served(world, 2)
        ask(world, ActionKind.ROLL_BACK)
        world.settle(world.engine())
        assert world.task("r-1", "serve").state is TaskState.RUNNING
        assert world.task("r-2", "serve").reason is Reason.ROLLED_BACK

    def test_a_server_lost_after_it_comes_back_with_the_former_model(self, world: World) -> None:
        served(world, 2)
        ask(world, ActionKind.ROLL_BACK)
        world.executor.kill(world.attempt("r-1.serve.1").attempt_id)
        world.settle(world.engine())
        assert world.deployment().serving == package(1)
        assert outcome(world).state is ActionState.DONE

    def test_it_is_started_until_the_server_answers(self, world: World) -> None:
        served(world, 2)
        world.servers.down.add("http://memory/r-1.serve.1")
        ask(world, ActionKind.ROLL_BACK)
        world.settle(world.engine())
        assert outcome(world).state is ActionState.STARTED

    def test_a_newer_wish_ends_it(self, world: World) -> None:
        served(world, 2)
        world.servers.down.add("http://memory/r-1.serve.1")
        ask(world, ActionKind.ROLL_BACK)
        world.settle(world.engine())
        served(world, 1)
        assert (outcome(world).state, outcome(world).result) == (
            ActionState.FAILED,
            "another model was wanted since",
        )

    def test_the_model_it_is_about_must_still_be_there(self, world: World) -> None:
        """What came after it was never found to be broken, and the one before it was."""
        served(world, 3)
        ask(world, ActionKind.ROLL_BACK, left=package(2))
        world.settle(world.engine())
        assert world.deployment().serving == package(3)
        assert (outcome(world).state, outcome(world).result) == (
            ActionState.FAILED,
            "another model serves since",
        )

    def test_the_model_that_was_found_broken_is_left(self, world: World) -> None:
        served(world, 2)
        ask(world, ActionKind.ROLL_BACK, left=package(2))
        world.settle(world.engine())
        assert world.deployment().serving == package(1)

    def test_it_goes_as_far_back_as_it_is_asked_to(self, world: World) -> None:
        served(world, 3)
        ask(world, ActionKind.ROLL_BACK, left=package(3), back=package(1))
        world.settle(world.engine())
        assert world.deployment().serving == package(1)
        assert outcome(world).result == "the model of run r-1 serves again"
        assert [one.digest for one in world.deployment().former] == [package(3), package(2)]

    def test_without_a_former_model_it_fails(self, world: World) -> None:
        served(world, 1)
        ask(world, ActionKind.ROLL_BACK)
        world.settle(world.engine())
        assert outcome(world).result == "there is no model to go back to"

    def test_a_former_model_of_no_known_run_is_none(self, world: World) -> None:
        served(world, 1)
        strange = replace(world.deployment(), previous=package(9))
        world.ledger.commit("test", [Put(DEPLOYMENTS, strange)])
        ask(world, ActionKind.ROLL_BACK)
        world.settle(world.engine())
        assert outcome(world).state is ActionState.FAILED

    def test_where_nothing_serves_it_fails(self, world: World) -> None:
        ask(world, ActionKind.ROLL_BACK)
        world.settle(world.engine())
        assert outcome(world).result == "nothing serves pipeline:heart"

    def test_a_deployment_that_went_in_between_fails_it(self, world: World) -> None:
        served(world, 2)
        world.servers.down.add("http://memory/r-1.serve.1")
        ask(world, ActionKind.ROLL_BACK)
        world.settle(world.engine())
        world.ledger.commit("test", [Delete(DEPLOYMENTS, "heart")])
        world.settle(world.engine())
        assert outcome(world).state is ActionState.FAILED


class TestStop:
    @pytest.mark.parametrize("subject", ["pipeline:heart", "run:r-1"])
    def test_active_runs_are_cancelled(self, subject: str) -> None:
        world = World(behave=lambda _order: Outcome(state=AttemptState.RUNNING))
        world.submit(chain())
        engine = world.engine()
        engine.step()
        ask(world, ActionKind.STOP, subject)
        world.settle(engine)
        assert world.run("r-1").state is RunState.CANCELLED
        assert outcome(world).result == "stopped r-1"
        world.close()

    def test_where_nothing_runs_it_is_done(self, world: World) -> None:
        served(world, 1)
        ask(world, ActionKind.STOP)
        world.settle(world.engine())
        action = outcome(world)
        assert (action.state, action.result) == (ActionState.DONE, "nothing was running")


class TestRetry:
    def test_failed_tasks_run_again_with_the_remedy(self) -> None:
        def behave(order: AttemptOrder) -> Outcome:
            remedied = order.parameters["overrides"] == {"unit": "mmol/L"}
            failed = Outcome(state=AttemptState.FAILED, reason=Reason.BAD_INPUT)
            return Outcome() if remedied or order.task != "etl" else failed

        world = World(behave=behave)
        after = TaskSpec(name=TaskName("train"), kind=TaskKind.TRAIN, after=(TaskName("etl"),))
        world.submit(pipeline(TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL), after))
        world.settle(world.engine())
        assert world.run("r-1").state is RunState.FAILED
        ask(world, ActionKind.RETRY, **{"etl.unit": "mmol/L"})
        world.settle(world.engine())
        assert world.run("r-1").state is RunState.SUCCEEDED
        assert outcome(world).result == "run r-1: 2 tasks run again"
        world.close()

    def test_where_nothing_failed_it_fails(self, world: World) -> None:
        served(world, 1)
        ask(world, ActionKind.RETRY)
        world.settle(world.engine())
        assert outcome(world).result == "no run of it has failed tasks"


def test_actions_of_other_loops_are_left_alone(world: World) -> None:
    ask(world, ActionKind.RETRAIN)
    world.settle(world.engine())
    assert outcome(world).state is ActionState.WANTED


def test_a_stop_never_withdraws_what_serves(world: World) -> None:
    served(world, 1)
    ask(world, ActionKind.STOP, "run:r-1")
    world.settle(world.engine())
    assert outcome(world).result == "nothing was running"
    assert world.deployment().serving == package(1)


def test_what_a_person_called_off_is_not_tried_again() -> None:
    lasts = Outcome(state=AttemptState.RUNNING)
    failed = Outcome(state=AttemptState.FAILED, reason=Reason.BAD_INPUT)
    world = World(behave=lambda order: failed if order.task == "etl" else lasts)
    tasks = [TaskSpec(name=TaskName(name), kind=TaskKind.ETL) for name in ("etl", "other")]
    world.submit(pipeline(*tasks))
    world.settle(world.engine())
    cancel(world.ledger, world.clock, "r-1")
    ask(world, ActionKind.RETRY)
    world.settle(world.engine())
    assert outcome(world).state is ActionState.FAILED
    assert world.task("r-1", "etl").state is TaskState.FAILED
    world.close()


class TestResize:
    """A resize has its plan already; the server is restarted under it."""

    def resized(self, world: World, gib: float) -> None:
        served(world, 1)
        run = world.run("r-1")
        plan = world.ledger.get(PLANS, run.plan_id)
        assert plan is not None
        placement = plan.value.placement
        assignments = tuple(
            replace(each, held=replace(each.held, memory_gib=gib)) if each.task == "serve" else each
            for each in placement.assignments
        )
        other = replace(
            plan.value,
            plan_id=PlanId("p-resized1"),
            placement=replace(placement, assignments=assignments),
        )
        moved = replace(run, plan_id=other.plan_id)
        world.ledger.commit("test", [Put(PLANS, other), Put(RUNS, moved)])
        ask(world, ActionKind.RESIZE)
        started = replace(outcome(world), state=ActionState.STARTED, run_id=run.run_id)
        world.ledger.commit("test", [Put(ACTIONS, started)])

    def test_the_server_starts_again_with_its_new_size(self, world: World) -> None:
        self.resized(world, 7.0)
        world.settle(world.engine())
        assert world.attempt("r-1.serve.1").state is AttemptState.STOPPED
        assert world.attempt("r-1.serve.2").held.memory_gib == 7.0
        assert world.deployment().serving == package(1)
        assert outcome(world).state is ActionState.DONE

    def test_no_two_servers_are_alive_at_once(self, world: World) -> None:
        self.resized(world, 7.0)
        engine = world.engine()
        for _ in range(20):
            engine.step()
            world.clock.advance(1.0)
            live = world.ledger.select(ATTEMPTS, where={"state": ["intended", "running"]})
            assert len([each for each in live if each.value.task == "serve"]) <= 1

    def test_a_server_of_that_size_is_left_alone(self, world: World) -> None:
        self.resized(world, samples.HELD.memory_gib)
        world.settle(world.engine())
        assert world.deployment().attempt_id == "r-1.serve.1"
        assert outcome(world).state is ActionState.DONE

    def test_a_server_that_is_lost_meanwhile_comes_back_with_its_new_size(
        self, world: World
    ) -> None:
        self.resized(world, 7.0)
        world.executor.kill(world.attempt("r-1.serve.1").attempt_id)
        world.settle(world.engine())
        assert world.attempt("r-1.serve.2").held.memory_gib == 7.0
        assert outcome(world).state is ActionState.DONE

    def test_it_goes_on_until_the_server_answers(self, world: World) -> None:
        self.resized(world, 7.0)
        world.servers.down.add("http://memory/r-1.serve.2")
        engine = world.engine()
        for _ in range(12):
            engine.step()
            world.clock.advance(0.1)
        assert outcome(world).state is ActionState.STARTED

    def test_another_run_that_serves_ends_it(self, world: World) -> None:
        self.resized(world, 7.0)
        strange = replace(outcome(world), run_id=RunId("r-9"))
        world.ledger.commit("test", [Put(ACTIONS, strange)])
        world.settle(world.engine())
        assert outcome(world).result == "another run serves since"


def test_one_task_is_stopped_and_its_run_fails() -> None:
    lasts = Outcome(state=AttemptState.RUNNING)
    world = World(behave=lambda order: lasts if order.task == "train" else Outcome())
    tasks = [TaskSpec(name=TaskName(name), kind=TaskKind.TRAIN) for name in ("train", "other")]
    world.submit(pipeline(*tasks))
    engine = world.engine()
    world.settle(engine)
    stop(world)
    world.settle(engine)
    assert outcome(world).result == "stopped train of run r-1"
    task = world.task("r-1", "train")
    assert (task.state, task.reason) == (TaskState.FAILED, Reason.ALARM)
    assert world.attempt("r-1.train.1").state is AttemptState.STOPPED
    assert world.run("r-1").state is RunState.FAILED
    assert world.task("r-1", "other").state is TaskState.SUCCEEDED
    world.close()


def test_a_task_that_is_over_needs_no_stop(world: World) -> None:
    served(world, 1)
    stop(world)
    world.settle(world.engine())
    action = outcome(world)
    assert (action.state, action.result) == (ActionState.DONE, "train was not running any more")


def stop(world: World) -> None:
    ask(world, ActionKind.STOP, "task:heart/train")
    stored = world.ledger.get(ACTIONS, "a-1")
    assert stored is not None
    named = replace(stored.value, run_id=RunId("r-1"))
    world.ledger.commit("test", [Put(ACTIONS, named)])


def test_what_the_remedy_changes_runs_again_with_all_that_follows() -> None:
    started: list[str] = []

    def behave(order: AttemptOrder) -> Outcome:
        started.append(order.task)
        failed = Outcome(state=AttemptState.FAILED, reason=Reason.GATE)
        is_last = order.task == "evaluate" and len(started) <= len(names)
        return failed if is_last else Outcome()

    names = [TaskName(name) for name in ("beside", "etl", "train", "evaluate")]
    kinds = (TaskKind.ETL, TaskKind.ETL, TaskKind.TRAIN, TaskKind.EVALUATE)
    after = ((), (), (names[1],), (names[2],))
    tasks = [
        TaskSpec(name=name, kind=kind, after=before)
        for name, kind, before in zip(names, kinds, after, strict=True)
    ]
    world = World(behave=behave)
    world.submit(pipeline(*reversed(tasks)))
    world.settle(world.engine())
    assert world.run("r-1").state is RunState.FAILED
    ask(world, ActionKind.RETRY, **{"etl.unit": "mmol/L"})
    world.settle(world.engine())
    assert sorted(started[len(names) :]) == ["etl", "evaluate", "train"]
    assert world.run("r-1").state is RunState.SUCCEEDED
    assert outcome(world).result == "run r-1: 3 tasks run again"
    world.close()
