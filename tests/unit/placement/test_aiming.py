"""Steps that aim: which unit is dear, which bin is looked at, and who makes room."""

from __future__ import annotations

import numpy as np
import pytest

from placement.assignment import aiming, annealing, kernels
from placement.assignment.plans import Moves, Plan, charged, is_valid, left_out, moved
from placement.assignment.problem import AssignmentProblem
from placement.assignment.relaxation import priced
from placement.assignment.state import State, Tables

LUMP, CHAFF, GEM = range(3)


def crowded() -> tuple[AssignmentProblem, Plan]:
    """Return a lump that stands in the dear one of two bins, the cheap one full of chaff and gems.

    Room for the lump takes four units of chaff, or of gems, which are worth a hundred times more.
    """
    problem = AssignmentProblem(
        count=np.array([1, 8, 4]),
        cost=np.array([[100, 900], [10, 10], [10, 10]]),
        eligible=np.array([[True, True], [True, False], [True, False]]),
        demand=np.array([[[4, 0]], [[1, 1]], [[1, 1]]]),
        capacity=np.array([[12, 100], [4, 100]]),
        drop_cost=np.array([5000, 20, 1010]),
        must_place=np.zeros(3, dtype=bool),
    )
    return problem, Plan(units=np.array([[0, 1], [8, 0], [4, 0]]))


def at_work(problem: AssignmentProblem, plan: Plan, moves: Moves) -> tuple[Tables, State]:
    """Return what steps read and change, without prices of room."""
    free = priced(problem, problem.most_units(), np.zeros(problem.capacity.shape))
    tables = annealing.tables_of(problem, free, moves)
    return tables, annealing.chain_of(problem, plan, moves).state


def staying(plan: Plan, *, cost: int = 0, most: int = 20) -> Moves:
    return Moves(base=plan.units, cost=np.full(len(plan.units), cost), most=most)


def test_what_is_worth_least_for_its_room_makes_room() -> None:
    problem, plan = crowded()
    tables, state = at_work(problem, plan, staying(plan))
    delta = aiming.make_room(tables, state, LUMP, 0)
    assert state.units[:, 0].tolist() == [0, 4, 4]
    assert delta == 4 * (20 - 10)
    assert state.out.tolist() == [0, 4, 0]


def test_room_that_is_there_costs_nobody() -> None:
    problem, plan = crowded()
    empty = Plan(units=plan.units * np.array([[1], [0], [1]]))
    tables, state = at_work(problem, empty, staying(empty))
    assert aiming.make_room(tables, state, LUMP, 0) == 0.0
    assert (state.units == empty.units).all()


def test_nobody_makes_room_where_nothing_that_is_short_is_held() -> None:
    problem, plan = crowded()
    tables, state = at_work(problem, plan, staying(plan))
    state.room[1] = 0
    aiming.make_room(tables, state, LUMP, 1)
    assert (state.units == plan.units).all()


def test_dear_is_what_stands_where_it_costs_more_than_elsewhere() -> None:
    problem, plan = crowded()
    tables, state = at_work(problem, plan, staying(plan))
    seen = {aiming.dear(tables, state) for _ in range(50)}
    # In a few looks at random it may not be seen; nothing else is dear.
    assert (LUMP, 1) in seen <= {(LUMP, 1), (-1, -1)}


@pytest.mark.parametrize(("running", "least", "most"), [(True, 0, 20), (False, 100, 300)])
def test_only_a_replan_looks_for_a_cheap_bin(running: bool, least: int, most: int) -> None:
    problem, plan = crowded()
    tables, _ = at_work(problem, plan, staying(plan))
    knobs = tables.knobs.copy()
    knobs[-1] = int(running)
    draws = [aiming.aimed(tables._replace(knobs=knobs), LUMP) for _ in range(400)]
    # The dear one is taken when all that are looked at are it: once in 256 times, else in two.
    assert least <= draws.count(1) <= most


@pytest.mark.parametrize(("cost", "most", "lump"), [(0, 20, 0), (300, 20, 1), (0, 4, 1)])
def test_a_lump_moves_where_that_pays_for_all_who_leave(cost: int, most: int, lump: int) -> None:
    problem, plan = crowded()
    moves = staying(plan, cost=cost, most=most)
    tables, _ = at_work(problem, plan, moves)
    chain = annealing.chain_of(problem, plan, moves)
    for seed in range(20):
        annealing.walk(tables, chain, steps=50, temperature=0.0, seed=seed)
    assert chain.best[LUMP].tolist() == [int(lump == 0), int(lump == 1)]


def test_steps_that_aim_keep_the_books() -> None:
    problem, plan = crowded()
    moves = staying(plan, cost=3)
    tables, _ = at_work(problem, plan, moves)
    chain = annealing.chain_of(problem, plan, moves)
    delta, _ = kernels.anneal(tables, chain.state, chain.best, 500, 2000.0, 1, 0.0)
    now = Plan(units=chain.state.units)
    assert is_valid(problem, now)
    assert delta == charged(problem, now, moves) - chain.cost
    assert (chain.state.out == left_out(problem, now)).all()
    assert chain.state.sizes[4] == moved(now, moves).sum()
