"""Small random problems against a search that tries everything."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.model.documents import encode
from engine.model.errors import InfeasibleError
from engine.model.fleet import Pool
from engine.model.identifiers import MicroDollars
from engine.model.plans import Mode, Placement, PlacementProblem, Ruling, task_key
from engine.model.resources import Resource
from engine.model.specs import PipelineSpec
from placement import CpSatPlacer
from tests.support import placement_brute_force as brute_force
from tests.support import placement_problems as make

pytestmark = pytest.mark.slow

SEEDS = st.integers(min_value=0, max_value=10**6)
CALM = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def small(seed: int, mode: Mode) -> PlacementProblem:
    """At most four tasks over three pools that are easily full, with deadlines and budgets."""
    chance = random.Random(seed)
    clusters = [
        make.cluster(f"c{number}", _pool(chance), region=chance.choice(("eu-1", "us-1")))
        for number in range(3)
    ]
    pipelines: list[PipelineSpec] = []
    profiles = {}
    for number in range(2):
        tasks = [
            make.task(f"t{i}", after=(f"t{i - 1}",) if i and chance.random() < 0.6 else ())
            for i in range(chance.choice((1, 2)))
        ]
        spec = make.pipeline(
            *tasks,
            name=f"p{number}",
            deadline=chance.choice((None, 3000.0, 5000.0, 9000.0)),
            weight=chance.choice((1.0, 2.0)),
            regions=chance.choice(((), (), ("eu-1",))),
            budget_micro_dollars=chance.choice((None, MicroDollars(chance.randint(1, 30) * 10**5))),
        )
        pipelines.append(spec)
        for task in tasks:
            profiles[task_key(spec.name, task.name)] = make.profile(
                task,
                seconds=float(chance.choice((900, 1800, 3600))),
                cores=float(chance.choice((1, 2, 4))),
                memory=float(chance.choice((2, 8))),
            )
    return make.problem(pipelines, make.fleet(*clusters), profiles, mode=mode, work_limit=2.0)


def _pool(chance: random.Random) -> Pool:
    return make.pool(
        cores=float(chance.choice((2, 4))),
        memory=float(chance.choice((8, 16))),
        nodes=1,
        price=chance.choice((0.5, 1.0, 2.0)),
        speed=chance.choice((0.5, 1.0, 2.0)),
    )


def placed(problem: PlacementProblem) -> Placement:
    return CpSatPlacer().place(problem)


def weight_left_out(problem: PlacementProblem, placement: Placement) -> int:
    weights = {p.name: round(p.sla.weight * 1000) for p in problem.request.pipelines}
    return sum(weights[u.pipeline] for u in placement.unplaced)


@CALM
@given(SEEDS)
def test_most_sla_finds_what_trying_everything_finds(seed: int) -> None:
    problem = small(seed, Mode.MOST_SLA)
    placement = placed(problem)
    found = (weight_left_out(problem, placement), placement.objective_micro_dollars)
    assert found == brute_force.best(problem)
    assert placement.bound_micro_dollars <= placement.objective_micro_dollars
    assert placement.optimal


@CALM
@given(SEEDS)
def test_least_cost_finds_what_trying_everything_finds(seed: int) -> None:
    problem = small(seed, Mode.LEAST_COST)
    expected = brute_force.best(problem)
    if expected is None:
        with pytest.raises(InfeasibleError):
            placed(problem)
    else:
        assert (0, placed(problem).objective_micro_dollars) == expected


@CALM
@given(SEEDS)
def test_no_alternative_is_cheaper_than_the_plan(seed: int) -> None:
    placement = placed(make.random_problem(seed, tasks=8, clusters=3, tight=0.4))
    verdicts = [v for e in placement.explanations for v in e.verdicts]
    deltas = [v.delta_micro_dollars for v in verdicts if v.ruling is Ruling.POSSIBLE]
    assert all(delta is not None and delta >= 0 for delta in deltas)


@CALM
@given(SEEDS)
def test_no_pool_holds_more_than_it_has(seed: int) -> None:
    problem = small(seed, Mode.MOST_SLA)
    placement = placed(problem)
    for cluster in problem.request.fleet.clusters:
        has = cluster.pools[0].shape.resources.times(cluster.pools[0].node_count)
        here = [a for a in placement.assignments if a.cluster == cluster.name]
        for moment in (a.start_seconds for a in here):
            now = [
                a
                for a in here
                if a.end_seconds_p95 is not None
                and a.start_seconds <= moment < a.end_seconds_p95 - 0.01
            ]
            for resource in (Resource.CPU, Resource.MEMORY):
                assert sum(a.held.of(resource) for a in now) <= has.of(resource) + 1e-9


@CALM
@given(SEEDS)
def test_the_same_problem_gives_the_same_bytes(seed: int) -> None:
    problem = make.random_problem(seed, tasks=6, clusters=3, tight=0.3)
    again = replace(problem, request=replace(problem.request))
    assert encode(placed(problem)) == encode(placed(again))


@CALM
@given(SEEDS)
def test_every_pool_has_one_verdict_for_every_task(seed: int) -> None:
    problem = make.random_problem(seed, tasks=6, clusters=3, tight=0.3)
    pools = [(c.name, p.name) for c in problem.request.fleet.clusters for p in c.pools]
    for explanation in placed(problem).explanations:
        assert [(v.cluster, v.pool) for v in explanation.verdicts] == pools
        refused = [v for v in explanation.verdicts if v.ruling is Ruling.REFUSED]
        assert all(v.binding is not None for v in refused)


@CALM
@given(SEEDS)
def test_tasks_start_after_those_they_wait_for(seed: int) -> None:
    problem = make.random_problem(seed, tasks=8, clusters=3, tight=0.3)
    by_key = {task_key(a.pipeline, a.task): a for a in placed(problem).assignments}
    for spec in problem.request.pipelines:
        for task in spec.tasks:
            later = by_key.get(task_key(spec.name, task.name))
            for name in task.after if later else ():
                earlier = by_key[task_key(spec.name, name)]
                assert earlier.end_seconds_p50 is not None
                assert later is not None
                assert later.start_seconds >= earlier.end_seconds_p50 - 0.01
