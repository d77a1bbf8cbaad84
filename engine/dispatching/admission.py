"""Whether the place that a plan gives to a task has room for it now. Pure.

A cluster is a ledger of declared capacity: what attempts hold counts, not what they use.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.dispatching.readiness import MAY_START, Judgement
from engine.model.dispatches import Attempt, Reason
from engine.model.fleet import Cluster, Fleet, Pool
from engine.model.plans import Assignment, task_key
from engine.model.resources import Resource, Resources

_ROUNDING = 1e-9


def cluster_of(fleet: Fleet, name: str) -> Cluster | None:
    """Return a cluster that may be used: known and reachable; else None."""
    for cluster in fleet.clusters:
        if cluster.name == name and cluster.reachable:
            return cluster
    return None


def pool_of(fleet: Fleet, cluster: str, pool: str) -> Pool | None:
    """Return a pool whether or not its cluster answers, or None when there is none."""
    for candidate in fleet.clusters:
        for found in candidate.pools if candidate.name == cluster else ():
            if found.name == pool:
                return found
    return None


def capacity(pool: Pool) -> Resources:
    """Return what all nodes of a pool have."""
    return pool.shape.resources.times(pool.node_count)


def need(assignment: Assignment, pool: Pool, memory_factor: float = 1.0) -> Resources:
    """Return what a task holds on all of its nodes together.

    memory_factor: grows the memory of a task that ran out of it, up to the whole pool.
    """
    planned = assignment.held.times(assignment.node_count)
    memory = min(
        planned.memory_gib * memory_factor, max(planned.memory_gib, capacity(pool).memory_gib)
    )
    return Resources(
        cpu_cores=planned.cpu_cores,
        memory_gib=memory,
        gpu_count=planned.gpu_count,
        gpu_memory_gib=planned.gpu_memory_gib,
        disk_gib=planned.disk_gib,
        network_mbps=planned.network_mbps,
    )


def admit(
    assignment: Assignment, needed: Resources, fleet: Fleet, live: Iterable[Attempt]
) -> Judgement:
    """Return whether a task may start where the plan puts it, or what it waits for.

    needed: what it would hold; live: attempts that hold capacity, anywhere.
    """
    cluster = cluster_of(fleet, assignment.cluster)
    if cluster is None:
        return Judgement(reason=Reason.CLUSTER_DOWN, waiting_for=(assignment.cluster,))
    holders = [
        attempt
        for attempt in live
        if (attempt.cluster, attempt.pool) == (assignment.cluster, assignment.pool)
    ]
    held = needed
    for attempt in holders:
        held = held.plus(attempt.held)
    has = capacity(cluster.pool(assignment.pool))
    short = [each for each in Resource if held.of(each) > has.of(each) + _ROUNDING]
    if not short:
        return MAY_START
    lacks = "; ".join(
        f"{each.value}: needs {held.of(each):g}, has {has.of(each):g} {each.unit}" for each in short
    )
    ahead = tuple(task_key(attempt.pipeline, attempt.task) for attempt in holders)
    return Judgement(reason=Reason.CAPACITY, message=lacks, waiting_for=ahead or (assignment.pool,))
