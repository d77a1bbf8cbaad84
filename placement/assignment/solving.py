"""The way from a problem to a plan: greedy, relaxation, rounding, then rounds of search.

At every moment there is a best plan with a bound; whatever fails after the greedy plan is noted
and costs quality only.
"""

from __future__ import annotations

from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np

from placement.assignment import filling, relaxation, searching, shifting
from placement.assignment.effort import Effort, Solution
from placement.assignment.incumbents import Search
from placement.assignment.plans import UNLIMITED, Moves, Plan
from placement.assignment.problem import AssignmentProblem, Integers, Numbers, checked
from placement.assignment.relaxation import Relaxation
from placement.assignment.singles import prices as lagrangian


def solve(problem: AssignmentProblem, effort: Effort) -> Solution:
    """Return the best plan found within the effort.

    Raises:
        InvalidInputError: The problem is not sound.
    """
    started = effort.clock()
    most = checked(problem).most_units()
    search = Search(
        problem=problem,
        most=most,
        effort=effort,
        started=started,
        moves=None,
        plan=filling.greedy(problem, most),
        bound=relaxation.cheapest(problem, most),
    )
    with _solvers(effort) as solvers:
        single = lagrangian.applies(problem, most)
        hints = lagrangian.relaxed(problem, most) if single else _relaxed(search, solvers)
        if search.goes_on:
            search.offer(filling.rounded(problem, hints.units, hints.priced), hints.bound)
        searching.run(search, hints, solvers, warm=False)
    return search.solution()


def resolve(
    problem: AssignmentProblem,
    plan: Plan,
    effort: Effort,
    *,
    move_cost: Integers,
    prices: Numbers | None = None,
    most_moved: int = UNLIMITED,
) -> Solution:
    """Return a plan near a running one, for a problem that has changed.

    What still fits of the running plan is there before any solver. One walk starts from it, another
    from the best shifts by a small linear programme; the relaxation comes last and gives the bound.

    Args:
        problem: The problem as it is now.
        plan: Units that run; more of them than there now are stop at their dearest bins.
        effort: Limits.
        move_cost: Cost of a unit that leaves a bin where it still fits; shape (items,).
        prices: Prices of room of the former relaxation; shape (bins, rows).
        most_moved: Most units that may leave a bin where they still fit.

    Raises:
        InvalidInputError: The problem is not sound.
    """
    started = effort.clock()
    most = checked(problem).most_units()
    kept = filling.fitted(problem, plan)
    moves = Moves(base=kept.units, cost=move_cost, most=most_moved)
    known = np.zeros(problem.capacity.shape) if prices is None else prices
    hints = Relaxation(
        bound=relaxation.cheapest(problem, most),
        prices=known,
        units=kept.units.astype(float),
        priced=relaxation.priced(problem, most, known),
    )
    search = Search(
        problem=problem,
        most=most,
        effort=effort,
        started=started,
        moves=moves,
        plan=filling.filled(problem, kept, hints.priced),
        bound=hints.bound,
    )
    with _solvers(effort) as solvers:
        beside = _shifted(search, moves, known, solvers)
        searching.run(search, hints, solvers, warm=True, beside=beside)
        if search.goes_on:
            search.bound = max(search.bound, _relaxed(search, solvers).bound)
    return search.solution()


def _solvers(effort: Effort) -> Executor:
    if effort.isolated:
        return ProcessPoolExecutor(effort.workers, mp_context=get_context("spawn"))
    return ThreadPoolExecutor(effort.workers)


def _shifted(search: Search, moves: Moves, prices: Numbers, solvers: Executor) -> Plan | None:
    """Return the running plan with its best shifts, or None with a note where the solver fails."""
    if not search.goes_on:
        return None
    trouble = "it was not solved in time"
    try:
        found = solvers.submit(
            shifting.shifted,
            search.problem,
            search.most,
            moves,
            prices,
            cost=search.charged,
            seconds=search.left,
        ).result()
    except searching.FAILURES as error:
        found, trouble = None, repr(error)
    if found is None:
        search.notes.append(f"the linear programme of the change failed: {trouble}")
    return found


def _relaxed(search: Search, solvers: Executor) -> Relaxation:
    """Return the relaxation, or one without prices where the solver fails."""
    try:
        found = solvers.submit(
            relaxation.relaxed, search.problem, search.most, seconds=search.left
        ).result()
    except searching.FAILURES as error:
        note = f"the linear programme failed: {error!r}"
        found = relaxation.unpriced(search.problem, search.most, note=note)
    if found.note:
        search.notes.append(found.note)
    return found
