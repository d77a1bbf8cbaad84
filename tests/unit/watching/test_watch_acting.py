"""What is done about causes: retraining through guards, re-plans once per loss, messages."""

from __future__ import annotations

import dataclasses

import pytest

from engine.model.alarms import (
    Action,
    ActionKind,
    ActionState,
    Cause,
    CauseKind,
    SuperAlarm,
    SuperAlarmState,
)
from engine.model.dispatches import Run, RunCause, RunState
from engine.model.errors import FinalError, UnreachableError
from engine.model.identifiers import PipelineName, PlanId, RunId, SuperAlarmId, dollars
from engine.model.records import (
    ACTIONS,
    CLUSTER_HEALTH,
    PIPELINES,
    PLANS,
    RUNS,
    SUPER_ALARMS,
    ClusterHealth,
    Delete,
    Put,
)
from engine.model.specs import RetrainTrigger
from engine.testing import samples
from engine.testing.watch_suites import gauge, reachable
from engine.watching import WatchPolicy
from tests.support.watch_world import DATA, LOST, World, pipeline


def retrains(world: World) -> list[Action]:
    return world.actions(ActionKind.RETRAIN)


def past(world: World, **changes: object) -> None:
    action = Action(
        action_id="past",
        kind=ActionKind.RETRAIN,
        state=ActionState.DONE,
        super_alarm_id=SuperAlarmId("SA-old"),
        subject="feature:heart/chol",
        policy="",
        wanted_at=world.clock.now() - 500.0,
        ended_at=world.clock.now() - 400.0,
        pipeline=PipelineName("heart"),
    )
    world.put(dataclasses.replace(action, **changes))


def held(world: World) -> list[str]:
    (action,) = [a for a in retrains(world) if a.action_id != "past"]
    assert action.state is ActionState.HELD
    return [guard.name for guard in action.guards if not guard.allows]


def test_a_data_cause_is_retrained_with_its_remedy(world: World) -> None:
    world.measure(500.0, gauge)
    (action,) = retrains(world)
    assert action.state is ActionState.WANTED
    assert action.parameters == {"etl.unit.chol": "mmol/L"}
    assert action.pipeline == "heart"


def test_it_is_asked_for_once(world: World) -> None:
    for _ in range(5):
        world.measure(500.0, gauge)
    world.start()
    world.measure(500.0, gauge)
    assert len(retrains(world)) == 1


def test_quality_lost_again_in_an_open_super_alarm_is_a_new_wish(world: World) -> None:
    def after(seconds: float) -> list[Action]:
        world.clock.advance(seconds)
        world.measure(500.0, lambda at, value: gauge(at, value, "quality"))
        return retrains(world)

    (first,) = after(0.0)
    ended = world.clock.now()
    world.put(dataclasses.replace(first, state=ActionState.DONE, ended_at=ended))
    assert len(after(50.0)) == 1, "the new model has a cool-down to show what it can"
    first, second = after(15.0)
    assert (second.action_id, second.state) == (f"{first.action_id}.2", ActionState.WANTED)
    world.put(dataclasses.replace(second, state=ActionState.FAILED, ended_at=world.clock.now()))
    assert len(after(70.0)) == 2, "a gate that refused is not asked again"


@pytest.mark.parametrize(
    "cause",
    [
        LOST,
        dataclasses.replace(DATA, kind=CauseKind.DEMAND),
        dataclasses.replace(DATA, belief=0.5),
        dataclasses.replace(DATA, settled=False),
        dataclasses.replace(DATA, subject="feature:unknown/chol"),
    ],
)
def test_other_causes_are_not_retrained(world: World, cause: Cause) -> None:
    world.causes.answer = (cause,)
    world.measure(500.0, gauge)
    assert not retrains(world)


def test_a_pipeline_without_a_policy_is_not_retrained(world: World) -> None:
    spec = dataclasses.replace(pipeline(), retrain=None)
    world.ledger.commit("test", [Put(PIPELINES, spec)])
    world.measure(500.0, gauge)
    assert not retrains(world)


def test_a_policy_may_forbid_it_all(world: World) -> None:
    world.policy = dataclasses.replace(world.policy, retrain=False, replan=False)
    world.start()
    world.measure(500.0, gauge)
    world.causes.answer = (LOST,)
    world.measure(600.0, gauge)
    assert not retrains(world)
    assert not world.actions(ActionKind.REPLAN)


def test_an_unsettled_cause_must_last(world: World) -> None:
    world.causes.answer = (dataclasses.replace(DATA, settled=None),)
    world.measure(500.0, gauge)
    assert not retrains(world)
    for _ in range(3):
        world.measure(500.0, gauge)
    assert len(retrains(world)) == 1


def test_an_unsettled_cause_that_passes_is_left(world: World) -> None:
    world.causes.answer = (dataclasses.replace(DATA, settled=None),)
    world.measure(500.0, gauge)
    for _ in range(5):
        world.measure(1.0, gauge)
    assert not retrains(world)


