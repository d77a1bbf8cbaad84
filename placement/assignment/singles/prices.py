"""Prices of room by subgradient: the bound of the linear programme without a solver.

With prices on room each item goes to its cheapest bin, which gives a bound; prices rise where a
bin is too full and fall where it is not. On the largest instances known this takes a tenth of a
second where simplex takes several. Method: Lagrangian relaxation of the capacities (Fisher 1981)
with steps towards a target above the best bound so far.
"""

from __future__ import annotations

import numpy as np

from placement.assignment.problem import AssignmentProblem, Flags, Integers, Numbers
from placement.assignment.relaxation import Relaxation, cheapest, whole

LARGEST_STEPS = 1000
# Steps without a better bound before the target comes nearer, and by how much it does.
PATIENCE, NEARER = 10, 0.7
# The target's distance at first and at last, as a share of the bound.
FAR, NEAR = 0.1, 1e-5


def applies(problem: AssignmentProblem, most: Integers) -> bool:
    """Return whether all items are single with one row, must be placed, and each has a bin."""
    return bool(
        problem.rows == 1
        and problem.items > 0
        and problem.must_place.all()
        and (problem.count == 1).all()
        and (most > 0).any(axis=1).all()
    )


def relaxed(problem: AssignmentProblem, most: Integers) -> Relaxation:
    """Return bound and prices; its units are each item at its cheapest and may not fit."""
    demand = np.broadcast_to(problem.demand[:, :, 0], problem.cost.shape).astype(float)
    capacity = problem.capacity[:, 0].astype(float)
    cost = np.where(most > 0, problem.cost, np.inf)
    best, prices = _ascent(cost, demand, capacity)
    reduced = cost + demand * prices
    units = np.zeros(problem.cost.shape)
    units[np.arange(problem.items), reduced.argmin(axis=1)] = 1.0
    return Relaxation(
        bound=max(whole(best), cheapest(problem, most)),
        prices=prices[:, None],
        units=units,
        priced=reduced,
    )


def _ascent(cost: Numbers, demand: Numbers, capacity: Numbers) -> tuple[float, Numbers]:
    """Return the best bound and its prices."""
    items = np.arange(len(cost))
    prices = np.zeros(len(capacity))
    best, best_prices = -np.inf, prices
    far, idle = 0.0, 0
    for step in range(LARGEST_STEPS):
        reduced = cost + demand * prices
        chosen = reduced.argmin(axis=1)
        bound = float(reduced[items, chosen].sum() - prices @ capacity)
        if step == 0:
            far = FAR * max(1.0, abs(bound))
        if bound > best:
            # A leap shows that the target was too modest.
            far *= 1.5 if step > 0 and bound - best > 0.3 * far else 1.0
            best, best_prices, idle = bound, prices, 0
        else:
            idle += 1
        if idle >= PATIENCE:
            far, idle, prices = far * NEARER, 0, best_prices
            continue
        taken = np.bincount(chosen, weights=demand[items, chosen], minlength=len(capacity))
        slope = taken - capacity
        slope[_at_rest(slope, prices)] = 0.0
        norm = float(slope @ slope)
        if norm == 0.0 or far < NEAR * max(1.0, abs(best)):
            break
        prices = np.maximum(0.0, prices + (far + best - bound) / norm * slope)
    return best, best_prices


def _at_rest(slope: Numbers, prices: Numbers) -> Flags:
    """Return the bins with room to spare whose price is 0 already."""
    rests: Flags = (slope < 0.0) & (prices == 0.0)
    return rests
