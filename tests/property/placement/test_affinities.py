"""Tasks that must stand near each other, or apart, against trying everything."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.model.errors import InfeasibleError
from engine.model.identifiers import TaskName
from engine.model.plans import Mode, PlacementProblem, Ruling
from engine.model.specs import Affinity, PipelineSpec, TaskSpec, Within
from placement import CpSatPlacer
from placement.problem.building import Terms, build
from placement.search import greedy, solving
from placement.settling import settled
from tests.property.placement.test_lateness_properties import priced
from tests.property.placement.test_optimality import small, weight_left_out
from tests.support import affinity_definition
from tests.support import placement_brute_force as brute_force
from tests.support import placement_problems as make

SEEDS = st.integers(min_value=0, max_value=10**6)
CALM = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
LABELS = ("red", "blue")


def bound(problem: PlacementProblem, seed: int, share: float = 0.5) -> PlacementProblem:
    """The same problem with some affinities, by name and by label."""
    chance = random.Random(seed)

    def affinity(pipeline: PipelineSpec, task: TaskSpec) -> Affinity:
        others = [t.name for t in pipeline.tasks if t is not task]
        within = chance.choice(list(Within))
        if others and chance.random() < 0.5:
            return Affinity(within=within, tasks=(TaskName(chance.choice(others)),))
        return Affinity(within=within, labels={"team": chance.choice(LABELS)})

    def change(pipeline: PipelineSpec, task: TaskSpec) -> TaskSpec:
        count = int(chance.random() < share)
        key = chance.choice(("beside", "apart_from", "apart_from"))
        labels = {"team": chance.choice(LABELS)} if chance.random() < 0.7 else {}
        affinities = tuple(affinity(pipeline, task) for _ in range(count))
        return replace(task, labels=labels, **{key: affinities})

    pipelines = tuple(
        replace(p, tasks=tuple(change(p, t) for t in p.tasks)) for p in problem.request.pipelines
    )
    return replace(problem, request=replace(problem.request, pipelines=pipelines))


@CALM
@given(SEEDS)
def test_most_sla_finds_what_trying_everything_finds(seed: int) -> None:
    problem = bound(small(seed, Mode.MOST_SLA), seed)
    placement = CpSatPlacer().place(problem)
    found = (weight_left_out(problem, placement), placement.objective_micro_dollars)
    assert found == brute_force.best(problem)
    assert placement.bound_micro_dollars <= placement.objective_micro_dollars


@CALM
@given(SEEDS)
def test_least_cost_finds_what_trying_everything_finds(seed: int) -> None:
    problem = bound(small(seed, Mode.LEAST_COST), seed)
    expected = brute_force.best(problem)
    if expected is None:
        with pytest.raises(InfeasibleError):
            CpSatPlacer().place(problem)
    else:
        assert (0, CpSatPlacer().place(problem).objective_micro_dollars) == expected


@CALM
@given(SEEDS)
def test_no_plan_breaks_an_affinity_on_any_machine(seed: int) -> None:
    problem = bound(make.random_problem(seed, tasks=12, clusters=3, tight=0.6), seed)
    found = settled(problem)
    assert found.plan is not None
    assert affinity_definition.broken(found.instance, found.plan) == []


@CALM
@given(SEEDS)
def test_no_alternative_is_cheaper_and_every_refusal_names_a_limit(seed: int) -> None:
    problem = bound(make.random_problem(seed, tasks=8, clusters=3, tight=0.5), seed)
    for explanation in CpSatPlacer().place(problem).explanations:
        for verdict in explanation.verdicts:
            if verdict.ruling is Ruling.POSSIBLE:
                assert verdict.delta_micro_dollars is not None
                assert verdict.delta_micro_dollars >= 0
            else:
                assert (verdict.binding is None) == (verdict.ruling is Ruling.CHOSEN)


@settings(CALM, max_examples=6)
@given(SEEDS)
def test_searching_without_the_whole_model_keeps_every_affinity_too(seed: int) -> None:
    problem = bound(make.random_problem(seed, tasks=10, clusters=3, tight=0.6), seed)
    instance = build(priced(problem, seed), Terms())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solving, "WHOLE_OPTIONS", 0)
        effort = solving.Effort(all_placed=False, seed=0, work_limit=0.1)
        found = solving.search(instance, effort)
    assert found.plan is not None
    assert affinity_definition.broken(instance, found.plan) == []
    assert found.bound <= greedy.value(instance, found.plan)[1]


@CALM
@given(SEEDS)
def test_the_order_of_pipelines_decides_nothing(seed: int) -> None:
    problem = bound(small(seed, Mode.MOST_SLA), seed)
    pipelines = problem.request.pipelines[::-1]
    turned = replace(problem, request=replace(problem.request, pipelines=pipelines))
    first, second = (CpSatPlacer().place(each) for each in (problem, turned))
    assert weight_left_out(problem, first) == weight_left_out(turned, second)
    assert first.objective_micro_dollars == second.objective_micro_dollars
