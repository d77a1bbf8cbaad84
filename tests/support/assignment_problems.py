"""Small assignment problems, and their best cost by trying everything, in code of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from placement.assignment.problem import AssignmentProblem


def random_problem(
    seed: int, *, items: int = 3, bins: int = 3, rows: int = 2, by_bin: bool = False
) -> AssignmentProblem:
    """Return a problem in which not everything fits."""
    draw = np.random.default_rng(seed)
    count = draw.integers(1, 4, items)
    demand = draw.integers(0, 9, (items, bins if by_bin else 1, rows))
    total = (demand.mean(axis=1) * count[:, None]).sum(axis=0)
    capacity = draw.integers(1, 2 + (1.6 * total / bins).astype(int), (bins, rows))
    return AssignmentProblem(
        count=count.astype(np.int64),
        cost=draw.integers(1, 30, (items, bins)),
        eligible=draw.random((items, bins)) < 0.85,
        demand=demand,
        capacity=capacity,
        drop_cost=draw.integers(20, 90, items),
        must_place=np.zeros(items, dtype=bool),
    )


def fits(problem: AssignmentProblem, units: np.ndarray) -> bool:
    """Return whether units keep counts, eligibility and capacity, one unit at a time."""
    room = problem.capacity.tolist()
    for item, row in enumerate(units.tolist()):
        if sum(row) > problem.count[item] or min(row) < 0:
            return False
        for at, many in enumerate(row):
            for _ in range(many):
                if not problem.eligible[item, at]:
                    return False
                need = problem.demand[item, at if problem.demand.shape[1] > 1 else 0].tolist()
                room[at] = [has - takes for has, takes in zip(room[at], need, strict=True)]
    return all(has >= 0 for row in room for has in row)


def cost(problem: AssignmentProblem, units: np.ndarray) -> int:
    """Return the cost of units where leaving out is allowed."""
    total = 0
    for item, row in enumerate(units.tolist()):
        total += sum(many * int(problem.cost[item, at]) for at, many in enumerate(row))
        total += (int(problem.count[item]) - sum(row)) * int(problem.drop_cost[item])
    return total


def best_cost(problem: AssignmentProblem) -> int:
    """Return the least cost over all plans."""
    rows = [list(_spreads(int(many), problem.bins)) for many in problem.count]
    plans = (np.array(choice) for choice in itertools.product(*rows))
    return min(cost(problem, units) for units in plans if fits(problem, units))


def _spreads(many: int, bins: int) -> Iterator[tuple[int, ...]]:
    """Yield every way to put at most so many units into bins."""
    for chosen in itertools.product(range(many + 1), repeat=bins):
        if sum(chosen) <= many:
            yield chosen
