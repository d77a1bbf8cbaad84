"""Re-plans and retrainings are carried out once, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.dispatching import submit
from engine.model.alarms import Action, ActionKind, ActionState
from engine.model.dispatches import (
    Deployment,
    Run,
    RunCause,
    RunState,
    TaskState,
)
from engine.model.fleet import Fleet
from engine.model.identifiers import Digest, RunId, TaskName
from engine.model.plans import Mode, Plan, PlanRequest
from engine.model.records import (
    ACTIONS,
    ATTEMPTS,
    DEPLOYMENTS,
    EVENTS,
    PIPELINES,
    PLANS,
    RUNS,
    TASK_RUNS,
    Delete,
    Put,
)
from engine.model.specs import Deadline, Sla
from engine.planning import ActionReconciler, Planner
from engine.ports import Ledger
from engine.store import begin_term
from engine.testing import samples
from engine.testing.clocks import ManualClock
from engine.testing.crash import CrashingLedger, CrashPlan, CrashPoints
from tests.support.planning import (
    NOW,
    FirstPlacer,
    live_attempt,
    put,
    serving,
    set_task,
    wanted,
)

REPLAN = wanted(ActionKind.REPLAN, "cluster:eu-1")
RETRAIN = wanted(ActionKind.RETRAIN, "pipeline:heart", pipeline="heart")


class StopError(Exception):
    """Stands for the end of the process."""


def stop() -> None:
    raise StopError


@pytest.fixture
def run(ledger: Ledger, clock: ManualClock, planner: Planner, request_for: PlanRequest) -> Run:
    """A run of `heart` whose etl has ended and whose train task runs on eu-1."""
    spec = replace(request_for.pipelines[0], sla=Sla(deadline=Deadline(within_seconds=600.0)))
    plan = planner.plan(replace(request_for, pipelines=(spec,)), [])
    submitted = submit(ledger, clock, plan, "heart")
    set_task(ledger, submitted.run_id, "etl", TaskState.SUCCEEDED)
    set_task(ledger, submitted.run_id, "train", TaskState.RUNNING, "eu-1")
    put(ledger, (ATTEMPTS, live_attempt(submitted.run_id, "train", "eu-1")))
    clock.advance(5.0)
    return submitted


@pytest.fixture
def reconciler(
    ledger: Ledger, planner: Planner, source: samples.FixedFleet, clock: ManualClock
) -> ActionReconciler:
    return ActionReconciler(ledger, planner, source, clock)


@pytest.fixture
def outcome(ledger: Ledger, reconciler: ActionReconciler) -> Callable[[Action], Action]:
    """Store an action, take one step, and return what became of the action."""

    def of(action: Action) -> Action:
        put(ledger, (ACTIONS, action))
        assert reconciler.step()
        return stored_action(ledger, action)

    return of


Outcome = Callable[[Action], Action]


def stored_action(ledger: Ledger, action: Action) -> Action:
    stored = ledger.get(ACTIONS, action.action_id)
    assert stored is not None
    return stored.value


def plan_in_force(ledger: Ledger, run_id: str) -> Plan:
    run = ledger.get(RUNS, run_id)
    assert run is not None
    plan = ledger.get(PLANS, run.value.plan_id)
    assert plan is not None
    return plan.value


def places(plan: Plan) -> dict[str, str]:
    return {str(item.task): str(item.cluster) for item in plan.placement.assignments}


def test_without_actions_nothing_changes(reconciler: ActionReconciler) -> None:
    assert not reconciler.step()


def test_a_replan_moves_everything_off_a_lost_cluster(
    ledger: Ledger, run: Run, source: samples.FixedFleet, outcome: Outcome
) -> None:
    source.down.add("eu-1")
    action = outcome(REPLAN)
    plan = plan_in_force(ledger, run.run_id)
    assert places(plan) == {"train": "eu-2", "package": "eu-2", "serve": "eu-2"}
    assert (action.state, action.plan_id, action.run_id) == (
        ActionState.DONE,
        plan.plan_id,
        run.run_id,
    )


def test_the_result_of_a_replan_is_its_diff(
    run: Run, source: samples.FixedFleet, outcome: Outcome
) -> None:
    source.down.add("eu-1")
    result = outcome(REPLAN).result
    assert result.startswith("r-1: heart/train moves from eu-1/nodes to eu-2/nodes;")


def test_a_replan_keeps_what_runs_where_it_runs(
    ledger: Ledger, run: Run, source: samples.FixedFleet, outcome: Outcome
) -> None:
    put(ledger, (ATTEMPTS, live_attempt(run.run_id, "train", "us-1")))
    set_task(ledger, run.run_id, "train", TaskState.RUNNING, "us-1")
    source.down.add("eu-1")
    outcome(REPLAN)
    assert places(plan_in_force(ledger, run.run_id))["train"] == "us-1"


def test_a_replan_keeps_a_server_of_an_earlier_run(
    ledger: Ledger,
    run: Run,
    clock: ManualClock,
    source: samples.FixedFleet,
    outcome: Outcome,
) -> None:
    earlier = submit(ledger, clock, plan_in_force(ledger, run.run_id), "heart")
    serving(ledger, earlier.run_id, "us-1")
    source.down.add("eu-1")
    outcome(REPLAN)
    assert places(plan_in_force(ledger, run.run_id))["serve"] == "us-1"


def test_a_replan_keeps_the_promised_instant(
    ledger: Ledger, run: Run, source: samples.FixedFleet, outcome: Outcome
) -> None:
    source.down.add("eu-1")
    outcome(REPLAN)
    spec = plan_in_force(ledger, run.run_id).request.pipelines[0]
    assert spec.sla.deadline == Deadline(at_seconds=NOW + 600.0)


def test_a_replan_knows_where_tasks_had_their_places(
    ledger: Ledger, run: Run, source: samples.FixedFleet, outcome: Outcome
) -> None:
    before = plan_in_force(ledger, run.run_id)
    source.down.add("eu-1")
    outcome(REPLAN)
    known = plan_in_force(ledger, run.run_id).request.moved_from
    assert known == {
        f"heart/{a.task}": f"{a.cluster}/{a.pool}" for a in before.placement.assignments
    }


def test_a_replan_is_told_as_an_event(
    ledger: Ledger, run: Run, source: samples.FixedFleet, outcome: Outcome
) -> None:
    source.down.add("eu-1")
    action = outcome(REPLAN)
    (event,) = [e.value for e in ledger.select(EVENTS, where={"kind": "plan"})]
    assert (event.labels["plan"], event.labels["run"]) == (action.plan_id, run.run_id)


def test_a_replan_for_a_pipeline_takes_its_runs_only(
    ledger: Ledger, run: Run, outcome: Outcome
) -> None:
    other = wanted(ActionKind.REPLAN, "cluster:eu-1", pipeline="other")
    assert outcome(other).result == "nothing to move: no task depends on cluster:eu-1"
    mine = wanted(ActionKind.REPLAN, "cluster:eu-2", pipeline="heart")
    assert outcome(mine).run_id == run.run_id


def test_a_replan_leaves_runs_elsewhere_alone(ledger: Ledger, run: Run, outcome: Outcome) -> None:
    action = outcome(wanted(ActionKind.REPLAN, "cluster:us-1"))
    assert (action.state, action.plan_id) == (ActionState.DONE, None)
    assert plan_in_force(ledger, run.run_id).plan_id == run.plan_id


def test_tasks_without_a_run_or_plan_are_passed_over(
    ledger: Ledger, run: Run, outcome: Outcome
) -> None:
    set_task(ledger, run.run_id, "train", TaskState.WAITING)
    ledger.commit("test", [Delete(PLANS, run.plan_id)])
    assert outcome(REPLAN).plan_id is None
    ledger.commit("test", [Delete(RUNS, run.run_id)])
    assert outcome(REPLAN).run_id is None


def test_a_replan_of_a_run_without_a_plan_fails(ledger: Ledger, run: Run, outcome: Outcome) -> None:
    ledger.commit("test", [Delete(PLANS, run.plan_id)])
    action = outcome(REPLAN)
    assert action.state is ActionState.FAILED
    assert "is not stored (D001)" in action.result


def test_when_not_everything_can_be_kept_most_is(
    ledger: Ledger, run: Run, placer: FirstPlacer, source: samples.FixedFleet, outcome: Outcome
) -> None:
    source.down.add("eu-1")
    placer.strict = True
    assert outcome(REPLAN).state is ActionState.DONE
    assert plan_in_force(ledger, run.run_id).request.mode is Mode.MOST_SLA


def test_a_replan_without_promises_keeps_the_spec(
    ledger: Ledger, clock: ManualClock, source: samples.FixedFleet, outcome: Outcome
) -> None:
    plan = samples.plan(samples.chain(), source.fleet(), {"etl": "eu-1"})
    run = submit(ledger, clock, plan, "heart")
    source.down.add("eu-1")
    outcome(REPLAN)
    assert plan_in_force(ledger, run.run_id).request.pipelines == plan.request.pipelines


@pytest.mark.usefixtures("run")
def test_a_retraining_is_a_new_run_with_the_remedy(ledger: Ledger, outcome: Outcome) -> None:
    action = outcome(RETRAIN)
    stored = ledger.get(RUNS, "r-2")
    assert stored is not None
    run = stored.value
    assert (run.cause, run.reason, run.state) == (RunCause.RETRAIN, "SA-1", RunState.ACTIVE)
    assert run.parameters == {"etl.unit.chol": "mmol/L"}
    assert (action.state, action.run_id) == (ActionState.STARTED, "r-2")
    assert action.cost_micro_dollars == 4_000


@pytest.mark.usefixtures("run")
def test_a_retraining_runs_every_task_again(ledger: Ledger, outcome: Outcome) -> None:
    outcome(RETRAIN)
    tasks = ledger.select(TASK_RUNS, where={"run_id": "r-2"})
    assert {str(task.value.task) for task in tasks} == {"etl", "train", "package", "serve"}
    assert {task.value.state for task in tasks} == {TaskState.WAITING}


@pytest.mark.usefixtures("run")
def test_a_retraining_goes_around_what_runs(
    ledger: Ledger, placer: FirstPlacer, outcome: Outcome
) -> None:
    outcome(RETRAIN)
    request = plan_in_force(ledger, "r-2").request
    assert {r.holder for r in request.reservations} == {"heart/train", "heart/package"}
    assert request.pipelines[0].sla.deadline == Deadline(within_seconds=600.0)


def test_a_retraining_keeps_the_server_where_it_is(
    ledger: Ledger, run: Run, outcome: Outcome
) -> None:
    serving(ledger, run.run_id, "us-1")
    outcome(RETRAIN)
    assert places(plan_in_force(ledger, "r-2"))["serve"] == "us-1"


@pytest.mark.usefixtures("run")
def test_a_first_run_may_be_a_retraining(ledger: Ledger, outcome: Outcome) -> None:
    put(ledger, (PIPELINES, replace(samples.chain(), name="fresh")))
    action = outcome(wanted(ActionKind.RETRAIN, "pipeline:fresh", pipeline="fresh"))
    assert action.state is ActionState.STARTED


def test_an_unknown_pipeline_cannot_be_trained_again(outcome: Outcome) -> None:
    action = outcome(RETRAIN)
    assert action.state is ActionState.FAILED
    assert "there is no pipeline 'heart'" in action.result


@pytest.mark.usefixtures("run")
def test_a_retraining_that_has_no_place_fails(
    ledger: Ledger, placer: FirstPlacer, outcome: Outcome
) -> None:
    placer.full = True
    action = outcome(RETRAIN)
    assert (action.state, action.ended_at) == (ActionState.FAILED, NOW + 5)
    assert action.result == "no cluster can run task 'etl': memory (S012)"
    assert ledger.get(RUNS, "r-2") is None


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    ("state", "reason", "ended", "result"),
    [
        (RunState.SUCCEEDED, "", ActionState.DONE, "r-2 succeeded; sha256:new serves"),
        (RunState.FAILED, "a gate", ActionState.FAILED, "r-2 failed: a gate"),
        (RunState.CANCELLED, "", ActionState.FAILED, "r-2 cancelled"),
    ],
)
def test_a_retraining_ends_with_its_run(
    ledger: Ledger,
    reconciler: ActionReconciler,
    outcome: Outcome,
    state: RunState,
    reason: str,
    ended: ActionState,
    result: str,
) -> None:
    run_id = outcome(RETRAIN).run_id
    assert not reconciler.step()
    run = ledger.get(RUNS, run_id or "")
    assert run is not None
    digest = Digest("sha256:new")
    deployment = Deployment(
        pipeline=run.value.pipeline,
        task=TaskName("serve"),
        run_id=RunId("r-2"),
        wanted=digest,
        serving=digest,
    )
    put(ledger, (RUNS, replace(run.value, state=state, reason=reason)), (DEPLOYMENTS, deployment))
    assert reconciler.step()
    action = stored_action(ledger, RETRAIN)
    assert (action.state, action.result) == (ended, result)


@pytest.mark.usefixtures("run")
def test_a_retraining_of_what_serves_nothing_just_succeeds(
    ledger: Ledger, reconciler: ActionReconciler, outcome: Outcome
) -> None:
    run = ledger.get(RUNS, outcome(RETRAIN).run_id or "")
    assert run is not None
    put(ledger, (RUNS, replace(run.value, state=RunState.SUCCEEDED)))
    reconciler.step()
    assert stored_action(ledger, RETRAIN).result == "r-2 succeeded"


@pytest.mark.parametrize("action", [REPLAN, RETRAIN], ids=["re-plan", "retrain"])
@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.usefixtures("run")
def test_a_crash_at_a_commit_neither_loses_nor_repeats_an_action(
    ledger: Ledger,
    planner: Planner,
    source: samples.FixedFleet,
    clock: ManualClock,
    action: Action,
    side: str,
) -> None:
    source.down.add("eu-1")
    put(ledger, (ACTIONS, action))
    name = "plan.replan" if action is REPLAN else "plan.retrain"
    points = CrashPoints(CrashPlan(f"commit:{name}:{side}"), crash=stop)
    with pytest.raises(StopError):
        ActionReconciler(CrashingLedger(ledger, points), planner, source, clock).step()
    restarted = ActionReconciler(ledger, planner, source, clock)
    assert restarted.step() is (side == "before")
    assert not restarted.step()
    assert len(ledger.select(RUNS)) == (1 if action is REPLAN else 2)
    assert len(ledger.select(PLANS)) == 2


@pytest.mark.usefixtures("run")
def test_an_action_that_somebody_else_changed_is_left_to_the_next_step(
    ledger: Ledger, planner: Planner, placer: FirstPlacer, clock: ManualClock
) -> None:
    put(ledger, (ACTIONS, RETRAIN))

    class Busy(samples.FixedFleet):
        def fleet(self) -> Fleet:
            put(ledger, (ACTIONS, RETRAIN))
            return super().fleet()

    busy = Busy(samples.fleet("eu-1"))
    assert not ActionReconciler(ledger, planner, busy, clock).step()
    assert ledger.get(RUNS, "r-2") is None


@pytest.mark.usefixtures("run")
def test_an_engine_that_was_replaced_writes_nothing(
    ledger: Ledger, planner: Planner, source: samples.FixedFleet, clock: ManualClock
) -> None:
    term = begin_term(ledger, clock, "old")
    begin_term(ledger, clock, "new")
    ledger.commit("test", [Put(ACTIONS, RETRAIN)])
    assert not ActionReconciler(ledger, planner, source, clock, term=term).step()
    assert stored_action(ledger, RETRAIN).state is ActionState.WANTED
