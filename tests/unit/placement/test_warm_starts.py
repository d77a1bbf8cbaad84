"""What a re-plan starts from: the last plan as it stands, and few departures that gain most."""

from __future__ import annotations

import dataclasses

import numpy as np

from placement.assignment.departures import FIRST_ROUNDS, Pace
from placement.assignment.effort import Effort, Incumbent
from placement.assignment.plans import Plan
from placement.assignment.problem import AssignmentProblem
from placement.assignment.solving import resolve
from placement.problem.building import Terms, build
from placement.search.chains import Chains
from placement.search.greedy import greedy
from placement.search.recreate import kept
from tests.support import placement_problems as make

NAMES = ("a", "b", "c", "d")


def stand_after(stood: dict[str, str]) -> dict[str, str] | None:
    """Return where tasks stand that stood somewhere, when cluster `lost` is no more."""
    fleet = make.fleet(
        make.cluster("cheap", make.pool(price=1.0)), make.cluster("dear", make.pool(price=2.0))
    )
    specs = [make.pipeline(make.task("t"), name=name) for name in NAMES]
    instance = build(make.problem(specs, fleet, moved_from=stood), Terms())
    plan = kept(instance, greedy(instance), Chains(instance))
    if plan is None:
        return None
    return {instance.jobs[i].key: option.cluster.name for i, option in plan.options.items()}


def test_only_tasks_whose_cluster_is_lost_get_another_place() -> None:
    stood = {"a/t": "dear/cpu", "b/t": "lost/cpu", "c/t": "dear/cpu", "d/t": "cheap/cpu"}
    expected = {"a/t": "dear", "b/t": "cheap", "c/t": "dear", "d/t": "cheap"}
    assert stand_after(stood) == expected


def test_a_first_plan_has_nothing_to_start_from() -> None:
    assert stand_after({}) is None


def shifted() -> tuple[AssignmentProblem, Plan]:
    """Return twenty single units that would each gain by moving, some far more than others."""
    items = 20
    cost = np.column_stack([np.full(items, 1000), np.full(items, 990)])
    cost[[3, 8, 11], 1] = 100
    problem = AssignmentProblem(
        count=np.ones(items, dtype=np.int64),
        cost=cost.astype(np.int64),
        eligible=np.ones((items, 2), dtype=bool),
        demand=np.ones((items, 1, 1), dtype=np.int64),
        capacity=np.full((2, 1), items),
        drop_cost=np.full(items, 5000),
        must_place=np.zeros(items, dtype=bool),
    )
    units = np.column_stack([np.ones(items), np.zeros(items)]).astype(np.int64)
    return problem, Plan(units=units)


def test_the_few_departures_that_may_be_are_those_that_gain_most() -> None:
    problem, plan = shifted()
    free = np.zeros(problem.items, dtype=np.int64)
    effort = Effort(rounds=8, steps=300)
    solution = resolve(problem, plan, effort, move_cost=free, most_moved=3)
    assert np.flatnonzero(solution.plan.units[:, 1]).tolist() == [3, 8, 11]


def test_seconds_count_from_the_call_not_from_the_first_plan() -> None:
    problem, plan = shifted()
    ticks = iter(range(1000))
    told: list[Incumbent] = []

    def watch(incumbent: Incumbent) -> bool:
        told.append(incumbent)
        return False

    effort = Effort(rounds=1, clock=lambda: float(next(ticks)), watch=watch)
    resolve(problem, plan, effort, move_cost=np.zeros(problem.items, dtype=np.int64))
    assert told[0].seconds == 1.0


def test_cycles_double_and_each_cools() -> None:
    pace = Pace()
    begins, heats = [], []
    for number in range(FIRST_ROUNDS + 24):
        begins += [number - FIRST_ROUNDS] if pace.begins else []
        heats.append(pace.heat)
        pace.done(0, 10)
    assert begins == [0, 8]
    assert heats[:FIRST_ROUNDS] == [0.0] * FIRST_ROUNDS
    assert (
        heats[FIRST_ROUNDS : FIRST_ROUNDS + 8]
        == sorted(heats[FIRST_ROUNDS : FIRST_ROUNDS + 8])[::-1]
    )


def test_a_departure_gets_dearer_when_as_many_left_as_may() -> None:
    pace = dataclasses.replace(Pace(), price=2.0)
    pace.done(10, 10)
    dearer = pace.price
    pace.done(3, 10)
    assert dearer > 2.0 > pace.price / dearer