def test_without_a_remedy_it_is_held(world: World) -> None:
    world.causes.answer = (dataclasses.replace(DATA, remedy=None),)
    world.measure(500.0, gauge)
    assert held(world) == ["remedy"]


def test_a_cool_down_holds_until_it_is_over(world: World) -> None:
    past(world, ended_at=world.clock.now() - 55.0)
    world.measure(500.0, gauge)
    assert held(world) == ["cool-down"]
    for _ in range(5):
        world.measure(500.0, gauge)
    assert [action.state for action in retrains(world)][-1] is ActionState.WANTED


def test_a_cool_down_is_shorter_for_a_faster_clock(world: World) -> None:
    world.policy = dataclasses.replace(world.policy, clock_factor=2.0)
    world.start()
    past(world, ended_at=world.clock.now() - 25.0)
    world.measure(500.0, gauge)
    assert held(world) == ["cool-down"]
    for _ in range(5):
        world.measure(500.0, gauge)
    assert [action.state for action in retrains(world)][-1] is ActionState.WANTED


def test_times_per_day_hold(world: World) -> None:
    spec = pipeline(times_per_day=1)
    world.ledger.commit("test", [Put(PIPELINES, spec)])
    past(world)
    world.measure(500.0, gauge)
    assert held(world) == ["times per day"]


def test_what_was_held_back_does_not_count(world: World) -> None:
    world.ledger.commit("test", [Put(PIPELINES, pipeline(times_per_day=1))])
    past(world, state=ActionState.HELD, ended_at=None)
    world.measure(500.0, gauge)
    wanted = [a for a in retrains(world) if a.action_id != "past"]
    assert [action.state for action in wanted] == [ActionState.WANTED]


def test_one_at_a_time(world: World) -> None:
    past(world, state=ActionState.STARTED, ended_at=None)
    world.measure(500.0, gauge)
    assert held(world) == ["one at a time"]


def test_the_budget_of_a_day_holds(world: World) -> None:
    spec = pipeline(budget_per_day_micro_dollars=dollars(5))
    world.ledger.commit("test", [Put(PIPELINES, spec)])
    past(world, cost_micro_dollars=dollars(6))
    world.measure(500.0, gauge)
    assert held(world) == ["budget per day"]


@pytest.mark.parametrize(("quality", "state"), [(0.6, ActionState.WANTED), (0.9, ActionState.HELD)])
def test_quality_below_the_bound_is_a_trigger(
    world: World, quality: float, state: ActionState
) -> None:
    spec = pipeline(triggers=(RetrainTrigger.QUALITY,), quality_below=0.7)
    world.ledger.commit("test", [Put(PIPELINES, spec)])
    world.measure(500.0, lambda at, value: gauge(at, value, "quality"))
    (group,) = world.groups()
    alarm = dataclasses.replace(group.alarms[0], value=quality)
    assert guard_state(world, dataclasses.replace(group, alarms=(alarm,))) is state


def guard_state(world: World, group: SuperAlarm) -> ActionState:
    """Return what becomes of a retraining when the group is as given."""
    deletes = [Delete(ACTIONS, action.action_id) for action in retrains(world)]
    world.ledger.commit("test", [Put(SUPER_ALARMS, group), *deletes])
    world.watcher.step()
    return retrains(world)[0].state


def test_without_a_trigger_a_person_must_ask(world: World) -> None:
    world.ledger.commit("test", [Put(PIPELINES, pipeline(triggers=(RetrainTrigger.SCHEDULE,)))])
    world.measure(500.0, gauge)
    assert held(world) == ["trigger"]


def test_what_is_held_ends_with_its_super_alarm(world: World) -> None:
    world.causes.answer = (dataclasses.replace(DATA, remedy=None),)
    world.measure(500.0, gauge)
    for _ in range(7):
        world.measure(1.0, gauge)
    assert world.groups()[0].state is SuperAlarmState.RESOLVED
    (action,) = retrains(world)
    assert action.state is ActionState.DONE
    assert "not needed" in action.result


def test_guards_say_what_a_run_costs(world: World) -> None:
    plan = samples.plan(samples.chain(), samples.fleet("c"))
    (name,) = {spec.name for spec in plan.request.pipelines}
    run = Run(
        run_id=RunId("r-1"),
        pipeline=name,
        plan_id=plan.plan_id,
        cause=RunCause.SUBMITTED,
        state=RunState.SUCCEEDED,
        created_at=1.0,
    )
    world.ledger.commit("test", [Put(PLANS, plan), Put(RUNS, run)])
    world.measure(500.0, gauge)
    promised = [p.run_cost_micro_dollars for p in plan.placement.promises]
    assert retrains(world)[0].cost_micro_dollars == (promised[0] if promised else 0)


