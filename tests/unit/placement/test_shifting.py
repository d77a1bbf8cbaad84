"""The linear programme of a change: the shifts that gain most, made whole, as many as may be."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from placement.assignment import filling, searching, shifting
from placement.assignment.effort import Effort
from placement.assignment.plans import Moves, Plan, cost_of, is_valid, moved
from placement.assignment.problem import AssignmentProblem, Integers
from placement.assignment.solving import resolve, solve
from tests.support import assignment_problems as make


def chained() -> tuple[AssignmentProblem, Plan]:
    """Return a class that came and fits only where another stands, which may go elsewhere."""
    problem = AssignmentProblem(
        count=np.array([4, 4]),
        cost=np.array([[10, 10], [100, 120]]),
        eligible=np.array([[True, False], [True, True]]),
        demand=np.ones((2, 1, 1), dtype=np.int64),
        capacity=np.array([[4], [9]]),
        drop_cost=np.array([1000, 1000]),
        must_place=np.zeros(2, dtype=bool),
    )
    return problem, Plan(units=np.array([[0, 0], [4, 0]]))


def shifted(problem: AssignmentProblem, plan: Plan, *, most: int, cost: int = 0) -> Plan:
    found = shifting.shifted(
        problem,
        problem.most_units(),
        moves(problem, plan, most),
        np.zeros(problem.capacity.shape),
        cost=cost,
        seconds=60.0,
    )
    assert found is not None
    return found


def moves(problem: AssignmentProblem, plan: Plan, most: int) -> Moves:
    return Moves(base=plan.units, cost=np.full(problem.items, 5), most=most)


@pytest.mark.parametrize("most", [0, 1, 3, 4, 9])
def test_others_go_for_what_came_but_no_more_than_may(most: int) -> None:
    problem, plan = chained()
    found = shifted(problem, plan, most=most)
    gone = min(most, 4)
    assert found.units.tolist() == [[gone, 0], [4 - gone, gone]]


def test_a_move_that_costs_more_than_it_gains_is_not_made() -> None:
    problem, plan = chained()
    cheap = dataclasses.replace(problem, drop_cost=np.array([30, 1000]))
    assert (shifted(cheap, plan, most=4).units == plan.units).all()


@pytest.mark.parametrize("seed", range(5))
def test_plans_keep_capacity_and_the_limit_of_departures(seed: int) -> None:
    problem = make.random_problem(seed, items=20, bins=5, by_bin=seed % 2 == 1)
    running = solve(problem, Effort(rounds=0)).plan
    eligible = problem.eligible.copy()
    eligible[:, 0] = False
    problem = dataclasses.replace(problem, eligible=eligible)
    plan = filling.fitted(problem, running)
    found = shifted(problem, plan, most=3, cost=10**9)
    assert is_valid(problem, found)
    assert moved(found, moves(problem, plan, 3)).sum() <= 3


def test_a_replan_tells_of_the_shifts_before_it_searches() -> None:
    problem, plan = chained()
    free: Integers = np.full(problem.items, 5)
    solution = resolve(problem, plan, Effort(rounds=0), move_cost=free)
    assert solution.cost == 4 * 10 + 4 * 120 == cost_of(problem, solution.plan)


def test_a_replan_goes_on_where_the_programme_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: object, **__: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(shifting, "shifted", dies)
    problem, plan = chained()
    free: Integers = np.full(problem.items, 5)
    solution = resolve(problem, plan, Effort(rounds=4, steps=200), move_cost=free)
    assert solution.cost == 4 * 10 + 4 * 120
    assert "no room" in solution.notes[0]


def test_a_replan_takes_the_shifts_without_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "_local", lambda *_: None)
    problem, plan = chained()
    free: Integers = np.full(problem.items, 5)
    assert resolve(problem, plan, Effort(rounds=1), move_cost=free).cost == 4 * 10 + 4 * 120


def test_a_programme_without_time_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shifting, "shifted", lambda *_, **__: None)
    problem, plan = chained()
    free: Integers = np.full(problem.items, 5)
    assert "in time" in resolve(problem, plan, Effort(rounds=1), move_cost=free).notes[0]
