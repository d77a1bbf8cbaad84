"""A small problem solved by CP-SAT from a full plan, limited in deterministic work.

The bulk input of the linear programme serves here too. CP-SAT gets every variable as a hint, so
that it never starts cold and never comes back with less than it was given.
"""

from __future__ import annotations

import numpy as np
from ortools.linear_solver.python import model_builder_helper as builder

from placement.assignment.plans import Plan, cost_of, is_valid, left_out
from placement.assignment.problem import AssignmentProblem, Integers
from placement.assignment.programme import model_of, programme_of

# Guard in seconds for one unit of deterministic work, should the machine be very busy.
SECONDS_PER_WORK = 20.0


def improved(
    problem: AssignmentProblem, plan: Plan, most: Integers, *, work: float, seed: int
) -> Plan:
    """Return a plan that costs no more; `work` is CP-SAT's deterministic time.

    Raises:
        RuntimeError: The solver is not there or failed.
    """
    programme = programme_of(problem, np.maximum(most, plan.units))
    model = model_of(programme)
    start = np.concatenate([plan.units[programme.item, programme.bin], left_out(problem, plan)])
    for number, value in enumerate(start.tolist()):
        model.set_var_integrality(number, True)  # noqa: FBT003 - takes no keywords
        model.add_hint(number, float(value))
    solver = builder.ModelSolverHelper("sat")
    if not solver.solver_is_supported():
        raise RuntimeError("CP-SAT is not in this build of OR-Tools")
    solver.set_time_limit_in_seconds(SECONDS_PER_WORK * max(1.0, work))
    solver.set_solver_specific_parameters(
        f"max_deterministic_time: {work} num_workers: 1 random_seed: {seed} linearization_level: 2"
    )
    solver.solve(model)
    if not solver.has_solution():
        return plan
    values = np.rint(np.asarray(solver.variable_values())).astype(np.int64)
    units = np.zeros_like(plan.units)
    units[programme.item, programme.bin] = values[: len(programme.item)]
    found = Plan(units=units)
    # The check is cheap, and a plan that is shown must never rest on a solver's tolerance.
    better = is_valid(problem, found) and cost_of(problem, found) < cost_of(problem, plan)
    return found if better else plan
