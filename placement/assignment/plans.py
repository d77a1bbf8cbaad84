"""Plans of an assignment problem: how many units of each item stand in each bin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from placement.assignment.problem import AssignmentProblem, Integers

UNLIMITED = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Units of each item by bin; shape (items, bins). What is missing to the count is left out."""

    units: Integers


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """What moving costs: each unit that leaves a bin where it stood pays `cost` of its item.

    Departures are what is paid for, so that units that came new or lost their bin go anywhere.

    Attributes:
        base: Units that stood in each bin; shape (items, bins).
        cost: Cost of one move; shape (items,).
        most: Most units that may leave the bin where they stood.
    """

    base: Integers
    cost: Integers
    most: int = UNLIMITED


def left_out(problem: AssignmentProblem, plan: Plan) -> Integers:
    """Return the units of each item that stand nowhere; shape (items,)."""
    out: Integers = problem.count - plan.units.sum(axis=1)
    return out


def usage(problem: AssignmentProblem, plan: Plan) -> Integers:
    """Return what the plan takes; shape (bins, rows)."""
    if problem.demand.shape[1] == 1:
        shared: Integers = plan.units.T @ problem.demand[:, 0]
        return shared
    taken: Integers = np.einsum("ib,ibr->br", plan.units, problem.demand)
    return taken


def cost_of(problem: AssignmentProblem, plan: Plan) -> int:
    """Return the cost of a plan; a unit that must be placed and is not costs its penalty."""
    out = left_out(problem, plan)
    return int((plan.units * problem.cost).sum() + out @ problem.penalties())


def missing(problem: AssignmentProblem, plan: Plan) -> int:
    """Return how many units that must be placed are left out."""
    return int(left_out(problem, plan)[problem.must_place].sum())


def is_valid(problem: AssignmentProblem, plan: Plan) -> bool:
    """Return whether the plan keeps counts, eligibility and capacity."""
    return bool(
        plan.units.shape == problem.cost.shape
        and (plan.units >= 0).all()
        and (left_out(problem, plan) >= 0).all()
        and not plan.units[~problem.eligible].any()
        and (usage(problem, plan) <= problem.capacity).all()
    )


def moved(plan: Plan, moves: Moves | None) -> Integers:
    """Return how many units of each item left a bin where they stood; shape (items,)."""
    if moves is None:
        return np.zeros(len(plan.units), dtype=np.int64)
    gone: Integers = np.maximum(moves.base - plan.units, 0).sum(axis=1)
    return gone


def charged(problem: AssignmentProblem, plan: Plan, moves: Moves | None) -> int:
    """Return the cost of a plan with what its moves cost."""
    paid = 0 if moves is None else int(moved(plan, moves) @ moves.cost)
    return cost_of(problem, plan) + paid
