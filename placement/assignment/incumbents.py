"""The best plan of a running solve, its bound, and when the solve has to end."""

from __future__ import annotations

from dataclasses import dataclass, field

from placement.assignment.effort import Effort, Incumbent, Solution
from placement.assignment.plans import Moves, Plan, charged, cost_of, is_valid, missing, moved
from placement.assignment.problem import AssignmentProblem, Integers


@dataclass(slots=True, kw_only=True)
class Search:
    """What a solve knows so far; every plan that it offers is checked before it is kept.

    Attributes:
        problem, most, effort, moves: The input; `most` bounds the units of each item by bin.
        plan: The best plan so far; at first one that needs no solver. `charged` is its cost
            with what its moves cost.
        bound: No plan costs less.
        notes: What did not work.
        started: When the solve began, by the clock of the effort: before its first plan.
    """

    problem: AssignmentProblem
    most: Integers
    effort: Effort
    moves: Moves | None
    plan: Plan
    started: float
    charged: int = 0
    bound: int = 0
    notes: list[str] = field(default_factory=list)
    goes_on: bool = True

    def __post_init__(self) -> None:
        """Tell of the plan that there is before any solver."""
        self.charged = charged(self.problem, self.plan, self.moves)
        self.tell()

    @property
    def seconds(self) -> float:
        """Return the seconds since the start."""
        return self.effort.clock() - self.started

    @property
    def left(self) -> float:
        """Return the seconds that are left, at least a few for what has to be tried once."""
        return max(1.0, self.effort.seconds - self.seconds)

    def offer(self, plan: Plan, bound: int = 0) -> None:
        """Keep the plan where it is valid and costs less, moves paid; tell who watches."""
        self.bound = max(self.bound, bound)
        cost = charged(self.problem, plan, self.moves)
        if is_valid(self.problem, plan) and cost < self.charged:
            self.plan, self.charged = plan, cost
        self.tell()

    def tell(self) -> None:
        """Tell who watches, and end when told so, when time is up or the plan is the best."""
        seconds = self.seconds
        if self.effort.watch is not None:
            cost = cost_of(self.problem, self.plan)
            now = Incumbent(plan=self.plan, cost=cost, bound=self.bound, seconds=seconds)
            self.goes_on = self.effort.watch(now) and self.goes_on
        if seconds >= self.effort.seconds or self.charged <= self.bound:
            self.goes_on = False

    def progress(self, round_number: int) -> float:
        """Return the share of the effort spent: of rounds, or of seconds without rounds."""
        rounds = self.effort.rounds
        if rounds is None:
            return self.seconds / self.effort.seconds
        return round_number / rounds if rounds > 0 else 1.0

    def solution(self) -> Solution:
        """Return the best plan as it is now."""
        return Solution(
            plan=self.plan,
            cost=cost_of(self.problem, self.plan),
            bound=self.bound,
            missing=missing(self.problem, self.plan),
            moved=int(moved(self.plan, self.moves).sum()),
            notes=tuple(self.notes),
        )
