"""What a search tells whoever looks on: every better plan with its bound, and when to end."""

from __future__ import annotations

from engine.model.plans import Incumbent
from engine.ports import Watch
from placement.problem.building import WEIGHT_UNITS
from placement.problem.instance import Instance
from placement.search.draft import Draft
from placement.search.greedy import value


class Lookout:
    """Turns plans of a search into incumbents. Safe to call often: only better ones are told."""

    def __init__(self, watch: Watch | None = None) -> None:
        self._watch = watch
        self._best: tuple[int, int] | None = None
        self._bound = -1

    @property
    def is_watched(self) -> bool:
        """Whether anybody looks on."""
        return self._watch is not None

    def found(self, instance: Instance, plan: Draft | None, bound: int) -> None:
        """Tell of a plan (None for none yet) that is better than those before, or a better bound.

        bound: micro-dollars that no plan with as little left out can do without.
        """
        if self._watch is None or plan is None:
            return
        found = value(instance, plan)
        if self._best is not None and found >= self._best and bound <= self._bound:
            return
        if self._best is None or found <= self._best:
            self._best = found
        self._bound = bound
        weight, money = self._best
        self._watch.found(
            Incumbent(
                unplaced_weight=weight / WEIGHT_UNITS,
                objective_micro_dollars=money,
                bound_micro_dollars=min(bound, money),
            )
        )

    def wants_end(self) -> bool:
        """Whether the search shall end soon, with the best plan it has."""
        return self._watch is not None and self._watch.wants_end()


NOBODY = Lookout()
"""Nobody looks on, and nobody ends a search early."""
