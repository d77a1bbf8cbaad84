"""How much work a solve may do, and what it brings back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from placement.assignment.plans import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Incumbent:
    """The best plan at a moment: its cost, the bound, and the seconds since the start."""

    plan: Plan
    cost: int
    bound: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """Limits of one solve, counted in work so that a plan does not depend on the machine.

    Attributes:
        rounds: Rounds of search after the first plan; 0 gives the first plan. None lets seconds
            set the pace instead, so that the plan depends on the machine.
        steps: Steps of each chain of local search in a round.
        exact_share: Share of the rounds, the last ones, that solve neighbourhoods by CP-SAT.
        exact_work: Deterministic work of CP-SAT for each neighbourhood.
        seconds: Guard on wall-clock time.
        workers: Threads; they change how long a solve takes, not what it finds.
        isolated: Whether solvers run in processes of their own, whose death leaves the plan.
        seed: Of all random choices.
        watch: Told every new best plan and every round; returning False ends the solve.
        clock: Seconds that never go back.
    """

    rounds: int | None = 40
    steps: int = 2000
    exact_share: float = 0.4
    exact_work: float = 1.0
    seconds: float = 600.0
    workers: int = 1
    isolated: bool = False
    seed: int = 0
    watch: Callable[[Incumbent], bool] | None = None
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """The best plan found.

    Attributes:
        plan: Units of each item in each bin; keeps every capacity.
        cost: Its cost, without the cost of moves; a missing unit costs its penalty.
        bound: No plan costs less.
        missing: Units that must be placed and are not; 0 for a complete plan.
        moved: Units that stand where none stood before, in a re-plan.
        notes: What did not work (a solver that is missing, failed or died), in sentences.
    """

    plan: Plan
    cost: int
    bound: int
    missing: int
    moved: int = 0
    notes: tuple[str, ...] = ()

    @property
    def gap(self) -> float:
        """Return how far the cost may be above the best, as a share of the bound."""
        return (self.cost - self.bound) / self.bound if self.bound > 0 else float(self.cost > 0)
