"""What CP-SAT finds while it still searches, told to whoever looks on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ortools.sat.python import cp_model

from placement.search.draft import Draft
from placement.search.orders import Told

Read = Callable[[Callable[[Any], bool], Callable[[Any], int]], Draft]
"""Makes a draft from what tells the value of a flag and of a variable."""


class Teller(cp_model.CpSolverSolutionCallback):
    """Hands on each better draft with the bound so far; ends the solve when nobody wants more."""

    def __init__(self, read: Read, told: Told, dear: int) -> None:
        super().__init__()
        self._read = read
        self._told = told
        self._dear = dear

    def on_solution_callback(self) -> None:
        """Called by the solver, in its thread, for each better solution."""
        draft = self._read(self.boolean_value, self.value)
        if not self._told(draft, max(round(self.best_objective_bound), 0), self._dear):
            self.stop_search()
