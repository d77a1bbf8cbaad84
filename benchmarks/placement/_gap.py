"""Instances of the generalised assignment problem in the form of the OR-Library, and a checker.

A file holds bins and items, then costs, then demands (a line for each bin), then capacities.
`data.csv` has the best known values by path.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import frame
from placement.assignment.problem import AssignmentProblem

VALUE = "Best known solution value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One instance: cost and demand by (item, bin), capacity by bin, best known cost."""

    name: str
    cost: NDArray[np.int64]
    demand: NDArray[np.int64]
    capacity: NDArray[np.int64]
    best_known: int


def instances(context: frame.Context, pattern: str) -> list[Instance]:
    """Return the instances below `placement/gap` whose path matches and that have a best value."""
    table = context.file("placement/gap/data.csv")
    with table.open(encoding="utf-8") as file:
        best = {row["Path"]: int(row[VALUE]) for row in csv.DictReader(file) if row[VALUE]}
    found = [
        _read(path, name, best[name])
        for path in context.files("placement/gap/*/*")
        if (name := f"{path.parent.name}/{path.name}") in best and path.match(pattern)
    ]
    if not found:
        raise frame.MissingDataError(context.data, f"placement/gap/*/{pattern}")
    return found


def problem_of(instance: Instance) -> AssignmentProblem:
    """Return the instance as items of count one that must be placed, with one row."""
    items = len(instance.cost)
    return AssignmentProblem(
        count=np.ones(items, dtype=np.int64),
        cost=instance.cost,
        eligible=np.ones(instance.cost.shape, dtype=bool),
        demand=instance.demand[:, :, None],
        capacity=instance.capacity[:, None],
        drop_cost=np.zeros(items, dtype=np.int64),
        must_place=np.ones(items, dtype=bool),
    )


def checked_cost(instance: Instance, units: NDArray[np.int64]) -> int | None:
    """Return the cost of a plan from the definition; None where an item stands nowhere.

    Raises:
        BenchmarkError: An item stands in several bins, or a bin holds more than it can.
    """
    load = [0] * len(instance.capacity)
    cost = 0
    for item, row in enumerate(units.tolist()):
        stands = [(at, many) for at, many in enumerate(row) if many != 0]
        if not stands:
            return None
        if len(stands) > 1 or stands[0][1] != 1:
            raise frame.BenchmarkError(f"{instance.name}: item {item} stands in bins {stands!r}")
        at = stands[0][0]
        load[at] += int(instance.demand[item, at])
        cost += int(instance.cost[item, at])
    for at, taken in enumerate(load):
        if taken > instance.capacity[at]:
            raise frame.BenchmarkError(f"{instance.name}: bin {at} holds {taken}")
    return cost


def _read(path: Path, name: str, best_known: int) -> Instance:
    values = np.array(path.read_text(encoding="utf-8").split(), dtype=np.int64)
    bins, items = int(values[0]), int(values[1])
    size = bins * items
    return Instance(
        name=name,
        cost=np.ascontiguousarray(values[2 : 2 + size].reshape(bins, items).T),
        demand=np.ascontiguousarray(values[2 + size : 2 + 2 * size].reshape(bins, items).T),
        capacity=values[2 + 2 * size : 2 + 2 * size + bins],
        best_known=best_known,
    )
