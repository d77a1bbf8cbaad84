"""The linear programme of a change: which few units of a running plan are best shifted, and where.

Its variables are arrivals and departures, not units, so that doing nothing is its first basis and a
primal simplex needs little more steps than there are shifts: the continual view of COpter (SOSP
2025), in Dantzig's method instead of a proximal one. Arrivals are priced out by the former prices
of room: only the cheapest few bins of an item, room paid, are looked at, and only rows of capacity
that are short or nearly so. What that leaves out costs quality only, since shifts are made whole
one by one, each where it fits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ortools.linear_solver.python import model_builder_helper as builder
from scipy import sparse

from placement.assignment import filling, relaxation
from placement.assignment.plans import Moves, Plan, left_out, usage
from placement.assignment.problem import AssignmentProblem, Flags, Integers, Numbers
from placement.assignment.programme import takes_of

# Bins that are looked at for each item; more where the plan as it stands costs more than the former
# prices say by at least this share of it, so that they say little.
BINS, BINS_WHERE_FAR = 8, 16
FAR = 0.05
# Rows with less room than this share of their capacity are looked at, and those that had a price.
NEARLY_FULL = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shifts:
    """Pairs of item and bin: units that may come there, or (`comes` false) that may go.

    Attributes:
        most: Most units of each. cost: Of one unit; below 0 where going saves.
    """

    item: Integers
    bin: Integers
    comes: Flags
    most: Integers
    cost: Numbers


def shifted(
    problem: AssignmentProblem,
    most: Integers,
    moves: Moves,
    prices: Numbers,
    *,
    cost: int,
    seconds: float,
) -> Plan | None:
    """Return the running plan with its best shifts, or None where the programme is not solved.

    Args:
        problem: The problem as it is now.
        most: Most units of each item by bin; shape (items, bins).
        moves: What stands now and fits, what a departure costs, and how many there may be.
        prices: Prices of room of the former relaxation; shape (bins, rows).
        cost: Of the best plan so far.
        seconds: Guard on the time of the solver.
    """
    before = relaxation.priced(problem, most, prices)
    order = np.argsort(before, axis=1, kind="stable")
    is_far = cost > (1.0 + FAR) * _least(problem, most, before, prices, order)
    near = np.argsort(order, axis=1) < (BINS_WHERE_FAR if is_far else BINS)
    shifts = _shifts(problem, most, moves, near)
    model = _model(problem, moves, shifts, prices)
    solver = builder.ModelSolverHelper("glop")
    solver.set_time_limit_in_seconds(seconds)
    solver.set_solver_specific_parameters("use_dual_simplex: false use_preprocessing: false")
    solver.solve(model)
    if not solver.has_solution():
        return None
    values = np.asarray(solver.variable_values())[: len(shifts.item)]
    return _made(problem, moves, shifts, values, before)


def _least(
    problem: AssignmentProblem, most: Integers, priced: Numbers, prices: Numbers, order: Integers
) -> float:
    """Return the bound by prices of room: every unit where it is cheapest, room paid.

    order: the bins of each item, cheapest first; shape (items, bins).
    """
    worth = problem.penalties()[:, None]
    cost = np.take_along_axis(np.minimum(priced, worth), order, axis=1)
    placed = np.minimum(
        np.cumsum(np.take_along_axis(most, order, axis=1), axis=1), problem.count[:, None]
    )
    each = np.diff(placed, axis=1, prepend=0)
    out = problem.count - each.sum(axis=1)
    return float((each * cost).sum() + out @ worth[:, 0] - (prices * problem.capacity).sum())


def _shifts(problem: AssignmentProblem, most: Integers, moves: Moves, near: Flags) -> _Shifts:
    free = np.maximum(most - moves.base, 0)
    may_come = near & (free > 0) & (problem.cost < problem.penalties()[:, None])
    come, go = np.nonzero(may_come), np.nonzero(moves.base)
    item, at = np.concatenate([come[0], go[0]]), np.concatenate([come[1], go[1]])
    comes = np.arange(len(item)) < len(come[0])
    cost = problem.cost[item, at]
    return _Shifts(
        item=item,
        bin=at,
        comes=comes,
        most=np.where(comes, free[item, at], moves.base[item, at]),
        cost=np.where(comes, cost, moves.cost[item] - cost).astype(float),
    )


def _model(
    problem: AssignmentProblem, moves: Moves, shifts: _Shifts, prices: Numbers
) -> builder.ModelBuilderHelper:
    """Return the programme.

    Rows: the units of each item stay as many, the capacities looked at, and the departures.
    Variables: the shifts, then the units of each item that are left out.
    """
    base = Plan(units=moves.base)
    items, count = problem.items, len(shifts.item)
    sign = np.where(shifts.comes, 1.0, -1.0)
    room = problem.capacity - usage(problem, base)
    takes = sparse.csr_matrix(takes_of(problem, shifts.item, shifts.bin) @ sparse.diags(sign))
    looked_at = (prices > 0) | (room < NEARLY_FULL * problem.capacity)
    rows = np.flatnonzero(looked_at.ravel() & (np.diff(takes.indptr) > 0))
    place = np.concatenate([shifts.item, np.arange(items)])
    units = np.concatenate([sign, np.ones(items)])
    balance = sparse.csr_matrix((units, (place, np.arange(count + items))))
    departs = sparse.csr_matrix(np.where(shifts.comes, 0.0, 1.0))
    none = sparse.csr_matrix((len(rows) + 1, items))
    limits = sparse.hstack([sparse.vstack([takes[rows], departs]), none])
    out = left_out(problem, base).astype(float)
    most_gone = float(min(moves.most, int(moves.base.sum())))
    model = builder.ModelBuilderHelper()
    # The stubs of this function name the types of arrays the wrong way round.
    fill: Callable[..., None] = model.fill_model_from_sparse_data
    fill(
        np.zeros(count + items),
        np.concatenate([shifts.most, problem.count]).astype(float),
        np.concatenate([shifts.cost, problem.penalties()]).astype(float),
        np.concatenate([out, np.full(len(rows) + 1, -np.inf)]),
        np.concatenate([out, room.ravel()[rows].astype(float), [most_gone]]),
        sparse.csr_matrix(sparse.vstack([balance, limits])),
    )
    return model


def _made(
    problem: AssignmentProblem, moves: Moves, shifts: _Shifts, values: Numbers, priced: Numbers
) -> Plan:
    """Return the running plan with shifts made whole, large ones first; arrivals where they fit."""
    units = moves.base.copy()
    whole = np.rint(values).astype(np.int64)
    order = np.argsort(-values, kind="stable")
    order = order[whole[order] > 0]
    left = moves.most
    for index in order[~shifts.comes[order]]:
        gone = min(int(whole[index]), left)
        units[shifts.item[index], shifts.bin[index]] -= gone
        left -= gone
    out = left_out(problem, Plan(units=units))
    room = problem.capacity - usage(problem, Plan(units=units))
    for index in order[shifts.comes[order]]:
        item, at = int(shifts.item[index]), int(shifts.bin[index])
        demand = problem.demand_in(at)[item]
        wanted = min(int(whole[index]), int(out[item]))
        takes = demand > 0
        come = int((room[at, takes] // demand[takes]).min(initial=wanted))
        units[item, at] += come
        out[item] -= come
        room[at] -= come * demand
    return filling.filled(problem, Plan(units=units), priced)
