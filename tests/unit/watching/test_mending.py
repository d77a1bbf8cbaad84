"""Stops, retries and roll-backs: asked for under guards, and never beside a retraining."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from engine.model.alarms import (
    BACK,
    LEFT,
    SINCE,
    Action,
    ActionKind,
    ActionState,
    Cause,
    CauseKind,
    Remedy,
)
from engine.model.dispatches import Deployment, Run, RunCause, RunState, TaskRun, TaskState
from engine.model.identifiers import Digest, PipelineName, PlanId, RunId, SuperAlarmId, TaskName
from engine.model.records import DEPLOYMENTS, RUNS, TASK_RUNS, Put
from engine.model.signals import Layer, Signal
from engine.model.specs import Scalar, TaskKind
from engine.testing.watch_suites import gauge
from engine.watching import MendPolicy
from tests.support.watch_world import DATA, LOST, World

DIVERGES = dataclasses.replace(
    LOST,
    kind=CauseKind.CONFIGURATION,
    subject="task:heart/train",
    title="the training diverges",
)
CHANGED = dataclasses.replace(
    DIVERGES,
    subject="pipeline:heart",
    title="a change just before",
    remedy=Remedy(description="set it back", parameters={"train.rate": 0.1}),
)
DEPLOYED = dataclasses.replace(
    LOST, kind=CauseKind.CODE, subject="model:heart", title="a deployment just before"
)
FIRST, SECOND = Digest("sha256:1"), Digest("sha256:2")


def training(at: float, value: float) -> Signal:
    labels = {"pipeline": "heart", "task": "train", "run": "r-1"}
    signal = dataclasses.replace(gauge(at, value, "precision"), layer=Layer.TRAINING)
    return dataclasses.replace(signal, subject="model:heart/net", labels=labels)


def failure(at: float, value: float, run: str = "r-1") -> Signal:
    signal = dataclasses.replace(gauge(at, value, "run_failed"), layer=Layer.PLAN)
    return dataclasses.replace(signal, subject="pipeline:heart", labels={"run": run})


def ran(world: World, state: RunState, name: str = "r-1", **parameters: Scalar) -> None:
    run = Run(
        run_id=RunId(name),
        pipeline=PipelineName("heart"),
        plan_id=PlanId("p-1"),
        cause=RunCause.SUBMITTED,
        state=state,
        created_at=world.clock.now(),
        parameters=parameters,
    )
    task = TaskRun(
        run_id=run.run_id,
        pipeline=run.pipeline,
        task=TaskName("train"),
        kind=TaskKind.TRAIN,
        state=TaskState.RUNNING if state is RunState.ACTIVE else TaskState.FAILED,
    )
    world.ledger.commit("test", [Put(RUNS, run), Put(TASK_RUNS, task)])


def deployed(world: World, previous: Digest | None = FIRST, after_seconds: float = -1.0) -> None:
    deployment = Deployment(
        pipeline=PipelineName("heart"),
        task=TaskName("serve"),
        run_id=RunId("r-2"),
        wanted=SECOND,
        serving=SECOND,
        previous=previous,
        swapped_at=world.clock.now() + after_seconds,
    )
    world.ledger.commit("test", [Put(DEPLOYMENTS, deployment)])


def only(world: World, kind: ActionKind) -> Action:
    (action,) = [each for each in world.actions(kind) if each.action_id != "past"]
    return action


def held(action: Action) -> list[str]:
    return [guard.name for guard in action.guards if not guard.allows]


def past(world: World, kind: ActionKind, **changes: object) -> None:
    action = Action(
        action_id="past",
        kind=kind,
        state=ActionState.DONE,
        super_alarm_id=SuperAlarmId("SA-old"),
        subject="",
        policy="",
        wanted_at=world.clock.now() - 5_000.0,
        ended_at=world.clock.now() - 4_000.0,
        pipeline=PipelineName("heart"),
    )
    world.put(dataclasses.replace(action, **changes))


def measured(
    world: World,
    cause: Cause,
    signals: Callable[[float, float], Signal] = gauge,
    *,
    times: int = 1,
) -> None:
    """Let something alarm for long enough to decide, with its likely cause."""
    world.causes.answer = (cause,)
    for _ in range(times):
        world.measure(500.0, signals)


def before_and_after(world: World, newest: float, *, is_settled: bool | None = None) -> None:
    """Deploy between values that scatter around 98 and one alarm, then measure some more.

    The cause becomes likely with the last value only.
    """
    world.causes.answer = ()
    for value in (97.0, 98.0, 99.0, 98.0, 97.0, 99.0):
        world.measure(value, gauge)
    deployed(world, after_seconds=0.5)
    for value in (500.0, newest, newest, newest):
        world.measure(value, gauge)
    world.causes.answer = (dataclasses.replace(DEPLOYED, settled=is_settled),)
    world.measure(newest, gauge)
    # Detectors take their time until they call a series normal again.
    world.detector.outside["model:p|latency_ms_p99"] = world.clock.now() - 10.0
    world.watcher.step()


class TestStop:
    def test_a_training_that_loses_precision_is_stopped_once(self, world: World) -> None:
        ran(world, RunState.ACTIVE)
        measured(world, DIVERGES, training, times=3)
        action = only(world, ActionKind.STOP)
        assert (action.state, action.subject) == (ActionState.WANTED, "task:heart/train")
        assert action.run_id == "r-1"
        assert not world.actions(ActionKind.RETRAIN)

    @pytest.mark.parametrize("kind", [CauseKind.INFRASTRUCTURE, CauseKind.DEMAND])
    def test_what_passes_stops_nothing(self, world: World, kind: CauseKind) -> None:
        ran(world, RunState.ACTIVE)
        measured(world, dataclasses.replace(DIVERGES, kind=kind), training)
        assert held(only(world, ActionKind.STOP)) == ["cause kind"]

    def test_a_training_that_recovered_goes_on(self, world: World) -> None:
        ran(world, RunState.ACTIVE)
        world.causes.answer = (dataclasses.replace(DIVERGES, belief=0.1),)
        world.measure(500.0, training)
        world.measure(1.0, training)
        measured(world, DIVERGES)
        assert held(only(world, ActionKind.STOP)) == ["precision"]

    @pytest.mark.parametrize(
        ("values", "guards"),
        [
            # Too early for its own series, though another one is abnormal for long.
            ((500.0,) * 3, ["precision"]),
            ((500.0,) * 6, []),
            # It passed; detectors take their time until they call it normal again.
            ((500.0, 500.0, 102.0, 101.0, 102.0, 101.0), ["precision"]),
        ],
    )
    def test_what_it_loses_must_stay_lost(
        self, world: World, values: tuple[float, ...], guards: list[str]
    ) -> None:
        world.policy = dataclasses.replace(world.policy, decide_seconds=5.0)
        world.start()
        ran(world, RunState.ACTIVE)
        world.causes.answer = (dataclasses.replace(DIVERGES, settled=None),)
        for value in (60.0, 99.0) * 4:
            world.measure(value, training)
        world.measure(500.0, gauge)
        world.detector.outside["model:p|latency_ms_p99"] -= 10.0
        for value in values:
            world.measure(value, training)
        assert held(only(world, ActionKind.STOP)) == guards

    def test_a_training_that_is_over_needs_none(self, world: World) -> None:
        ran(world, RunState.FAILED)
        measured(world, DIVERGES, training)
        assert not world.actions(ActionKind.STOP)

    def test_what_is_learned_by_heart_is_not_trained_again(self, world: World) -> None:
        ran(world, RunState.ACTIVE)
        measured(world, dataclasses.replace(DATA, kind=CauseKind.MODEL), training)
        assert only(world, ActionKind.STOP).state is ActionState.WANTED
        assert not world.actions(ActionKind.RETRAIN)


class TestRetry:
    def test_a_failed_run_is_retried_with_the_remedy(self, world: World) -> None:
        ran(world, RunState.FAILED)
        measured(world, CHANGED, failure, times=3)
        action = only(world, ActionKind.RETRY)
        assert (action.state, action.subject) == (ActionState.WANTED, "run:r-1")
        assert action.parameters == {"train.rate": 0.1}
        assert not world.actions(ActionKind.RETRAIN)

    def test_it_stands_for_a_retraining(self, world: World) -> None:
        ran(world, RunState.FAILED)
        world.measure(500.0, gauge)
        assert len(world.actions(ActionKind.RETRAIN)) == 1
        world.measure(500.0, failure)
        assert only(world, ActionKind.RETRY).parameters == {"etl.unit.chol": "mmol/L"}
        assert len(world.actions(ActionKind.RETRAIN)) == 1

    def test_without_a_remedy_it_is_held(self, world: World) -> None:
        ran(world, RunState.FAILED)
        measured(world, DIVERGES, failure)
        action = only(world, ActionKind.RETRY)
        assert held(action) == ["remedy"]
        assert action.result == "held back by: remedy"

    def test_the_same_again_would_end_alike(self, world: World) -> None:
        ran(world, RunState.FAILED, **{"train.rate": 0.1})
        measured(world, CHANGED, failure)
        assert held(only(world, ActionKind.RETRY)) == ["remedy"]

    def test_a_newer_run_ends_the_matter(self, world: World) -> None:
        ran(world, RunState.FAILED)
        world.clock.advance(1.0)
        ran(world, RunState.ACTIVE, "r-2")
        measured(world, CHANGED, failure)
        assert not world.actions(ActionKind.RETRY)

    @pytest.mark.parametrize("state", [RunState.ACTIVE, None])
    def test_a_run_that_goes_on_or_is_gone_is_none(
        self, world: World, state: RunState | None
    ) -> None:
        if state is not None:
            ran(world, state)
        measured(world, CHANGED, failure)
        assert not world.actions(ActionKind.RETRY)


class TestRollBack:
    def test_a_deployment_that_broke_is_rolled_back(self, world: World) -> None:
        deployed(world)
        measured(world, DEPLOYED, times=3)
        action = only(world, ActionKind.ROLL_BACK)
        assert (action.state, action.pipeline) == (ActionState.WANTED, "heart")
        assert action.parameters == {LEFT: SECOND, BACK: FIRST, SINCE: 999.0}
        assert not world.actions(ActionKind.RETRAIN)

    def test_without_a_model_before_it_is_held(self, world: World) -> None:
        deployed(world, previous=None)
        measured(world, DEPLOYED)
        assert held(only(world, ActionKind.ROLL_BACK)) == ["model before"]

    def test_a_deployment_after_the_first_alarm_is_not_to_blame(self, world: World) -> None:
        deployed(world, after_seconds=20.0)
        measured(world, DEPLOYED)
        assert held(only(world, ActionKind.ROLL_BACK)) == ["deployment"]

    def test_what_never_was_swapped_in_is_not_to_blame(self, world: World) -> None:
        deployed(world)
        stored = world.ledger.get(DEPLOYMENTS, "heart")
        assert stored is not None
        never = dataclasses.replace(stored.value, swapped_at=None)
        world.ledger.commit("test", [Put(DEPLOYMENTS, never)])
        measured(world, DEPLOYED)
        assert held(only(world, ActionKind.ROLL_BACK)) == ["deployment"]

    def test_what_was_left_is_not_gone_back_to(self, world: World) -> None:
        deployed(world)
        past(world, ActionKind.ROLL_BACK, parameters={LEFT: FIRST})
        measured(world, DEPLOYED)
        assert held(only(world, ActionKind.ROLL_BACK)) == ["model before"]

    def test_a_deployment_after_the_first_alarm_hides_none_before_it(self, world: World) -> None:
        """The model that served while all was well is gone back to, not the broken one."""
        world.causes.answer = ()
        for value in (97.0, 98.0, 99.0, 98.0):
            world.measure(value, gauge)
        deployed(world)
        stored = world.ledger.get(DEPLOYMENTS, "heart")
        assert stored is not None
        now, third = world.clock.now(), Digest("sha256:3")
        first = dataclasses.replace(stored.value, served=(), serving=FIRST, swapped_at=0.0)
        second = first.swapped(SECOND, now + 0.5)
        broken = dataclasses.replace(second.swapped(third, now + 2.5), wanted=third)
        world.ledger.commit("test", [Put(DEPLOYMENTS, broken)])
        measured(world, dataclasses.replace(DEPLOYED, settled=None), times=8)
        action = only(world, ActionKind.ROLL_BACK)
        assert action.state is ActionState.WANTED
        assert action.parameters == {LEFT: third, BACK: FIRST, SINCE: now + 0.5}

    def test_a_change_of_configuration_is_for_people(self, world: World) -> None:
        deployed(world)
        measured(world, dataclasses.replace(DEPLOYED, kind=CauseKind.CONFIGURATION))
        assert not world.actions(ActionKind.ROLL_BACK)

    def test_what_passed_is_no_reason(self, world: World) -> None:
        """It is nearly as before once it is wanted: the alarms are of what passed."""
        before_and_after(world, newest=99.0)
        assert held(only(world, ActionKind.ROLL_BACK)) == ["still there"]

    def test_what_is_still_worse_is_a_reason(self, world: World) -> None:
        before_and_after(world, newest=500.0)
        assert only(world, ActionKind.ROLL_BACK).state is ActionState.WANTED

    def test_a_settled_cause_needs_no_look_at_values(self, world: World) -> None:
        before_and_after(world, newest=99.0, is_settled=True)
        assert only(world, ActionKind.ROLL_BACK).state is ActionState.WANTED

    def test_silence_alone_is_no_reason(self, world: World) -> None:
        """What the model runs on may be lost, which is known a moment later."""
        deployed(world)
        likely = dataclasses.replace(DEPLOYED, settled=None)
        world.detector.test = "silence"
        measured(world, likely, times=5)
        assert held(only(world, ActionKind.ROLL_BACK)) == ["still there"]
        world.detector.test = "robust z"
        measured(world, likely)
        assert only(world, ActionKind.ROLL_BACK).state is ActionState.WANTED

    def test_where_nothing_serves_there_is_nothing_to_do(self, world: World) -> None:
        measured(world, DEPLOYED)
        assert not world.actions(ActionKind.ROLL_BACK)


class TestBounds:
    @pytest.mark.parametrize(
        ("changes", "guard"),
        [
            ({"state": ActionState.STARTED, "ended_at": None}, "one at a time"),
            ({"ended_at": 995.0}, "cool-down"),
        ],
    )
    def test_one_after_the_other(
        self, world: World, changes: dict[str, object], guard: str
    ) -> None:
        deployed(world)
        past(world, ActionKind.ROLL_BACK, **changes)
        measured(world, DEPLOYED)
        assert held(only(world, ActionKind.ROLL_BACK)) == [guard]

    def test_so_many_a_day(self, world: World) -> None:
        bounds = MendPolicy(times_per_day=1)
        world.policy = dataclasses.replace(world.policy, mend=bounds)
        world.start()
        deployed(world)
        past(world, ActionKind.ROLL_BACK)
        measured(world, DEPLOYED)
        assert held(only(world, ActionKind.ROLL_BACK)) == ["times per day"]

    def test_a_policy_may_forbid_it(self, world: World) -> None:
        world.policy = dataclasses.replace(world.policy, mend=MendPolicy(kinds=frozenset()))
        world.start()
        deployed(world)
        ran(world, RunState.ACTIVE)
        world.causes.answer = (DEPLOYED,)
        world.measure(500.0, gauge)
        world.measure(500.0, training)
        assert not world.actions(ActionKind.ROLL_BACK)
        assert not world.actions(ActionKind.STOP)

    def test_what_holds_it_back_may_pass(self, world: World) -> None:
        deployed(world, previous=None)
        measured(world, DEPLOYED)
        deployed(world, after_seconds=-5.0)
        world.measure(500.0, gauge)
        assert only(world, ActionKind.ROLL_BACK).state is ActionState.WANTED


def test_what_stands_on_a_node_is_moved_by_its_cluster(world: World) -> None:
    node = dataclasses.replace(DEPLOYED, kind=CauseKind.INFRASTRUCTURE, subject="node:a")
    world.causes.answer = (node,)
    world.measure(500.0, gauge)
    assert not world.actions(ActionKind.REPLAN)
