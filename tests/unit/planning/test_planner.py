"""A plan follows from its request alone, and its id from its content."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.model.documents import decode, encode
from engine.model.errors import InvalidInputError
from engine.model.plans import Plan, PlanRequest
from engine.model.profiles import RunRecord
from engine.model.specs import Limits
from engine.planning import Planner, plan_id
from tests.support.planning import FirstPlacer, SampleForecaster


def test_every_task_has_a_profile_and_a_place(planner: Planner, request_for: PlanRequest) -> None:
    plan = planner.plan(request_for, [])
    keys = {"heart/etl", "heart/train", "heart/package", "heart/serve"}
    assert set(plan.profiles) == keys
    assert {f"{a.pipeline}/{a.task}" for a in plan.placement.assignments} == keys


def test_the_same_request_gives_the_same_bytes(planner: Planner, request_for: PlanRequest) -> None:
    assert encode(planner.plan(request_for, [])) == encode(planner.plan(request_for, []))


def test_another_request_gives_another_id(planner: Planner, request_for: PlanRequest) -> None:
    other = replace(request_for, seed=1)
    assert planner.plan(request_for, []).plan_id != planner.plan(other, []).plan_id


def test_the_id_is_that_of_the_content(planner: Planner, request_for: PlanRequest) -> None:
    plan = planner.plan(request_for, [])
    assert plan.plan_id.startswith("p-")
    assert len(plan.plan_id) == 10
    assert plan_id(decode(Plan, encode(plan))) == plan.plan_id


def test_profiles_learn_from_the_history(
    planner: Planner, forecaster: SampleForecaster, request_for: PlanRequest, record: RunRecord
) -> None:
    planner.plan(request_for, [record])
    assert forecaster.history == [record]


def test_a_plan_for_an_earlier_time_knows_nothing_of_later_runs(
    planner: Planner, forecaster: SampleForecaster, request_for: PlanRequest, record: RunRecord
) -> None:
    later = replace(record, ended_at=request_for.as_of + 1.0)
    planner.plan(request_for, [record, later])
    assert forecaster.history == [record]


def test_what_the_fleet_has_not_is_refused_before_placing(
    planner: Planner, placer: FirstPlacer, request_for: PlanRequest
) -> None:
    spec = replace(request_for.pipelines[0], limits=Limits(regions=("mars",)))
    with pytest.raises(InvalidInputError, match="has the region or continent 'mars'"):
        planner.plan(replace(request_for, pipelines=(spec,)), [])
    assert placer.problems == []
