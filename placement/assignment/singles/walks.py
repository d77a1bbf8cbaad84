"""Walks over problems of single items: every item once, one row, nothing left out.

This is the generalised assignment problem. Its walks keep every item in a bin and let bins run
over, the other way round than those of `placement.assignment.annealing`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from placement.assignment.plans import Plan, left_out
from placement.assignment.problem import AssignmentProblem, Integers
from placement.assignment.relaxation import Relaxation
from placement.assignment.singles import kernels

# Promising bins of each item are those of the least cost with the price of their room: at least and
# at most so many, so that a step looks at about so many exchanges. Where bins hold few items, the
# best plans have items in bins that are not among their first few.
PROMISING, EXCHANGES = (6, 10), 100
LONGEST_CHAIN = 8
# Temperatures at the start and at the end of a cycle, in the unit of `Walks.scale`, and its least.
HOT, COLD = 0.8, 0.06
LEAST_SCALE = 1e-3
# What running over weighs at the start and at the end of a cycle, beyond the price of room.
LIGHT, HEAVY = 0.1, 5.0
# Cycles of cooling and squeezing of each walk, each twice as long as the one before: small problems
# come through many, large ones have half the time for the last.
CYCLES = (4, 5)
# Penalties are set anew after so many steps for each item, and so often in a round.
STEPS_PER_ITEM, WEIGHINGS = 2, 8


@dataclass(slots=True, kw_only=True)
class Walks:
    """Walks of one search, each with its best plan in which all fits.

    Attributes:
        scale: The unit of temperature: what a promising bin costs more than the best, on average.
        steps: Least steps of a walk in a round.
    """

    problem: AssignmentProblem
    tables: kernels.Tables
    walks: list[kernels.Walk]
    best: list[Integers]
    lowest: list[float]
    scale: float
    steps: int

    def walk(self, part: int, *, share: float, warm: bool, seed: int) -> None:
        """Let one walk do a round; `share` of the time for walks is over."""
        del warm  # Walks of this kind only start from plans that are far from the best.
        at = _within_cycle(max(0.0, share), CYCLES[part % len(CYCLES)])
        self.cool(part, at=at, seed=seed)

    def cool(self, part: int, *, at: float, seed: int) -> None:
        """Let one walk do a round at a point of a cycle, which goes from 0 to 1."""
        self.lowest[part] = kernels.anneal(
            self.tables,
            self.walks[part],
            self.best[part],
            self.lowest[part],
            (
                WEIGHINGS,
                max(STEPS_PER_ITEM * self.problem.items, self.steps // WEIGHINGS),
                LIGHT * (HEAVY / LIGHT) ** at,
                self.scale * HOT * (COLD / HOT) ** at,
            ),
            seed,
        )

    def restart(self, part: int, start: Integers) -> None:
        """Let one walk go on from these bins of the items; what was found is kept."""
        self.walks[part] = _walk_from(self.problem, self.tables, start)

    def found(self) -> tuple[float, Plan | None]:
        """Return the best plan of all walks and its cost; None while none fits."""
        part = min(range(len(self.walks)), key=self.lowest.__getitem__)
        if not np.isfinite(self.lowest[part]):
            return np.inf, None
        units = np.zeros(self.problem.cost.shape, dtype=np.int64)
        units[np.arange(self.problem.items), self.best[part]] = 1
        return self.lowest[part], Plan(units=units)

    def exchange(self, plan: Plan) -> None:
        """Do nothing: the costs of walks that run over say little about which to give up."""


def _within_cycle(share: float, cycles: int) -> float:
    """Return how far the cycle is that runs when this share of the time is over."""
    units = (1 << cycles) - 1
    number = min(cycles - 1, int(math.log2(1.0 + share * units)))
    return min(1.0, (share * units - (1 << number) + 1.0) / (1 << number))


def walks_of(
    problem: AssignmentProblem, hints: Relaxation, plan: Plan, *, parts: int, steps: int
) -> Walks:
    """Return walks that start at a plan; what it leaves out starts in its cheapest bin."""
    numbers = np.arange(problem.items)
    tables, scale = _tables(problem, hints)
    out = left_out(problem, plan) > 0
    start = np.where(out, hints.priced.argmin(axis=1), plan.units.argmax(axis=1))
    cost = np.inf if out.any() else float(problem.cost[numbers, start].sum())
    return Walks(
        problem=problem,
        tables=tables,
        walks=[_walk_from(problem, tables, start) for _ in range(parts)],
        best=[start.copy() for _ in range(parts)],
        lowest=[cost] * parts,
        scale=scale,
        steps=steps,
    )


def _tables(problem: AssignmentProblem, hints: Relaxation) -> tuple[kernels.Tables, float]:
    """Return what the compiled loops read, and the unit of temperature."""
    fewest, most = PROMISING
    near_bins = min(most, max(fewest, EXCHANGES * problem.bins // problem.items))
    order = np.argsort(hints.priced, axis=1, kind="stable")[:, :near_bins]
    near = np.take_along_axis(hints.priced, order, axis=1)
    usable = np.isfinite(near)
    low = near[:, 0]
    more = np.where(usable, near - low[:, None], 0.0)
    scale = max(LEAST_SCALE, float((more.sum(axis=1) / usable.sum(axis=1)).mean()))
    demand = np.ascontiguousarray(np.broadcast_to(problem.demand[:, :, 0], problem.cost.shape))
    tables = kernels.Tables(
        cost=np.ascontiguousarray(problem.cost, dtype=np.float64),
        demand=demand,
        low=np.ascontiguousarray(low),
        first=np.concatenate([[0], np.cumsum(usable.sum(axis=1))]).astype(np.int64),
        bins=order[usable].astype(np.int64),
        price=np.ascontiguousarray(hints.prices[:, 0]),
        grain=scale / max(1.0, float(demand.mean())),
    )
    return tables, scale


def _walk_from(problem: AssignmentProblem, tables: kernels.Tables, start: Integers) -> kernels.Walk:
    items, bins = problem.items, problem.bins
    numbers = np.arange(items)
    members = np.zeros((bins, items), dtype=np.int64)
    place = np.zeros(items, dtype=np.int64)
    for at in range(bins):
        here = np.flatnonzero(start == at)
        members[at, : len(here)] = here
        place[here] = np.arange(len(here))
    load = np.zeros(bins, dtype=np.int64)
    np.add.at(load, start, tables.demand[numbers, start])
    room = problem.capacity[:, 0] - load
    cost = float(tables.cost[numbers, start].sum())
    return kernels.Walk(
        at=start.astype(np.int64),
        room=room,
        members=members,
        place=place,
        filled=np.bincount(start, minlength=bins).astype(np.int64),
        weight=np.ones(bins),
        penalty=np.zeros(bins),
        chain=np.zeros(LONGEST_CHAIN, dtype=np.int64),
        origin=np.zeros(LONGEST_CHAIN, dtype=np.int64),
        totals=np.array([cost, float(np.maximum(0, -room).sum()), 0.0]),
    )
