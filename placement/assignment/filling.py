"""Plans without a solver: items in an order, each in its cheapest bin with room.

The same filling repairs a rounded fractional plan. Only numpy is needed.
"""

from __future__ import annotations

import numpy as np

from placement.assignment.plans import Plan, left_out, usage
from placement.assignment.problem import AssignmentProblem, Integers, Numbers


def greedy(problem: AssignmentProblem, most: Integers) -> Plan:
    """Return a plan: what costs most to leave out for its size comes first, cheapest bin first."""
    empty = Plan(units=np.zeros(problem.cost.shape, dtype=np.int64))
    return filled(problem, empty, np.where(most > 0, problem.cost, np.inf))


def rounded(problem: AssignmentProblem, fractional: Numbers, priced: Numbers) -> Plan:
    """Return the fractional plan rounded down and filled up."""
    # The tolerance of the solver must not turn 2.9999999 into 2, nor capacity be passed by it.
    floor = np.floor(fractional + 1e-6).astype(np.int64)
    start = fitted(problem, Plan(units=floor))
    return filled(problem, start, priced)


def fitted(problem: AssignmentProblem, plan: Plan) -> Plan:
    """Return the plan without the units that are not eligible, not there any more or do not fit.

    From a bin that is too full the units go that are cheapest to leave out for what they take.
    """
    units = np.where(problem.eligible, plan.units, 0)
    for item in np.flatnonzero(units.sum(axis=1) > problem.count):
        for at in np.argsort(-problem.cost[item], kind="stable"):
            units[item, at] -= min(units[item, at], max(0, units[item].sum() - problem.count[item]))
    worth = problem.penalties()
    for at in np.flatnonzero((usage(problem, Plan(units=units)) > problem.capacity).any(axis=1)):
        demand = problem.demand_in(int(at))
        over = demand.T @ units[:, at] - problem.capacity[at]
        relief = (demand * (over > 0)).sum(axis=1)
        value = (worth - problem.cost[:, at]) / np.maximum(relief, 1e-9)
        for item in np.argsort(value, kind="stable"):
            if units[item, at] == 0 or relief[item] == 0:
                continue
            over = demand.T @ units[:, at] - problem.capacity[at]
            hits = (over > 0) & (demand[item] > 0)
            if hits.any():
                needed = int((-(-over[hits] // demand[item][hits])).max())
                units[item, at] -= min(int(units[item, at]), needed)
    return Plan(units=units)


def filled(problem: AssignmentProblem, plan: Plan, priced: Numbers) -> Plan:
    """Return the plan with units that were left out put where they fit, least priced first."""
    units = plan.units.copy()
    out = left_out(problem, plan)
    room = problem.capacity - usage(problem, plan)
    worth = problem.penalties()
    for item in np.argsort(-density(problem), kind="stable"):
        if out[item] == 0:
            continue
        demand = problem.demand[item]
        takes = demand > 0
        fits = np.where(takes, room // np.where(takes, demand, 1), out[item]).min(axis=1)
        fits = np.where(np.isfinite(priced[item]) & (problem.cost[item] < worth[item]), fits, 0)
        for at in np.argsort(priced[item], kind="stable"):
            placed = min(int(out[item]), int(fits[at]))
            if placed > 0:
                units[item, at] += placed
                out[item] -= placed
                room[at] -= placed * demand[at if len(demand) > 1 else 0]
            if out[item] == 0:
                break
    return Plan(units=units)


def density(problem: AssignmentProblem) -> Numbers:
    """Return what leaving a unit out costs beyond placing it, for the room that it takes."""
    cost = np.where(problem.eligible, problem.cost, np.iinfo(np.int64).max).min(
        axis=1, initial=2**62
    )
    gain = np.maximum(problem.penalties() - cost, 0).astype(float)
    has = problem.capacity.sum(axis=0).astype(float)
    share = problem.demand.mean(axis=1) / np.maximum(has, 1.0)
    needed = (share * problem.count[:, None]).sum(axis=0)
    # Rows that are scarce in sum weigh more than rows with room to spare.
    size = share @ np.minimum(needed, 2.0) ** 4
    worth: Numbers = gain / np.maximum(size, 1e-12)
    return worth
