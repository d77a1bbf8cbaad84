"""What another plan changes, with effects in cost and time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.model.identifiers import MicroDollars, PipelineName, TaskName
from engine.model.plans import Assignment, Plan, PlanRequest
from engine.model.resources import Resources
from engine.planning import Change, FieldChange, Planner, diff, summary
from tests.support.planning import FirstPlacer


@pytest.fixture
def plan(planner: Planner, request_for: PlanRequest) -> Plan:
    return planner.plan(request_for, [])


def with_train(plan: Plan, **changes: object) -> Plan:
    """Return the plan with fields of the train task's assignment changed."""

    def changed(item: Assignment) -> Assignment:
        return replace(item, **changes) if item.task == "train" else item

    assignments = tuple(changed(item) for item in plan.placement.assignments)
    return replace(plan, placement=replace(plan.placement, assignments=assignments))


def test_a_plan_does_not_differ_from_itself(plan: Plan) -> None:
    difference = diff(plan, plan)
    assert (difference.tasks, difference.unchanged) == ((), 4)


def test_a_task_that_moves_says_from_where_to_where(plan: Plan) -> None:
    other = with_train(
        plan, cluster="us-1", cost_micro_dollars=MicroDollars(4_000), end_seconds_p95=1_100.0
    )
    (task,) = diff(plan, other).tasks
    assert task.change is Change.MOVED
    assert task.fields == (FieldChange(field="place", now="eu-1/nodes", plan="us-1/nodes"),)
    assert task.cost_micro_dollars == 3_000
    assert task.end_seconds == 1_100.0 - 1_016.0


def test_a_move_of_a_replan_says_what_it_costs(plan: Plan) -> None:
    (spec,) = plan.request.pipelines
    priced = replace(spec, limits=replace(spec.limits, move_micro_dollars=MicroDollars(250_000)))
    request = replace(plan.request, pipelines=(priced,), moved_from={"heart/train": "eu-1/nodes"})
    other = replace(with_train(plan, cluster="us-1"), request=request)
    difference = diff(plan, other)
    (task,) = difference.tasks
    assert task.move_micro_dollars == 250_000
    assert "from eu-1/nodes to us-1/nodes (a move costs 0.25 USD)" in summary(difference)


def test_only_a_task_that_stood_somewhere_pays_for_a_move(plan: Plan) -> None:
    other = with_train(plan, cluster="us-1")
    assert [task.move_micro_dollars for task in diff(plan, other).tasks] == [0]


def test_a_task_that_holds_more_is_changed(plan: Plan) -> None:
    other = with_train(plan, held=Resources(cpu_cores=2.0, memory_gib=1.0), node_count=2)
    (task,) = diff(plan, other).tasks
    assert task.change is Change.CHANGED
    assert [(f.field, f.now, f.plan) for f in task.fields] == [
        ("nodes", "1", "2"),
        ("cpu", "1 cores", "2 cores"),
    ]


@pytest.mark.parametrize(("shift", "count"), [(59.0, 0), (60.0, 1)])
def test_a_start_that_hardly_moves_is_the_same(plan: Plan, shift: float, count: int) -> None:
    other = with_train(plan, start_seconds=1_000.0 + shift)
    assert diff(plan, other).count(Change.CHANGED) == count


def test_against_nothing_everything_is_added(plan: Plan) -> None:
    difference = diff(None, plan)
    assert difference.count(Change.ADDED) == 4
    assert difference.run_cost_micro_dollars == 4_000
    assert difference.tasks[0].end_seconds is None


def test_a_task_that_goes_is_removed(plan: Plan) -> None:
    kept = tuple(item for item in plan.placement.assignments if item.task != "train")
    other = replace(plan, placement=replace(plan.placement, assignments=kept))
    (task,) = diff(plan, other).tasks
    assert (task.change, task.why) == (Change.REMOVED, "no longer asked for")
    assert task.cost_micro_dollars == -1_000


def test_a_task_without_a_place_says_why(
    plan: Plan, planner: Planner, placer: FirstPlacer, request_for: PlanRequest
) -> None:
    placer.full = True
    difference = diff(plan, planner.plan(request_for, []))
    assert {task.why for task in difference.tasks} == {"no place: memory"}


def test_a_task_that_ended_is_not_removed(
    plan: Plan, planner: Planner, request_for: PlanRequest
) -> None:
    done = {PipelineName("heart"): (TaskName("etl"),)}
    difference = diff(plan, planner.plan(replace(request_for, done=done), []))
    assert (difference.tasks, difference.unchanged, difference.ended) == ((), 3, 1)
    assert difference.run_cost_micro_dollars == 0


def test_a_summary_names_what_moves_and_what_it_costs(plan: Plan) -> None:
    moved = with_train(plan, cluster="us-1")
    assert summary(diff(plan, moved)) == (
        "heart/train moves from eu-1/nodes to us-1/nodes; 3 unchanged; at the same cost"
    )


def test_a_summary_counts_what_only_changes(plan: Plan) -> None:
    assert summary(diff(plan, with_train(plan, node_count=2))).startswith("1 changed; 3 unchanged")


def test_a_summary_names_what_comes_and_goes(plan: Plan) -> None:
    kept = tuple(item for item in plan.placement.assignments if item.task != "train")
    less = replace(plan, placement=replace(plan.placement, assignments=kept))
    assert "heart/train leaves eu-1/nodes (no longer asked for)" in summary(diff(plan, less))
    assert "heart/train is added at eu-1/nodes" in summary(diff(less, plan))
