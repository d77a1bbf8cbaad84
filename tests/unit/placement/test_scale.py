"""A fleet of ten clusters and two hundred tasks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.model.plans import Mode, Placement
from placement import CpSatPlacer
from tests.support import placement_problems as make


@pytest.fixture(scope="module")
def large() -> Placement:
    problem = make.random_problem(1, tasks=200, clusters=10, tight=0.25)
    request = replace(problem.request, work_limit=1.0)
    return CpSatPlacer().place(replace(problem, request=request))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_large_plan_is_near_the_best_possible(large: Placement) -> None:
    assert len(large.assignments) + len(large.unplaced) == 200
    assert 0.0 <= large.gap <= 0.05


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_no_alternative_of_a_large_plan_is_cheaper(large: Placement) -> None:
    verdicts = [v for e in large.explanations for v in e.verdicts]
    deltas = [v.delta_micro_dollars for v in verdicts if v.delta_micro_dollars is not None]
    assert min(deltas) >= 0


def test_a_fleet_with_more_weight_than_room_has_a_bound_too() -> None:
    problem = make.random_problem(3, tasks=40, clusters=1, tight=0.1)
    placement = CpSatPlacer().place(problem)
    assert placement.unplaced
    assert 0 < placement.bound_micro_dollars <= placement.objective_micro_dollars


def test_least_cost_of_many_pipelines() -> None:
    problem = make.random_problem(5, tasks=30, clusters=6, mode=Mode.LEAST_COST, tight=3.0)
    relaxed = [make.pipeline(*p.tasks, name=p.name) for p in problem.request.pipelines]
    again = make.problem(
        relaxed, problem.request.fleet, problem.profiles, mode=Mode.LEAST_COST, work_limit=4.0
    )
    placement = CpSatPlacer().place(again)
    assert not placement.unplaced
    assert placement.gap <= 0.03
