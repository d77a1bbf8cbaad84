"""A reassignment problem as frozen arrays, with the checks that the search relies on.

Processes run on machines; each may move once, at a price. `reading` makes instances from text,
`state` compiles them into tables, `reassigning` looks for a better assignment.

The problem is the machine reassignment problem of the ROADEF/EURO challenge 2012 (Google):
capacities are hard, transient resources count on the old and on the new machine while a process
moves, processes of a service never share a machine, a service spans a least number of locations,
and a service runs only in neighbourhoods where the services it depends on run too.
"""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from engine.model import errors

Integers: TypeAlias = npt.NDArray[np.int64]

# Sums of costs stay below this, so that differences of two of them fit into 64 bits.
LARGEST_COST = 2**61

TABLE_DIMENSIONS = 2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Instance:
    """Machines, processes and prices; all numbers are integers of any unit.

    Let M machines, R resources, P processes, S services, D dependencies and B balances be given.

    Attributes:
        capacity: (M, R), hard limit of each machine and resource.
        safety_capacity: (M, R), use above it costs.
        transient: (R,), whether a resource is taken on both machines during a move.
        load_weight: (R,), cost of a unit above the safety capacity.
        neighbourhood: (M,), from 0.
        location: (M,), from 0.
        machine_move_cost: (M, M), cost of moving from row to column.
        service: (P,), service of each process, from 0.
        requirement: (P, R), what each process takes.
        process_move_cost: (P,), cost of moving each process.
        spread_minimum: (S,), least number of locations of each service.
        dependencies: (D, 2), dependent service and the service that it needs nearby.
        balances: (B, 4), rows (first, second, target, weight): the free amount of resource
            `second` should be at least `target` times that of `first`; what lacks costs `weight`.
        process_move_weight: Factor of the sum of the process move costs.
        service_move_weight: Factor of the largest number of moved processes of one service.
        machine_move_weight: Factor of the sum of the machine move costs.
    """

    capacity: Integers
    safety_capacity: Integers
    transient: npt.NDArray[np.bool_]
    load_weight: Integers
    neighbourhood: Integers
    location: Integers
    machine_move_cost: npt.NDArray[np.int32]
    service: Integers
    requirement: Integers
    process_move_cost: Integers
    spread_minimum: Integers
    dependencies: Integers
    balances: Integers
    process_move_weight: int
    service_move_weight: int
    machine_move_weight: int

    def __post_init__(self) -> None:
        """Refuses arrays that do not fit together.

        Raises:
            InvalidInputError: With every fault that was found.
        """
        faults = [*_shape_faults(self)] or [*_range_faults(self)]
        if faults:
            raise errors.InvalidInputError("reassignment instance", faults)

    @property
    def machines(self) -> int:
        """Number of machines."""
        return int(self.capacity.shape[0])

    @property
    def resources(self) -> int:
        """Number of resources."""
        return int(self.capacity.shape[1])

    @property
    def processes(self) -> int:
        """Number of processes."""
        return int(self.service.shape[0])

    @property
    def services(self) -> int:
        """Number of services."""
        return int(self.spread_minimum.shape[0])


def _shape_faults(instance: Instance) -> list[errors.Fault]:
    if instance.capacity.ndim != TABLE_DIMENSIONS or 0 in instance.capacity.shape:
        return [_fault("capacity", f"has shape {instance.capacity.shape}", "one row a machine")]
    machines, resources = instance.capacity.shape
    processes, services = len(instance.service), len(instance.spread_minimum)
    wanted = {
        "safety_capacity": (machines, resources),
        "transient": (resources,),
        "load_weight": (resources,),
        "neighbourhood": (machines,),
        "location": (machines,),
        "machine_move_cost": (machines, machines),
        "service": (processes,),
        "requirement": (processes, resources),
        "process_move_cost": (processes,),
        "spread_minimum": (services,),
        "dependencies": (len(instance.dependencies), 2),
        "balances": (len(instance.balances), 4),
    }
    found = {name: getattr(instance, name).shape for name in wanted}
    return [
        _fault(name, f"has shape {found[name]}", f"shape {shape}")
        for name, shape in wanted.items()
        if found[name] != shape
    ]


def _range_faults(instance: Instance) -> list[errors.Fault]:
    bounds = {
        "service": (instance.service, instance.services),
        "dependencies": (instance.dependencies, instance.services),
        "balances": (instance.balances[:, :2], instance.resources),
    }
    faults = [
        _fault(name, f"refers to {_first_outside(values, limit)}", f"numbers from 0 to {limit - 1}")
        for name, (values, limit) in bounds.items()
        if _first_outside(values, limit) is not None
    ]
    amounts = (
        "capacity safety_capacity load_weight neighbourhood location machine_move_cost requirement "
        "process_move_cost spread_minimum balances"
    )
    for name in amounts.split():
        values = getattr(instance, name)
        if values.size and values.min() < 0:
            faults.append(_fault(name, f"holds {int(values.min())}", "numbers from 0"))
    weights = ("process_move_weight", "service_move_weight", "machine_move_weight")
    faults.extend(
        _fault(name, f"is {getattr(instance, name)}", "a number from 0")
        for name in weights
        if getattr(instance, name) < 0
    )
    if not faults and _cost_bound(instance) >= LARGEST_COST:
        message = "the largest possible cost does not fit into 64 bits"
        fix = "use a coarser unit of the resources or smaller weights"
        faults.append(errors.Fault(code="S001", message=message, fix=fix))
    return faults


def _first_outside(values: Integers, limit: int) -> int | None:
    outside = values[(values < 0) | (values >= limit)]
    return int(outside[0]) if outside.size else None


def _cost_bound(instance: Instance) -> float:
    """Returns a bound on every cost and on every sum that is met while computing one."""
    demand = instance.requirement.astype(float).sum(axis=0)
    capacity = instance.capacity.astype(float).sum(axis=0) + demand
    load = float(np.sum(demand * np.maximum(instance.load_weight, 1)))
    balance = sum(
        float(weight) * max(1.0, float(target)) * float(capacity[first] + capacity[second])
        for first, second, target, weight in instance.balances
    )
    worst_move = float(instance.machine_move_cost.max(initial=0))
    moves = instance.process_move_weight * float(instance.process_move_cost.astype(float).sum())
    moves += float(instance.machine_move_weight) * worst_move * instance.processes
    moves += float(instance.service_move_weight) * instance.processes
    return float(capacity.max()) + load + balance + moves


def _fault(name: str, what: str, wanted: str) -> errors.Fault:
    return errors.Fault(code="S001", message=f"`{name}` {what}", path=name, fix=f"give {wanted}")
