"""Deadlines that may be passed at a price, against trying everything."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.model.identifiers import MicroDollars
from engine.model.plans import Mode, PlacementProblem, Ruling
from placement import CpSatPlacer
from tests.property.placement.test_optimality import small, weight_left_out
from tests.support import placement_brute_force as brute_force
from tests.support import placement_problems as make

SEEDS = st.integers(min_value=0, max_value=10**6)
CALM = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def priced(problem: PlacementProblem, seed: int) -> PlacementProblem:
    """The same problem with prices of lateness, some of them small."""
    chance = random.Random(seed)
    pipelines = tuple(
        replace(
            p,
            sla=replace(
                p.sla,
                late_micro_dollars_per_hour=MicroDollars(
                    chance.choice((10**4, 10**5, 10**6, 10**7))
                ),
            ),
        )
        if p.sla.deadline is not None and chance.random() < 0.7
        else p
        for p in problem.request.pipelines
    )
    return replace(problem, request=replace(problem.request, pipelines=pipelines))


@CALM
@given(SEEDS)
def test_most_sla_finds_what_trying_everything_finds(seed: int) -> None:
    problem = priced(small(seed, Mode.MOST_SLA), seed)
    placement = CpSatPlacer().place(problem)
    found = (weight_left_out(problem, placement), placement.objective_micro_dollars)
    assert found == brute_force.best(problem)
    assert placement.bound_micro_dollars <= placement.objective_micro_dollars
    assert placement.optimal


@CALM
@given(SEEDS)
def test_no_alternative_is_cheaper_than_the_plan(seed: int) -> None:
    problem = priced(make.random_problem(seed, tasks=8, clusters=3, tight=0.3), seed)
    for explanation in CpSatPlacer().place(problem).explanations:
        for verdict in explanation.verdicts:
            if verdict.ruling is Ruling.POSSIBLE:
                assert verdict.delta_micro_dollars is not None
                assert verdict.delta_micro_dollars >= 0
