"""The door to CP-SAT: a solve that fails leaves the plan as it was and says why.

OR-Tools is imported when the first solve is asked for, so that a machine on which it cannot be
loaded still plans greedily.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import cast

from placement.problem.instance import Instance
from placement.search.orders import Outcome, Scope, Task, Verdict

Solve = Callable[[Instance, Task, Scope], Outcome]

MODEL = "placement.search.model"

FAILURES = (ImportError, MemoryError, OSError, OverflowError, RuntimeError)
"""What a solver that is not there, has no memory left or breaks raises, here or in its library."""


def solve(instance: Instance, task: Task, scope: Scope) -> Outcome:
    """Solve with one worker within a deterministic limit; a failure is an outcome, no exception."""
    try:
        model = importlib.import_module(MODEL)
        return cast("Solve", model.solve)(instance, task, scope)
    except FAILURES as failure:
        return Outcome(
            verdict=Verdict.UNKNOWN,
            draft=None,
            bound=0,
            work=task.work_limit,
            trouble=f"the solver could not be used ({type(failure).__name__}: {failure})",
        )
