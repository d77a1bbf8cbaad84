"""Fleet instances: reading, bounds, and a checker written from the definition of the problem.

Files `placement/fleet/TASKS_seedN.npz` hold `demand_centi` (class, slot, resource), `eligible` and
`cost_cents` (class, cluster), `drop_cents` (class), `capacity_centi` (cluster, slot, resource) and
`class_count`; `bounds.csv` holds a bound and an incumbent of a ten-minute HiGHS run for some.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import frame
from placement.assignment.problem import AssignmentProblem

NAME = re.compile(r"(\d+)_seed(\d+)\.npz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One fleet instance.

    Attributes:
        tasks, seed: From the name of the file.
        arrays: The arrays of the file by name.
        known_bound: Best bound of `bounds.csv`; None without a row.
        incumbent: Cost that HiGHS reached in ten minutes; None without one.
    """

    tasks: int
    seed: int
    arrays: dict[str, NDArray[np.int64]]
    known_bound: float | None
    incumbent: float | None


def instances(context: frame.Context, tasks: Iterable[int]) -> list[Instance]:
    """Return the instances of these sizes, by size and seed."""
    wanted = set(tasks)
    found = []
    for path in context.files("placement/fleet/*_seed*.npz"):
        match = NAME.fullmatch(path.name)
        if match and int(match[1]) in wanted:
            key = int(match[1]), int(match[2])
            bound, incumbent = _known(path.parent / "bounds.csv").get(key, (None, None))
            with np.load(path) as file:
                arrays = {name: file[name].astype(np.int64) for name in file.files}
            found.append(
                Instance(
                    tasks=key[0],
                    seed=key[1],
                    arrays=arrays,
                    known_bound=bound,
                    incumbent=incumbent,
                )
            )
    return sorted(found, key=lambda one: (one.tasks, one.seed))


def problem_of(arrays: dict[str, NDArray[np.int64]]) -> AssignmentProblem:
    """Return the instance as a problem of assignment; a row is a slot and a resource."""
    demand, capacity = arrays["demand_centi"], arrays["capacity_centi"]
    return AssignmentProblem(
        count=arrays["class_count"],
        cost=arrays["cost_cents"],
        eligible=arrays["eligible"].astype(bool),
        demand=demand.reshape(len(demand), 1, -1),
        capacity=capacity.reshape(len(capacity), -1),
        drop_cost=arrays["drop_cents"],
        must_place=np.zeros(len(demand), dtype=bool),
    )


def checked_cost(arrays: dict[str, NDArray[np.int64]], units: NDArray[np.int64]) -> int:
    """Return the cost of a plan, computed anew from the arrays of the file.

    Raises:
        BenchmarkError: The plan breaks the definition.
    """
    classes, clusters = arrays["cost_cents"].shape
    if units.shape != (classes, clusters) or (units < 0).any():
        raise frame.BenchmarkError(f"a plan of shape {units.shape} or with negative units")
    cost = 0
    load = np.zeros(arrays["capacity_centi"].shape, dtype=np.int64)
    for one in range(classes):
        placed = 0
        for cluster in np.flatnonzero(units[one]):
            if not arrays["eligible"][one, cluster]:
                raise frame.BenchmarkError(f"class {one} may not stand in cluster {cluster}")
            load[cluster] += units[one, cluster] * arrays["demand_centi"][one]
            cost += int(units[one, cluster]) * int(arrays["cost_cents"][one, cluster])
            placed += int(units[one, cluster])
        dropped = int(arrays["class_count"][one]) - placed
        if dropped < 0:
            raise frame.BenchmarkError(f"class {one} is placed {-dropped} times too often")
        cost += dropped * int(arrays["drop_cents"][one])
    if (load > arrays["capacity_centi"]).any():
        raise frame.BenchmarkError("a cluster is over its capacity in some slot")
    return cost


def _known(path: Path) -> dict[tuple[int, int], tuple[float | None, float | None]]:
    """Return bound and incumbent by tasks and seed."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8") as file:
        return {
            (int(row["tasks"]), int(row["seed"])): (
                float(row["best_bound"]) if row["best_bound"] else None,
                float(row["highs_objective_600s"]) if row["highs_objective_600s"] else None,
            )
            for row in csv.DictReader(file)
        }
