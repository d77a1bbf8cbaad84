"""Checks an assignment and computes its cost from the definition of the challenge of 2012.

Nothing here is shared with the search: no counters, no differences, only what the problem's
definition says, in whole arrays.
"""

import numpy as np

from placement.reassignment.instance import Instance, Integers


def faults(instance: Instance, initial: Integers, assignment: Integers) -> list[str]:
    """Returns every kind of hard limit that an assignment breaks, with how often."""
    machines = len(instance.capacity)
    if assignment.shape != instance.service.shape:
        return [f"{assignment.size} machines for {instance.service.size} processes"]
    if ((assignment < 0) | (assignment >= machines)).any():
        return ["a process is on no machine"]
    moved = assignment != initial
    use = _use(assignment, instance.requirement, machines)
    held = _use(initial[moved], instance.requirement[moved], machines)
    both = use + held * instance.transient
    together = np.stack([instance.service, assignment])
    neighbourhood = instance.neighbourhood[assignment]
    runs = np.unique(np.stack([instance.service, neighbourhood]), axis=1)
    places = np.unique(np.stack([instance.service, instance.location[assignment]]), axis=1)
    spread = np.bincount(places[0], minlength=len(instance.spread_minimum))
    counts = {
        "over capacity": int((use > instance.capacity).sum()),
        "over capacity during the move": int((both > instance.capacity).sum()),
        "of a service on one machine": together.shape[1] - np.unique(together, axis=1).shape[1],
        "services in too few locations": int((spread < instance.spread_minimum).sum()),
        "needs not met in a neighbourhood": _unmet(instance, runs),
    }
    return [f"{count} {what}" for what, count in counts.items() if count]


def cost(instance: Instance, initial: Integers, assignment: Integers) -> int:
    """Returns the cost of an assignment."""
    use = _use(assignment, instance.requirement, len(instance.capacity))
    above = np.maximum(0, use - instance.safety_capacity)
    total = int((above.sum(axis=0) * instance.load_weight).sum())
    free = instance.capacity - use
    for first, second, target, weight in instance.balances:
        lack = np.maximum(0, target * free[:, first] - free[:, second])
        total += int(weight) * int(lack.sum())
    moved = assignment != initial
    total += instance.process_move_weight * int(instance.process_move_cost[moved].sum())
    by_service = np.bincount(instance.service[moved], minlength=1)
    total += instance.service_move_weight * int(by_service.max())
    between = instance.machine_move_cost[initial, assignment].astype(np.int64)
    return total + instance.machine_move_weight * int(between.sum())


def _use(machine: Integers, requirement: Integers, machines: int) -> Integers:
    columns = [
        # bincount adds in floating point, which is exact below 2^53; halves keep it exact above.
        np.bincount(machine, weights=column >> 24, minlength=machines).astype(np.int64) * 2**24
        + np.bincount(machine, weights=column & (2**24 - 1), minlength=machines).astype(np.int64)
        for column in requirement.T
    ]
    return np.stack(columns, axis=1)


def _unmet(instance: Instance, runs: Integers) -> int:
    """Returns in how many neighbourhoods services run without one that they need, by pair."""
    known = {(int(service), int(place)) for service, place in runs.T}
    by_service: dict[int, list[int]] = {}
    for service, place in known:
        by_service.setdefault(service, []).append(place)
    return sum(
        (int(needed), place) not in known
        for dependent, needed in instance.dependencies
        for place in by_service.get(int(dependent), [])
    )
