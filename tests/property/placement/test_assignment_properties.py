"""What holds for every assignment problem."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.assignment.effort import Effort
from placement.assignment.plans import Plan
from placement.assignment.problem import AssignmentProblem
from placement.assignment.solving import resolve, solve
from tests.support import assignment_problems as make

LITTLE = Effort(rounds=2, steps=100, exact_work=0.05)
SETTINGS = settings(max_examples=15, deadline=None)


@st.composite
def problems(draw: st.DrawFn) -> AssignmentProblem:
    """Return a problem of up to twelve items and five bins."""
    return make.random_problem(
        draw(st.integers(0, 10_000)),
        items=draw(st.integers(1, 12)),
        bins=draw(st.integers(1, 5)),
        rows=draw(st.integers(1, 4)),
        by_bin=draw(st.booleans()),
    )


@SETTINGS
@given(problem=problems(), moments=st.integers(1, 6))
def test_a_plan_keeps_every_limit_whenever_it_is_stopped(
    problem: AssignmentProblem, moments: int
) -> None:
    left = iter(range(moments - 1))
    effort = dataclasses.replace(LITTLE, watch=lambda _: next(left, None) is not None)
    solution = solve(problem, effort)
    assert make.fits(problem, solution.plan.units)
    assert make.cost(problem, solution.plan.units) == solution.cost >= solution.bound


@SETTINGS
@given(problem=problems())
def test_more_capacity_is_never_worse_beyond_the_gap(problem: AssignmentProblem) -> None:
    tight = solve(problem, LITTLE)
    loose = solve(dataclasses.replace(problem, capacity=problem.capacity + 3), LITTLE)
    assert loose.cost <= tight.cost + (loose.cost - loose.bound)
    assert loose.bound <= tight.cost


@SETTINGS
@given(problem=problems(), seed=st.integers(0, 100))
def test_order_of_items_and_bins_changes_no_bound(problem: AssignmentProblem, seed: int) -> None:
    draw = np.random.default_rng(seed)
    items, bins = draw.permutation(problem.items), draw.permutation(problem.bins)
    by_bin = problem.demand.shape[1] > 1
    again = dataclasses.replace(
        problem,
        count=problem.count[items],
        cost=problem.cost[np.ix_(items, bins)],
        eligible=problem.eligible[np.ix_(items, bins)],
        demand=problem.demand[items][:, bins] if by_bin else problem.demand[items],
        capacity=problem.capacity[bins],
        drop_cost=problem.drop_cost[items],
        must_place=problem.must_place[items],
    )
    one, other = solve(problem, LITTLE), solve(again, LITTLE)
    assert one.bound == other.bound
    gap = max(one.gap, other.gap)
    assert max(one.cost, other.cost) <= min(one.cost, other.cost) * (1 + gap) + 1e-6


@SETTINGS
@given(
    problem=problems(),
    seed=st.integers(0, 100),
    price=st.integers(0, 50),
    most=st.integers(0, 5),
)
def test_a_replan_keeps_every_limit_and_pays_for_itself(
    problem: AssignmentProblem, seed: int, price: int, most: int
) -> None:
    draw = np.random.default_rng(seed)
    plan = Plan(units=draw.integers(0, 3, problem.cost.shape))
    paid = np.full(problem.items, price, dtype=np.int64)
    solution = resolve(problem, plan, LITTLE, move_cost=paid, most_moved=most)
    assert make.fits(problem, solution.plan.units)
    assert solution.moved <= most
    assert solution.cost >= solution.bound
