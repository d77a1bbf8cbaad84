"""Chains of simulated annealing: what the compiled loops read and change, made from a problem.

Imported only where numba (extra `compiled`) may be: search goes without where it is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from placement.assignment import kernels
from placement.assignment.departures import Pace
from placement.assignment.filling import density
from placement.assignment.plans import UNLIMITED, Moves, Plan, charged, left_out, moved, usage
from placement.assignment.problem import AssignmentProblem, Integers, Numbers
from placement.assignment.state import State, Tables

# Steps in a hundred that go by prices of room; the others by cost alone.
BY_PRICE_PERCENT = 75
# Temperatures at the start and at the end, in units of `scale_of`.
HOT, COLD = 0.6, 0.02
# Removals from a bin at most; where steps aim, small ones find more in the same time.
REMOVALS, REMOVALS_AIMED = 10, 3


@dataclass(slots=True, kw_only=True)
class Chain:
    """One walk: its state, its best units, and the cost of both."""

    state: State
    best: Integers
    cost: float
    best_cost: float


@dataclass(slots=True, kw_only=True)
class Chains:
    """Chains of one search; the same doors as `singles.walks.Walks`.

    Attributes:
        scale: The unit of temperature.
        steps: Steps of a chain in a round.
        paces: How far each chain of a re-plan is; empty where nothing runs yet.
    """

    problem: AssignmentProblem
    moves: Moves | None
    tables: Tables
    chains: list[Chain]
    scale: float
    steps: int
    paces: list[Pace] = field(default_factory=list)

    def walk(self, part: int, *, share: float, warm: bool, seed: int) -> None:
        """Let one chain do a round; `share` of the time for chains is over, below 0 at first."""
        if warm and self.moves is not None:
            self._replan(self.moves, part, seed)
            return
        heat = 0.0 if share < 0.0 else self.scale * HOT * (COLD / HOT) ** share
        walk(self.tables, self.chains[part], steps=self.steps, temperature=heat, seed=seed)

    def _replan(self, moves: Moves, part: int, seed: int) -> None:
        """Let one chain do a round near the running plan, departures at their price of now."""
        pace = self.paces[part]
        if pace.begins:
            best = Plan(units=self.chains[part].best)
            self.chains[part] = chain_of(self.problem, best, moves)
        chain = self.chains[part]
        price = pace.price * self.scale
        best_moved = int(moved(Plan(units=chain.best), moves).sum())
        chain.cost += price * chain.state.sizes[4]
        chain.best_cost += price * best_moved
        walk(
            self.tables._replace(move_cost=np.asarray(moves.cost + price, dtype=np.float64)),
            chain,
            steps=pace.steps(self.steps),
            temperature=self.scale * pace.heat,
            seed=seed,
        )
        chain.cost -= price * chain.state.sizes[4]
        chain.best_cost = float(charged(self.problem, Plan(units=chain.best), moves))
        pace.done(int(chain.state.sizes[4]), moves.most)

    def found(self) -> tuple[float, Plan | None]:
        """Return the best plan of all chains and its cost, moves paid."""
        best = min(self.chains, key=lambda chain: chain.best_cost)
        return best.best_cost, Plan(units=best.best.copy())

    def exchange(self, plan: Plan) -> None:
        """Let the worst chain go on from a plan."""
        worst = max(range(len(self.chains)), key=lambda part: self.chains[part].cost)
        self.chains[worst] = chain_of(self.problem, plan, self.moves)


def chains_of(
    problem: AssignmentProblem,
    priced: Numbers,
    plan: Plan,
    moves: Moves | None,
    *,
    parts: int,
    steps: int,
) -> Chains:
    """Return chains that start at a plan."""
    return Chains(
        problem=problem,
        moves=moves,
        tables=tables_of(problem, priced, moves),
        chains=[chain_of(problem, plan, moves) for _ in range(parts)],
        scale=scale_of(problem, priced),
        steps=steps,
        paces=[] if moves is None else [Pace() for _ in range(parts)],
    )


def tables_of(problem: AssignmentProblem, priced: Numbers, moves: Moves | None) -> Tables:
    """Return what the compiled loops read."""
    can_stand = np.isfinite(priced)
    worth = problem.penalties().astype(float)
    placed = int(problem.count.sum())
    largest = problem.demand.mean(axis=1) / np.maximum(problem.capacity.mean(axis=0), 1.0)
    return Tables(
        # One memory layout, so that the loops are compiled once.
        cost=np.ascontiguousarray(np.where(can_stand, problem.cost, np.inf)),
        out_cost=worth,
        demand=np.ascontiguousarray(problem.demand[:, :, scarce_first(problem)]),
        first=np.concatenate([[0], np.cumsum(can_stand.sum(axis=1))]).astype(np.int64),
        bins=np.nonzero(can_stand)[1].astype(np.int64),
        priced=np.ascontiguousarray(priced),
        worth=np.minimum(worth, priced.min(axis=1, initial=np.inf)),
        keys=-np.stack([density(problem), largest.max(axis=1, initial=0.0)]),
        base=np.ascontiguousarray(np.zeros_like(problem.cost) if moves is None else moves.base),
        move_cost=np.zeros(problem.items) if moves is None else moves.cost.astype(float),
        knobs=np.array(
            [
                max(1, placed // (10 * problem.bins)),
                REMOVALS if moves is None else REMOVALS_AIMED,
                int(problem.demand.shape[1] > 1),
                BY_PRICE_PERCENT,
                UNLIMITED if moves is None else moves.most,
                int(moves is not None),
            ]
        ),
    )


def chain_of(problem: AssignmentProblem, plan: Plan, moves: Moves | None) -> Chain:
    """Return a walk that starts at a plan."""
    items, bins = problem.items, problem.bins
    out = left_out(problem, plan)
    outside = np.flatnonzero(out)
    present = np.zeros((bins, items), dtype=np.int64)
    place = np.zeros((bins, items), dtype=np.int64)
    filled = (plan.units > 0).sum(axis=0)
    for at in range(bins):
        stands = np.flatnonzero(plan.units[:, at])
        present[at, : len(stands)] = stands
        place[at, stands] = np.arange(len(stands))
    outside_place = np.zeros(items, dtype=np.int64)
    outside_place[outside] = np.arange(len(outside))
    cost = float(charged(problem, plan, moves))
    return Chain(
        state=State(
            units=plan.units.copy(order="C"),
            out=out,
            room=np.ascontiguousarray(
                (problem.capacity - usage(problem, plan))[:, scarce_first(problem)]
            ),
            present=present,
            place=place,
            filled=filled.astype(np.int64),
            outside=np.concatenate([outside, np.zeros(items - len(outside), dtype=np.int64)]),
            outside_place=outside_place,
            journal=np.zeros((4096 + 8 * items, 3), dtype=np.int64),
            sizes=np.array([len(outside), 0, 0, 0, int(moved(plan, moves).sum())]),
            pool=np.zeros(items, dtype=np.int64),
            wanted=np.zeros(items, dtype=np.int64),
            touched=np.zeros(8, dtype=np.int64),
            witness=np.zeros(bins, dtype=np.int64),
        ),
        best=plan.units.copy(order="C"),
        cost=cost,
        best_cost=cost,
    )


def scale_of(problem: AssignmentProblem, priced: Numbers) -> float:
    """Return what one step weighs: the unit of temperature.

    Where all must be placed, the mean of what the second best bin costs more than the best; where
    units are left out, which costs far more, the mean cost of a unit at its best.
    """
    many = max(1, int(problem.count.sum()))
    best = np.sort(np.where(np.isfinite(priced), priced, problem.penalties()[:, None]), axis=1)
    if problem.must_place.all() and problem.bins > 1:
        return float((best[:, 1] - best[:, 0]) @ problem.count) / many
    return float(np.minimum(best[:, 0], problem.penalties()) @ problem.count) / many


def scarce_first(problem: AssignmentProblem) -> Integers:
    """Return the rows, scarce ones first: most of what does not fit fails there."""
    needed = problem.demand.mean(axis=1).T @ problem.count
    return np.argsort(-needed / np.maximum(problem.capacity.sum(axis=0), 1.0), kind="stable")


def walk(tables: Tables, chain: Chain, *, steps: int, temperature: float, seed: int) -> None:
    """Let one chain do steps at one temperature."""
    cost, lowest = kernels.anneal(
        tables,
        chain.state,
        chain.best,
        steps,
        max(temperature, 1e-9),
        seed,
        chain.best_cost - chain.cost,
    )
    chain.best_cost = chain.cost + lowest
    chain.cost += cost
