"""Small reassignment problems, random and feasible at the start."""

from __future__ import annotations

import numpy as np

from placement.reassignment import instance as problem


def with_start(
    seed: int, *, machines: int = 3, processes: int = 6, resources: int = 2
) -> tuple[problem.Instance, problem.Integers]:
    """Returns a problem and the feasible assignment it was built around."""
    chance = np.random.default_rng(seed)
    start = chance.integers(0, machines, processes)
    requirement = chance.integers(1, 12, (processes, resources))
    used = np.zeros((machines, resources), dtype=np.int64)
    np.add.at(used, start, requirement)
    capacity = used + chance.integers(0, 15, (machines, resources))
    neighbourhood = chance.integers(0, 2, machines)
    location = chance.integers(0, 3, machines)
    service = _services(chance, start)
    services = int(service.max()) + 1
    places = [set(location[start[service == s]].tolist()) for s in range(services)]
    near = [set(neighbourhood[start[service == s]].tolist()) for s in range(services)]
    pairs = [
        (a, b)
        for a in range(services)
        for b in range(services)
        if a != b and near[a] <= near[b] and chance.random() < 0.3
    ]
    made = problem.Instance(
        capacity=capacity,
        safety_capacity=(capacity * chance.uniform(0.3, 1.0, capacity.shape)).astype(np.int64),
        transient=chance.random(resources) < 0.5,
        load_weight=chance.integers(1, 5, resources),
        neighbourhood=neighbourhood,
        location=location,
        machine_move_cost=chance.integers(0, 3, (machines, machines)).astype(np.int32)
        * (1 - np.eye(machines, dtype=np.int32)),
        service=service,
        requirement=requirement,
        process_move_cost=chance.integers(0, 4, processes),
        spread_minimum=np.array([chance.integers(0, len(place) + 1) for place in places]),
        dependencies=np.array(pairs, dtype=np.int64).reshape(-1, 2),
        balances=np.array([[0, resources - 1, 2, 3]])[: int(chance.integers(0, 2))],
        process_move_weight=1,
        service_move_weight=5,
        machine_move_weight=2,
    )
    return made, start


def _services(chance: np.random.Generator, start: problem.Integers) -> problem.Integers:
    """Returns services of which no two processes start on the same machine."""
    service = np.zeros(len(start), dtype=np.int64)
    taken: list[set[int]] = []
    for process, machine in enumerate(start):
        free = [s for s, used in enumerate(taken) if int(machine) not in used]
        if free and chance.random() < 0.7:
            choice = int(chance.choice(free))
        else:
            choice = len(taken)
            taken.append(set())
        taken[choice].add(int(machine))
        service[process] = choice
    return service
