"""Reassignment on random problems: limits hold, counters are exact, more work is never worse."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from placement.reassignment import annealing, memory, ruining, schedule
from placement.reassignment import state as states
from placement.reassignment.reassigning import Effort, reassign
from tests.support import reassignment_definition as definition
from tests.support import reassignments as make

SEEDS = st.integers(min_value=0, max_value=10**6)
CALM = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@CALM
@given(seed=SEEDS, machines=st.integers(2, 5), processes=st.integers(1, 12))
def test_an_answer_is_feasible_never_dearer_and_costs_what_it_says(
    seed: int, machines: int, processes: int
) -> None:
    problem, start = make.with_start(seed, machines=machines, processes=processes)
    outcome = reassign(problem, start, Effort(steps=50, seed=seed), clock=lambda: 0.0)
    assert definition.feasible(problem, start, outcome.assignment)
    assert definition.cost(problem, start, outcome.assignment) == outcome.cost
    assert outcome.cost <= outcome.initial_cost == definition.cost(problem, start, start)


@CALM
@given(seed=SEEDS, temperature=st.sampled_from([0.1, 10.0, 1000.0]))
def test_counters_equal_a_full_evaluation_after_many_moves(seed: int, temperature: float) -> None:
    problem, start = make.with_start(seed, machines=5, processes=15)
    tables = states.tables(problem, start)
    state = states.state(tables, start)
    remembered = memory.memory(state, seed)
    annealing.anneal(tables, state, remembered, 2000, (temperature, 0.1, 0.01, schedule.STRICT), 3)
    ruining.ruin(tables, state, remembered, 50, temperature, 0.1, schedule.STRICT)
    _assert_exact(tables, state)
    assert definition.feasible(problem, start, state.assignment)
    assert definition.cost(problem, start, state.assignment) == state.totals[states.COST]
    lowest = int(remembered.marks[memory.BEST_COST])
    assert definition.cost(problem, start, remembered.best) == lowest


@CALM
@given(seed=SEEDS, lack_price=st.sampled_from([0.01, 1.0, 100.0]))
def test_what_lacks_room_is_counted_but_never_remembered(seed: int, lack_price: float) -> None:
    problem, start = make.with_start(seed, machines=5, processes=15)
    tables = states.tables(problem, start)
    state = states.state(tables, start)
    remembered = memory.memory(state, seed)
    annealing.anneal(tables, state, remembered, 2000, (10.0, 0.1, 0.01, lack_price), 3)
    ruining.ruin(tables, state, remembered, 50, 10.0, 0.1, lack_price)
    _assert_exact(tables, state)
    broken = states.broken_limits(tables, state.assignment)
    assert all("over capacity" in words for words in broken)
    assert bool(broken) == (state.totals[states.LACK] > 0)
    assert definition.cost(problem, start, state.assignment) == state.totals[states.COST]
    assert definition.feasible(problem, start, remembered.best)
    lowest = int(remembered.marks[memory.BEST_COST])
    assert definition.cost(problem, start, remembered.best) == lowest


@CALM
@given(seed=SEEDS)
def test_the_check_of_a_start_agrees_with_the_definition(seed: int) -> None:
    problem, start = make.with_start(seed)
    tables = states.tables(problem, start)
    places = np.random.default_rng(seed).integers(0, problem.machines, problem.processes)
    places = np.where(np.arange(problem.processes) < 4, start, places)
    holds = not states.broken_limits(tables, places)
    assert holds == definition.feasible(problem, start, places)


@settings(CALM, max_examples=3)
@given(seed=SEEDS)
def test_one_worker_and_two_find_the_same(seed: int) -> None:
    problem, start = make.with_start(seed, machines=5, processes=15)
    efforts = [Effort(steps=1000, seed=seed, workers=workers) for workers in (1, 2)]
    one, two = (reassign(problem, start, effort, clock=lambda: 0.0) for effort in efforts)
    assert np.array_equal(one.assignment, two.assignment)


def _assert_exact(tables: states.Tables, state: states.State) -> None:
    """Asserts that the counters are those of the assignment, computed from nothing."""
    fresh = states.state(tables, state.assignment)
    chained = {"first", "following", "preceding"}
    for name in set(states.State._fields) - chained:
        assert np.array_equal(getattr(state, name), getattr(fresh, name)), name
