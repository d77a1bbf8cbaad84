"""What is allowed and what it costs, word by word from the definition of the problem; slow."""

from __future__ import annotations

import itertools

import numpy as np

from placement.reassignment import instance as problem


def feasible(given: problem.Instance, start: problem.Integers, places: problem.Integers) -> bool:
    """Returns whether no hard limit is broken."""
    return (
        _within_capacity(given, start, places)
        and _apart(given, places)
        and _spread(given, places)
        and _near(given, places)
    )


def cost(given: problem.Instance, start: problem.Integers, places: problem.Integers) -> int:
    """Returns the whole cost."""
    total = 0
    for machine in range(given.machines):
        use = given.requirement[places == machine].sum(axis=0)
        for resource in range(given.resources):
            over = int(use[resource] - given.safety_capacity[machine, resource])
            total += int(given.load_weight[resource]) * max(0, over)
        free = given.capacity[machine] - use
        for first, second, target, weight in given.balances.tolist():
            total += weight * max(0, target * int(free[first]) - int(free[second]))
    moved = [process for process in range(given.processes) if start[process] != places[process]]
    for process in moved:
        total += given.process_move_weight * int(given.process_move_cost[process])
        step = given.machine_move_cost[start[process], places[process]]
        total += given.machine_move_weight * int(step)
    by_service = [sum(given.service[p] == s for p in moved) for s in range(given.services)]
    return total + given.service_move_weight * int(max(by_service))


def cheapest(given: problem.Instance, start: problem.Integers) -> int:
    """Returns the least cost of all feasible assignments."""
    everywhere = itertools.product(range(given.machines), repeat=given.processes)
    candidates = (np.array(places) for places in everywhere)
    return min(cost(given, start, c) for c in candidates if feasible(given, start, c))


def _within_capacity(
    given: problem.Instance, start: problem.Integers, places: problem.Integers
) -> bool:
    for machine in range(given.machines):
        now = places == machine
        during = now | (start == machine)
        use = given.requirement[now].sum(axis=0)
        moving = given.requirement[during].sum(axis=0)
        needed = np.where(given.transient, moving, use)
        if (needed > given.capacity[machine]).any():
            return False
    return True


def _apart(given: problem.Instance, places: problem.Integers) -> bool:
    pairs = list(zip(given.service.tolist(), places.tolist(), strict=True))
    return len(pairs) == len(set(pairs))


def _spread(given: problem.Instance, places: problem.Integers) -> bool:
    return all(
        len(set(given.location[places[given.service == service]].tolist())) >= minimum
        for service, minimum in enumerate(given.spread_minimum.tolist())
    )


def _near(given: problem.Instance, places: problem.Integers) -> bool:
    near = [
        set(given.neighbourhood[places[given.service == service]].tolist())
        for service in range(given.services)
    ]
    return all(near[dependent] <= near[needed] for dependent, needed in given.dependencies)
