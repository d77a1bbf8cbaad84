"""The linear relaxation: a bound, prices of room, and a fractional plan.

HiGHS through MathOpt of OR-Tools, with bulk sparse input: its older door, the model builder, gives
the activities of the rows where it should give their duals (seen in 9.15). Without HiGHS (not
installed, failed, out of memory) there are no prices, and the bound is what every unit costs at its
cheapest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from ortools.math_opt.python import mathopt

from placement.assignment.problem import AssignmentProblem, Integers, Numbers
from placement.assignment.programme import linear_model_of, programme_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    """What the relaxation says.

    Attributes:
        bound: No plan costs less.
        prices: What one more of a row of a bin saves, 0 or more; shape (bins, rows).
        units: The fractional plan; shape (items, bins).
        priced: Cost plus the price of the room taken, infinite where an item cannot stand;
            shape (items, bins).
        note: Why there is no linear programme behind it; empty where there is.
    """

    bound: int
    prices: Numbers
    units: Numbers
    priced: Numbers
    note: str = ""


def relaxed(problem: AssignmentProblem, most: Integers, *, seconds: float) -> Relaxation:
    """Solve the relaxation; `most` bounds the units of each item by bin."""
    try:
        programme = programme_of(problem, most)
        model = linear_model_of(programme)
        result = mathopt.solve(
            model,
            mathopt.SolverType.HIGHS,
            # Standard output belongs to the caller.
            params=mathopt.SolveParameters(
                time_limit=timedelta(seconds=seconds), enable_output=False
            ),
        )
    except (MemoryError, RuntimeError, ValueError) as error:
        return unpriced(problem, most, note=f"the linear programme failed: {error}")
    if result.termination.reason is not mathopt.TerminationReason.OPTIMAL:
        return unpriced(problem, most, note="the linear programme was not solved in time")
    # Both come in the order in which the programme has its rows and variables.
    duals = np.array(list(result.dual_values().values()))[problem.items :]
    values = np.array(list(result.variable_values().values()))[: len(programme.item)]
    flat = np.zeros(problem.bins * problem.rows)
    flat[programme.row] = np.maximum(0.0, -duals)
    prices = flat.reshape(problem.bins, problem.rows)
    units = np.zeros(problem.cost.shape)
    units[programme.item, programme.bin] = np.maximum(values, 0.0)
    objective = result.objective_value()
    return Relaxation(
        bound=whole(objective),
        prices=prices,
        units=units,
        priced=priced(problem, most, prices),
    )


def whole(bound: float) -> int:
    """Return the least whole cost that a bound allows; rounding of sums must not lift it."""
    return math.ceil(bound - 1e-6 * max(1.0, abs(bound) * 1e-3))


def unpriced(problem: AssignmentProblem, most: Integers, *, note: str) -> Relaxation:
    """Return the bound of every unit at its cheapest, without prices."""
    return Relaxation(
        bound=cheapest(problem, most),
        prices=np.zeros(problem.capacity.shape),
        units=np.zeros(problem.cost.shape),
        priced=priced(problem, most, np.zeros(problem.capacity.shape)),
        note=note,
    )


def cheapest(problem: AssignmentProblem, most: Integers) -> int:
    """Return the cost of every unit at its cheapest, as if all bins were empty."""
    cost = np.where(most > 0, problem.cost, np.iinfo(np.int64).max)
    least = np.minimum(cost.min(axis=1, initial=np.iinfo(np.int64).max), problem.penalties())
    return int(least @ problem.count)


def priced(problem: AssignmentProblem, most: Integers, prices: Numbers) -> Numbers:
    """Return cost plus the price of the room that a unit takes; infinite where it cannot stand."""
    if problem.demand.shape[1] == 1:
        room = problem.demand[:, 0] @ prices.T
    else:
        room = np.einsum("ibr,br->ib", problem.demand.astype(float), prices)
    return np.where(most > 0, problem.cost + room, np.inf)
