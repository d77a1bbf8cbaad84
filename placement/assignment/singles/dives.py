"""Dives of one search: the relaxation by knapsacks, then plans from it, each cooled by a walk.

Where bins hold few items the prices of room say little about which items go together, and
knapsacks say much; where they hold many, knapsacks take long and say no more than prices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from placement.assignment.plans import Plan
from placement.assignment.problem import AssignmentProblem, Integers, Numbers
from placement.assignment.relaxation import Relaxation
from placement.assignment.singles import walks
from placement.assignment.singles.diving import dive
from placement.assignment.singles.knapsacks import Sacks, ascend, scratch_of

# Cells of all tables of a bound (items times room): so many at most, so that a dive, which nothing
# interrupts, takes half a second, and where nothing is sure about two (`diving.MOST_CELLS`).
LARGEST_TABLES = 2_000_000
# Steps of the ascent: at first and in each of its parts; the weight of a choice in the shares at
# first and what is left of it after each part; the stride at first; the target above the bound.
PARTS, STEPS = 6, 50
WEIGHT, LIGHTER = 0.1, 0.8
STRIDE, TARGET = 0.5, 1.004
# How far apart dives of different seeds start.
NOISE = (0.1, 0.4)
# A walk from where a dive ended: rounds, and how far the cycle of cooling is at its start.
COOLING_ROUNDS, COOLING_FROM = 4, 0.6


@dataclass(slots=True, kw_only=True)
class Dives:
    """Dives that share a relaxation; what they found is kept by the walks that cool them.

    Attributes:
        worth: Of each item, at the best bound.
        shares: The fractional plan; shape (items, bins).
        bound: No plan costs less.
        lowest: Cost of the best plan of all before this round; dives that cannot do better are
            given up.
    """

    walks: walks.Walks
    sacks: Sacks
    priced: Numbers
    worth: Numbers
    shares: Numbers
    stride: float = STRIDE
    bound: float = -math.inf
    parts: int = 0
    lowest: float = math.inf

    def ascend(self) -> bool:
        """Do a part of the ascent; return whether another is worth its time."""
        items = np.arange(len(self.worth))
        scratch = scratch_of(self.sacks)
        schedule = (STEPS, WEIGHT * LIGHTER**self.parts, self.stride, TARGET * max(0.0, self.bound))
        bound, self.stride = ascend(
            self.sacks, scratch, self.worth, self.shares, items, self.sacks.capacity, schedule
        )
        self.bound = max(self.bound, bound)
        self.parts += 1
        return self.parts < PARTS

    def walk(self, part: int, *, share: float, warm: bool, seed: int) -> None:
        """Dive once, and let a walk cool down from there."""
        del warm, share  # Every dive starts from the relaxation.
        places = np.zeros(len(self.worth), dtype=np.int64)
        noise = NOISE[part % len(NOISE)]
        limits = (self.lowest, min(self.lowest, TARGET * self.bound))
        if not dive(self.sacks, self.worth, self.shares, places, limits, noise, seed):
            return
        start = np.where(places >= 0, places, self.priced.argmin(axis=1))
        self.walks.restart(part, start)
        for number in range(COOLING_ROUNDS):
            at = COOLING_FROM + (1.0 - COOLING_FROM) * number / (COOLING_ROUNDS - 1)
            self.walks.cool(part, at=at, seed=(seed + number) % 2**31)

    def found(self) -> tuple[float, Plan | None]:
        """Return the best plan of all dives and its cost; None while none fits."""
        cost, plan = self.walks.found()
        self.lowest = min(self.lowest, cost)
        return cost, plan

    def exchange(self, plan: Plan) -> None:
        """Do nothing: dives start from the relaxation, not from plans."""


def tables_of(problem: AssignmentProblem) -> int:
    """Return the cells of all tables of one bound; about, where they are far too many."""
    return problem.items * int((_capacity(problem) + 1.0).sum())


def dives_of(problem: AssignmentProblem, hints: Relaxation, found: walks.Walks) -> Dives:
    """Return dives that start from prices of room; `found` are walks from the best plan so far."""
    cost = np.where(np.isfinite(hints.priced), problem.cost, np.inf)
    demand = np.ascontiguousarray(np.broadcast_to(problem.demand[:, :, 0], cost.shape))
    left_out = problem.penalties().astype(np.float64)
    return Dives(
        walks=found,
        sacks=Sacks(cost=cost, demand=demand, capacity=_capacity(problem), left_out=left_out),
        priced=hints.priced,
        worth=np.minimum(left_out, hints.priced.min(axis=1)),
        shares=np.zeros(cost.shape),
        bound=float(hints.bound),
    )


def _capacity(problem: AssignmentProblem) -> Integers:
    """Return the room of each bin, no more than all items together can take."""
    demand = np.broadcast_to(problem.demand[:, :, 0], problem.cost.shape)
    room: Integers = np.minimum(problem.capacity[:, 0], demand.sum(axis=0))
    return room
