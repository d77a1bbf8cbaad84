"""Single items in bins that are nearly full: prices without a solver, and chains of ejections."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from placement.assignment import relaxation
from placement.assignment.effort import Effort
from placement.assignment.filling import greedy
from placement.assignment.plans import is_valid
from placement.assignment.problem import AssignmentProblem
from placement.assignment.singles import dives, prices, walks
from placement.assignment.singles.diving import dive
from placement.assignment.solving import solve

LITTLE = Effort(rounds=24, exact_share=0.25, exact_work=0.1)


def tight(seed: int, *, items: int, bins: int, load: float = 0.8) -> AssignmentProblem:
    """Return a problem in which what is cheap is large, as in type D of the literature."""
    draw = np.random.default_rng(seed)
    demand = draw.integers(1, 101, (items, bins, 1))
    return AssignmentProblem(
        count=np.ones(items, dtype=np.int64),
        cost=111 - demand[:, :, 0] + draw.integers(-10, 11, (items, bins)),
        eligible=np.ones((items, bins), dtype=bool),
        demand=demand,
        capacity=(load * demand.sum(axis=0) / bins).astype(np.int64),
        drop_cost=np.zeros(items, dtype=np.int64),
        must_place=np.ones(items, dtype=bool),
    )


def best_cost(problem: AssignmentProblem) -> int:
    """Return the least cost of a plan with every item in a bin, by trying everything."""
    costs = []
    for places in itertools.product(range(problem.bins), repeat=problem.items):
        load = [0] * problem.bins
        for item, at in enumerate(places):
            load[at] += int(problem.demand[item, at, 0])
        if all(load[at] <= problem.capacity[at, 0] for at in range(problem.bins)):
            costs.append(sum(int(problem.cost[item, at]) for item, at in enumerate(places)))
    return min(costs)


def _ascended(problem: AssignmentProblem) -> dives.Dives:
    """Return dives after all parts of their ascent."""
    most = problem.most_units()
    hints = prices.relaxed(problem, most)
    found = walks.walks_of(problem, hints, greedy(problem, most), parts=1, steps=100)
    dived = dives.dives_of(problem, hints, found)
    while dived.ascend():
        pass
    return dived


@pytest.mark.parametrize("seed", range(4))
def test_prices_come_near_the_linear_programme_and_never_above_it(seed: int) -> None:
    problem = tight(seed, items=60, bins=6)
    most = problem.most_units()
    found = prices.relaxed(problem, most)
    exact = relaxation.relaxed(problem, most, seconds=60.0)
    assert 0.998 * exact.bound <= found.bound <= exact.bound
    assert (found.prices >= 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_knapsacks_bound_more_than_prices_and_never_above_the_best(seed: int) -> None:
    problem = tight(seed, items=7, bins=3, load=1.0)
    hints = prices.relaxed(problem, problem.most_units())
    found = _ascended(problem)
    assert hints.bound <= relaxation.whole(found.bound) <= best_cost(problem)


def test_knapsacks_close_most_of_the_gap_where_bins_hold_few_items() -> None:
    problem = tight(2, items=60, bins=12)
    by_prices = prices.relaxed(problem, problem.most_units()).bound
    cost = solve(problem, LITTLE).cost
    assert cost - _ascended(problem).bound < 0.6 * (cost - by_prices)


def test_knapsacks_never_bound_above_a_plan_that_must_leave_items_out() -> None:
    """Room for three of four: in fractions all fit, and only knapsacks see that they do not."""
    problem = AssignmentProblem(
        count=np.ones(4, dtype=np.int64),
        cost=np.ones((4, 3), dtype=np.int64),
        eligible=np.ones((4, 3), dtype=np.bool_),
        demand=np.full((4, 3, 1), 2),
        capacity=np.full((3, 1), 3),
        drop_cost=np.zeros(4, dtype=np.int64),
        must_place=np.ones(4, dtype=np.bool_),
    )
    solution = solve(problem, dataclasses.replace(LITTLE, exact_share=0.0))
    assert solution.missing == 1
    assert solution.bound <= solution.cost


def test_knapsacks_keep_out_what_cannot_stand_and_take_what_needs_no_room() -> None:
    problem = tight(1, items=12, bins=3)
    problem.eligible[::2, 1] = False
    problem.demand[3] = 0
    problem.capacity[2] = 0
    found = _ascended(problem)
    solution = solve(problem, LITTLE)
    assert not found.shares[::2, 1].any()
    assert is_valid(problem, solution.plan)
    assert solution.missing > 0 or found.bound <= solution.cost


def test_a_dive_fits_and_gives_up_where_it_cannot_be_better() -> None:
    problem = tight(3, items=60, bins=6)
    found = _ascended(problem)
    places = np.zeros(problem.items, dtype=np.int64)
    target = 1.004 * found.bound
    assert dive(found.sacks, found.worth, found.shares, places, (np.inf, target), 0.1, 1)
    settled = np.flatnonzero(places >= 0)
    load = np.zeros(problem.bins, dtype=np.int64)
    np.add.at(load, places[settled], problem.demand[settled, places[settled], 0])
    assert len(settled) > 0.9 * problem.items
    assert (load <= problem.capacity[:, 0]).all()
    hopeless = (found.bound - 1.0, target)
    assert not dive(found.sacks, found.worth, found.shares, places, hopeless, 0.1, 1)


def test_tables_of_rooms_in_bytes_are_too_large_and_not_below_zero() -> None:
    problem = tight(0, items=4_000, bins=2)
    problem.demand[:] = 2**40
    problem.capacity[:] = 2**60
    assert dives.tables_of(problem) > 2**63


def test_a_dive_that_would_fill_too_many_tables_leaves_the_rest_to_walks() -> None:
    """Everything alike: nothing is sure, and items would be settled one by one."""
    problem = tight(0, items=1_000, bins=3)
    problem.cost[:] = 10
    problem.demand[:] = 1
    problem.capacity[:] = 350
    found = _ascended(problem)
    places = np.zeros(problem.items, dtype=np.int64)
    assert dive(found.sacks, found.worth, found.shares, places, (np.inf, found.bound), 0.1, 1)
    assert 0 < (places < 0).sum() < problem.items


def test_dives_find_what_walks_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = tight(5, items=60, bins=12)
    effort = dataclasses.replace(LITTLE, exact_share=0.0)
    dived = solve(problem, effort)
    monkeypatch.setattr(dives, "LARGEST_TABLES", 0)
    walked = solve(problem, effort)
    assert dived.missing == walked.missing == 0
    assert dived.cost < walked.cost
    assert dived.bound > walked.bound


def test_room_to_spare_has_no_price() -> None:
    found = prices.relaxed(problem := tight(0, items=20, bins=4, load=50.0), problem.most_units())
    assert not found.prices.any()
    assert found.bound == int(problem.cost.min(axis=1).sum())


@pytest.mark.parametrize("seed", range(3))
def test_a_small_plan_of_single_items_is_the_best_of_all(seed: int) -> None:
    problem = tight(seed, items=7, bins=3, load=1.0)
    solution = solve(problem, LITTLE)
    assert is_valid(problem, solution.plan)
    assert solution.missing == 0
    assert solution.cost == best_cost(problem)


def test_a_walk_keeps_account_of_what_it_moves() -> None:
    problem = tight(1, items=80, bins=8)
    most = problem.most_units()
    found = walks.walks_of(
        problem, prices.relaxed(problem, most), greedy(problem, most), parts=1, steps=100
    )
    for round_number in range(3):
        found.walk(0, share=round_number / 3, warm=False, seed=round_number)
    walk = found.walks[0]
    numbers = np.arange(problem.items)
    load = np.zeros(problem.bins, dtype=np.int64)
    np.add.at(load, walk.at, problem.demand[numbers, walk.at, 0])
    assert (walk.room == problem.capacity[:, 0] - load).all()
    assert walk.totals[0] == problem.cost[numbers, walk.at].sum()
    assert walk.totals[1] == np.maximum(0, -walk.room).sum()
    for at in range(problem.bins):
        members = walk.members[at, : walk.filled[at]]
        assert sorted(members.tolist()) == np.flatnonzero(walk.at == at).tolist()


def test_chains_come_nearer_to_the_bound_than_filling() -> None:
    problem = tight(2, items=80, bins=8)
    first = solve(problem, dataclasses.replace(LITTLE, rounds=0))
    solution = solve(problem, dataclasses.replace(LITTLE, exact_share=0.0))
    assert solution.missing == 0
    assert solution.gap < 0.02 < first.gap


def test_one_worker_and_two_find_the_same_single_places() -> None:
    problem = tight(3, items=60, bins=6)
    one, two = (solve(problem, dataclasses.replace(LITTLE, workers=n)) for n in (1, 2))
    assert (one.plan.units == two.plan.units).all()


def test_more_than_fits_is_said_to_be_missing() -> None:
    problem = tight(4, items=20, bins=3, load=0.2)
    solution = solve(problem, LITTLE)
    assert is_valid(problem, solution.plan)
    assert solution.missing > 0
    assert solution.missing == int((problem.count - solution.plan.units.sum(axis=1)).sum())
