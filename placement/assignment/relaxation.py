"""The linear relaxation: a bound, prices of room, and a fractional plan.

HiGHS inside OR-Tools, with bulk sparse input. Without it (not installed, failed, out of memory)
there are no prices, and the bound is what every unit costs at its cheapest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from ortools.linear_solver.python import model_builder_helper as builder

from placement.assignment.problem import AssignmentProblem, Integers, Numbers
from placement.assignment.programme import model_of, programme_of


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
        solver = builder.ModelSolverHelper("highs")
        # Standard output belongs to the caller: without this HiGHS writes its name there.
        solver.set_solver_specific_parameters("output_flag=false")
        if not solver.solver_is_supported():
            return unpriced(problem, most, note="HiGHS is not in this build of OR-Tools")
        solver.set_time_limit_in_seconds(seconds)
        solver.solve(model_of(programme))
    except (MemoryError, RuntimeError, ValueError) as error:
        return unpriced(problem, most, note=f"the linear programme failed: {error}")
    if solver.status() != builder.SolveStatus.OPTIMAL:
        return unpriced(problem, most, note="the linear programme was not solved in time")
    flat = np.zeros(problem.bins * problem.rows)
    duals = np.asarray(solver.dual_values())[problem.items :]
    flat[programme.row] = np.maximum(0.0, -duals)
    prices = flat.reshape(problem.bins, problem.rows)
    units = np.zeros(problem.cost.shape)
    values = np.asarray(solver.variable_values())[: len(programme.item)]
    units[programme.item, programme.bin] = np.maximum(values, 0.0)
    objective = solver.objective_value()
    return Relaxation(
        bound=math.ceil(objective - 1e-6 * max(1.0, abs(objective) * 1e-3)),
        prices=prices,
        units=units,
        priced=priced(problem, most, prices),
    )


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
