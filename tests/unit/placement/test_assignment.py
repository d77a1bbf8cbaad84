"""Items in classes to bins: plans against trying everything, limits, and solvers that fail."""

from __future__ import annotations

import dataclasses
import importlib
import signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import BaseContext

import numpy as np
import pytest

from engine.model.errors import InvalidInputError
from placement.assignment import exact, relaxation, solving
from placement.assignment.effort import Effort, Incumbent
from placement.assignment.plans import Plan, cost_of, is_valid
from placement.assignment.problem import AssignmentProblem
from placement.assignment.solving import resolve, solve
from tests.support import assignment_problems as make

LITTLE = Effort(rounds=6, steps=300, exact_work=0.1)


@pytest.mark.parametrize("by_bin", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_a_small_plan_is_the_best_of_all(seed: int, by_bin: bool) -> None:
    problem = make.random_problem(seed, by_bin=by_bin)
    solution = solve(problem, LITTLE)
    assert make.fits(problem, solution.plan.units)
    assert make.cost(problem, solution.plan.units) == solution.cost == make.best_cost(problem)
    assert solution.bound <= solution.cost


def test_one_worker_and_two_find_the_same_plan() -> None:
    problem = make.random_problem(1, items=30, bins=8)
    plans = [solve(problem, dataclasses.replace(LITTLE, workers=n)).plan.units for n in (1, 2, 1)]
    assert (plans[0] == plans[1]).all()
    assert (plans[0] == plans[2]).all()


def test_what_must_be_placed_is_placed_although_it_is_dear() -> None:
    problem = make.random_problem(2, items=4, bins=3)
    must = dataclasses.replace(
        problem,
        eligible=np.ones_like(problem.eligible),
        capacity=problem.capacity + 100,
        drop_cost=np.zeros_like(problem.drop_cost),
        must_place=np.ones(4, dtype=bool),
    )
    solution = solve(must, LITTLE)
    assert solution.missing == 0
    assert solution.cost == int((must.count * must.cost.min(axis=1)).sum())


def test_a_solve_that_is_stopped_at_once_brings_the_greedy_plan() -> None:
    problem = make.random_problem(3, items=20, bins=5)
    solution = solve(problem, dataclasses.replace(LITTLE, watch=lambda _: False))
    assert is_valid(problem, solution.plan)
    assert solution.plan.units.any()


def test_incumbents_get_better_and_bounds_hold() -> None:
    problem = make.random_problem(4, items=20, bins=5)
    seen: list[Incumbent] = []

    def watch(incumbent: Incumbent) -> bool:
        seen.append(incumbent)
        return True

    solution = solve(problem, dataclasses.replace(LITTLE, watch=watch))
    costs = [incumbent.cost for incumbent in seen]
    assert costs == sorted(costs, reverse=True)
    assert all(is_valid(problem, incumbent.plan) for incumbent in seen)
    assert max(incumbent.bound for incumbent in seen) <= solution.cost


@pytest.mark.parametrize("seed", range(4))
def test_prices_of_room_alone_prove_the_bound(seed: int) -> None:
    problem = make.random_problem(seed, items=20, bins=5, by_bin=seed % 2 == 1)
    most = problem.most_units()
    found = relaxation.relaxed(problem, most, seconds=60.0)
    reduced = np.where(most > 0, found.priced, np.inf)
    # Weak duality with the bounds of the variables: each item takes its cheapest bins in turn.
    value = -float((found.prices * problem.capacity).sum())
    for item in range(problem.items):
        left = int(problem.count[item])
        for at in np.argsort(reduced[item], kind="stable"):
            price = min(reduced[item, at], float(problem.penalties()[item]))
            taken = min(left, int(most[item, at]))
            value += taken * price
            left -= taken
        value += left * float(problem.penalties()[item])
    assert found.prices.any()
    assert value == pytest.approx(found.bound, rel=1e-6, abs=1.0)


def test_without_the_linear_programme_a_plan_comes_back_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError("out of memory")

    monkeypatch.setattr(relaxation, "programme_of", fail)
    monkeypatch.setattr(exact, "programme_of", fail)
    problem = make.random_problem(5, items=20, bins=5)
    solution = solve(problem, LITTLE)
    assert is_valid(problem, solution.plan)
    assert [note.partition(":")[0] for note in solution.notes] == [
        "the linear programme failed",
        "CP-SAT failed",
    ]


def test_without_the_compiler_neighbourhoods_are_solved_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    problem = make.random_problem(6)
    solution = solve(problem, LITTLE)
    assert solution.cost == make.best_cost(problem)
    assert "numba" in solution.notes[0]


@pytest.mark.slow
def test_the_death_of_a_solver_leaves_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    def dying(workers: int, *, mp_context: BaseContext) -> ProcessPoolExecutor:
        """Return a pool whose processes are killed at once, as when memory runs out."""
        pool = ProcessPoolExecutor(workers, mp_context=mp_context)
        submit = pool.submit
        monkeypatch.setattr(
            pool, "submit", lambda *_, **__: submit(signal.raise_signal, signal.SIGKILL)
        )
        return pool

    monkeypatch.setattr(solving, "ProcessPoolExecutor", dying)
    problem = make.random_problem(7, items=10, bins=4)
    solution = solve(problem, dataclasses.replace(LITTLE, isolated=True))
    assert is_valid(problem, solution.plan)
    assert "BrokenProcessPool" in solution.notes[0]


def running(seed: int) -> tuple[AssignmentProblem, Plan]:
    problem = make.random_problem(seed, items=25, bins=6)
    return problem, solve(problem, LITTLE).plan


def test_replanning_without_a_change_moves_nothing() -> None:
    problem, plan = running(8)
    dear = np.full(problem.items, 1000, dtype=np.int64)
    solution = resolve(problem, plan, LITTLE, move_cost=dear)
    assert solution.moved == 0
    assert solution.cost <= cost_of(problem, plan)


def test_replanning_around_a_lost_bin_keeps_the_others_where_they_are() -> None:
    problem, plan = running(9)
    capacity, eligible = problem.capacity.copy(), problem.eligible.copy()
    capacity[0], eligible[:, 0] = 0, False
    after = dataclasses.replace(problem, capacity=capacity, eligible=eligible)
    dear = np.full(problem.items, 1000, dtype=np.int64)
    solution = resolve(after, plan, LITTLE, move_cost=dear)
    assert is_valid(after, solution.plan)
    assert not solution.plan.units[:, 0].any()
    assert (solution.plan.units[:, 1:] >= plan.units[:, 1:]).all()


def test_replanning_with_free_moves_is_as_good_as_planning() -> None:
    problem, plan = running(10)
    fewer = dataclasses.replace(problem, count=np.maximum(problem.count - 1, 0))
    free = np.zeros(problem.items, dtype=np.int64)
    solution = resolve(fewer, plan, LITTLE, move_cost=free)
    assert is_valid(fewer, solution.plan)
    assert solution.cost <= 1.05 * solve(fewer, LITTLE).cost


def test_no_more_units_move_than_may() -> None:
    problem, plan = running(10)
    cost = problem.cost[:, ::-1].copy()
    turned = dataclasses.replace(problem, cost=cost)
    free = np.zeros(problem.items, dtype=np.int64)
    at_will = resolve(turned, plan, LITTLE, move_cost=free)
    bounded = resolve(turned, plan, LITTLE, move_cost=free, most_moved=3)
    assert at_will.moved > 3
    assert 0 < bounded.moved <= 3
    assert at_will.cost < bounded.cost < cost_of(turned, plan)


def test_nothing_to_place_and_nowhere_to_place_it() -> None:
    problem = make.random_problem(11)
    nothing = dataclasses.replace(problem, count=np.zeros_like(problem.count))
    assert solve(nothing, LITTLE).cost == 0
    nowhere = dataclasses.replace(
        problem, capacity=np.zeros_like(problem.capacity), demand=1 + problem.demand
    )
    solution = solve(nowhere, LITTLE)
    assert solution.cost == solution.bound == int(problem.count @ problem.drop_cost)


def test_all_faults_of_a_problem_are_named_at_once() -> None:
    problem = make.random_problem(12)
    broken = dataclasses.replace(
        problem, cost=-problem.cost, capacity=problem.capacity.astype(float)
    )
    with pytest.raises(InvalidInputError) as caught:
        solve(broken, LITTLE)
    messages = " ".join(fault.message for fault in caught.value.faults)
    assert "`cost`" in messages
    assert "float64" in messages


def test_shapes_that_do_not_fit_are_named() -> None:
    problem = make.random_problem(13)
    with pytest.raises(InvalidInputError, match="`count` has shape"):
        solve(dataclasses.replace(problem, count=problem.count[:-1]), LITTLE)


def test_costs_that_would_not_be_exact_are_refused() -> None:
    problem = make.random_problem(14)
    with pytest.raises(InvalidInputError, match="larger unit"):
        solve(dataclasses.replace(problem, cost=problem.cost * 2**50), LITTLE)