def test_a_run_whose_plan_is_gone_costs_nothing_known(world: World) -> None:
    run = Run(
        run_id=RunId("r-1"),
        pipeline=PipelineName("heart"),
        plan_id=PlanId("p-gone"),
        cause=RunCause.SUBMITTED,
        state=RunState.SUCCEEDED,
        created_at=1.0,
    )
    world.ledger.commit("test", [Put(RUNS, run)])
    world.measure(500.0, gauge)
    assert retrains(world)[0].cost_micro_dollars == 0


def test_a_lost_cluster_is_planned_around_once(world: World) -> None:
    world.causes.answer = (LOST,)
    world.measure(500.0, gauge)
    for _ in range(3):
        world.measure(0.0, reachable)
    (action,) = world.actions(ActionKind.REPLAN)
    assert (action.subject, action.pipeline) == ("cluster:c", None)


def test_a_cluster_that_answers_is_not_planned_around(world: World) -> None:
    world.causes.answer = (LOST,)
    world.measure(1.0, reachable)
    world.measure(500.0, gauge)
    assert not world.actions(ActionKind.REPLAN)


def health(world: World, since: float, *, is_up: bool) -> None:
    known = ClusterHealth(cluster="c", reachable=is_up, since=since)
    world.ledger.commit("test", [Put(CLUSTER_HEALTH, known)])


def test_what_the_engine_knows_of_a_cluster_counts(world: World) -> None:
    world.causes.answer = (LOST,)
    world.measure(1.0, reachable)
    health(world, 1_000.0, is_up=False)
    world.measure(500.0, gauge)
    assert len(world.actions(ActionKind.REPLAN)) == 1


def test_a_cluster_lost_again_is_planned_around_again(world: World) -> None:
    world.causes.answer = (LOST,)
    world.measure(500.0, gauge)
    for value in (0.0, 1.0, 0.0, 0.0):
        world.measure(value, reachable)
    assert len(world.actions(ActionKind.REPLAN)) == 2


def test_a_cluster_of_another_system_is_not_planned_around(world: World) -> None:
    world.causes.answer = (dataclasses.replace(LOST, subject="cluster:theirs"),)
    world.measure(0.0, reachable)
    world.measure(500.0, gauge)
    assert not world.actions(ActionKind.REPLAN)


def test_a_plan_that_failed_is_tried_again_when_a_cluster_changes(world: World) -> None:
    world.causes.answer = (LOST,)
    health(world, 1.0, is_up=False)
    world.measure(500.0, gauge)
    (action,) = world.actions(ActionKind.REPLAN)
    now = world.clock.now()
    world.put(dataclasses.replace(action, state=ActionState.FAILED, ended_at=now))
    world.measure(500.0, gauge)
    assert len(world.actions(ActionKind.REPLAN)) == 1
    health(world, now + 5, is_up=False)
    world.measure(500.0, gauge)
    assert len(world.actions(ActionKind.REPLAN)) == 2


def test_there_is_one_message_per_super_alarm(world: World) -> None:
    for _ in range(3):
        world.measure(500.0, gauge)
    (action,) = world.actions(ActionKind.NOTIFY)
    assert action.state is ActionState.DONE
    assert {group.super_alarm_id for group in world.notifier.told} == {action.super_alarm_id}


def test_a_message_is_edited_when_something_changes(world: World) -> None:
    world.causes.answer = (dataclasses.replace(DATA, belief=0.2),)
    world.measure(500.0, gauge)
    for _ in range(8):
        world.measure(1.0, gauge)
    assert [group.state for group in world.notifier.told] == [
        SuperAlarmState.OPEN,
        SuperAlarmState.RESOLVED,
    ]


def test_a_channel_that_does_not_answer_is_told_later(world: World) -> None:
    world.notifier.error = UnreachableError("no route")
    world.measure(500.0, gauge)
    assert world.actions(ActionKind.NOTIFY)[0].state is ActionState.WANTED
    world.watcher.step()
    assert world.actions(ActionKind.NOTIFY)[0].state is ActionState.DONE


def test_a_channel_that_refuses_is_noted(world: World) -> None:
    world.notifier.error = FinalError("no such channel")
    world.measure(500.0, gauge)
    (action,) = world.actions(ActionKind.NOTIFY)
    assert (action.state, action.result) == (ActionState.FAILED, "no such channel (B000)")
    assert not world.watcher.step()


def test_what_closed_before_anybody_was_told_is_not_told(world: World) -> None:
    world.measure(500.0, gauge)
    (group,) = world.groups()
    closed = dataclasses.replace(group, state=SuperAlarmState.RESOLVED)
    notify = f"{group.super_alarm_id}.notify"
    world.ledger.commit("test", [Put(SUPER_ALARMS, closed), Delete(ACTIONS, notify)])
    world.watcher.step()
    assert not world.actions(ActionKind.NOTIFY)


def test_a_faster_clock_waits_less() -> None:
    policy = WatchPolicy().scaled(60.0)
    assert policy.quiet_seconds == 5.0
    assert policy.day_seconds == 86_400.0
