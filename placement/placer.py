"""The placer: greedy start, CP-SAT, exact times, single moves, and an account of all of it."""

from __future__ import annotations

from engine.model.plans import Placement, PlacementProblem
from engine.ports import Watch


class CpSatPlacer:
    """Places tasks with OR-Tools. Holds no state: the same problem gives the same bytes.

    watch: looks on, and may end a search early with the best plan so far; only then the plan
    depends on it.
    """

    def __init__(self, *, watch: Watch | None = None) -> None:
        self._watch = watch

    def watched(self, watch: Watch) -> CpSatPlacer:
        """Return the same placer with somebody looking on."""
        return CpSatPlacer(watch=watch)

    def place(self, problem: PlacementProblem) -> Placement:
        """Return the best placement found within the work limit, with its bound.

        Raises:
            InvalidInputError: when the problem cannot be planned at all.
            InfeasibleError: in `LEAST_COST` mode when no plan keeps every wish.
        """
        # An engine starts in half the time without OR-Tools, which only plans need.
        from placement.placing import placed  # noqa: PLC0415 - see above

        return placed(problem, self._watch)
