"""Reassignment on tiny problems, against all assignments; what stops it; what it refuses."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from engine.model import errors
from placement.reassignment import reading, schedule
from placement.reassignment.reassigning import Effort, reassign
from tests.support import reassignment_definition as definition
from tests.support import reassignments as make

TEXT = """
2 0 10 1 20
2  0 0 9 8 5 4 0 1   1 1 7 6 3 2 1 0
2  1 0  2 1 0
3  0 1 1 5   1 2 2 6   1 3 3 7
1  0 1 2
30
1 10 100
"""


@pytest.mark.parametrize("seed", range(12))
def test_small_problems_are_solved_to_optimality(seed: int) -> None:
    problem, start = make.with_start(seed)
    outcome = reassign(problem, start, Effort(steps=1000, seed=1), clock=lambda: 0.0)
    assert outcome.cost == definition.cheapest(problem, start)


def test_many_machines_are_sampled_and_all_limits_still_hold() -> None:
    problem, start = make.with_start(3, machines=150, processes=400)
    outcome = reassign(problem, start, Effort(steps=500), clock=lambda: 0.0)
    assert definition.feasible(problem, start, outcome.assignment)
    assert definition.cost(problem, start, outcome.assignment) == outcome.cost
    assert outcome.cost < outcome.initial_cost


def test_a_search_that_is_cooled_again_keeps_its_best_with_one_worker_and_with_two() -> None:
    problem, start = make.with_start(8, machines=2, processes=52)
    steps = 3 * schedule.SOME.cooling_steps * (problem.processes + 1)
    efforts = [Effort(steps=steps, seed=3, workers=workers) for workers in (1, 2)]
    one, two = (reassign(problem, start, effort, clock=lambda: 0.0) for effort in efforts)
    once = reassign(problem, start, Effort(steps=steps // 3, seed=3), clock=lambda: 0.0)
    assert one.assignment.tolist() == two.assignment.tolist()
    assert definition.feasible(problem, start, one.assignment)
    assert definition.cost(problem, start, one.assignment) == one.cost <= once.cost


def test_the_clock_ends_a_search_and_the_best_so_far_comes_back() -> None:
    problem, start = make.with_start(4, machines=5, processes=15)
    ticks = itertools.count()
    effort = Effort(steps=10**9, seconds=30.0)
    outcome = reassign(problem, start, effort, clock=lambda: float(next(ticks)))
    assert 0 < outcome.steps < 10**9
    assert outcome.cost == definition.cost(problem, start, outcome.assignment)


def test_a_search_that_is_stopped_at_once_returns_the_start() -> None:
    problem, start = make.with_start(5)
    outcome = reassign(problem, start, Effort(), clock=lambda: 0.0, stop=lambda: True)
    assert outcome.assignment.tolist() == start.tolist()
    assert (outcome.cost, outcome.steps) == (outcome.initial_cost, 0)


def test_a_single_machine_leaves_nothing_to_do() -> None:
    problem, start = make.with_start(6, machines=1)
    assert reassign(problem, start, Effort(), clock=lambda: 0.0).steps == 0


def test_an_infeasible_start_is_refused_with_its_broken_limits() -> None:
    problem, start = make.with_start(7)
    full = dataclasses.replace(problem, capacity=problem.capacity * 0)
    with pytest.raises(errors.InfeasibleError, match="over capacity"):
        reassign(full, start, Effort(), clock=lambda: 0.0)


@pytest.mark.parametrize(
    ("start", "message"),
    [([0], "has shape"), ([9, 0, 0, 0, 0, 0], "puts process 0 on machine 9 of 3")],
)
def test_a_start_that_does_not_fit_is_refused(start: list[int], message: str) -> None:
    problem, _ = make.with_start(8)
    with pytest.raises(errors.InvalidInputError, match=message):
        reassign(problem, np.array(start), Effort(), clock=lambda: 0.0)


def test_the_text_of_an_instance_is_read() -> None:
    problem = reading.read_instance(TEXT)
    assert problem.transient.tolist() == [False, True]
    assert problem.capacity.tolist() == [[9, 8], [7, 6]]
    assert problem.safety_capacity.tolist() == [[5, 4], [3, 2]]
    assert problem.machine_move_cost.tolist() == [[0, 1], [1, 0]]
    assert problem.dependencies.tolist() == [[1, 0]]
    assert problem.requirement.tolist() == [[1, 1], [2, 2], [3, 3]]
    assert problem.process_move_cost.tolist() == [5, 6, 7]
    assert problem.balances.tolist() == [[0, 1, 2, 30]]
    assert problem.service_move_weight == 10
    assert reading.read_assignment(" 1 0\n1").tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT + " 4", "1 numbers too many"),
        (TEXT[:60], "asks for"),
        ("2 0 ten", "not a whole number"),
        (TEXT.replace("3  0 1 1 5", "3  8 1 1 5"), "refers to 8"),
        (TEXT.replace("9 8 5 4", "-9 8 5 4"), "holds -9"),
        (TEXT.replace("1 10 100", "-1 10 100"), "process_move_weight` is -1"),
        (TEXT.replace("9 8 5 4", f"{2**62} 8 5 4"), "64 bits"),
    ],
)
def test_a_text_at_fault_is_refused(text: str, message: str) -> None:
    with pytest.raises(errors.InvalidInputError, match=message):
        reading.read_instance(text, name="broken")


def test_arrays_of_wrong_shape_are_refused() -> None:
    problem, _ = make.with_start(9)
    with pytest.raises(errors.InvalidInputError, match="`location` has shape"):
        dataclasses.replace(problem, location=problem.location[:-1])
    with pytest.raises(errors.InvalidInputError, match="`capacity` has shape"):
        dataclasses.replace(problem, capacity=problem.capacity[0])
