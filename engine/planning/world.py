"""Whether the world is still the one a plan was made for, asked before it is applied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.model.fleet import Cluster, Fleet, Pool
from engine.model.plans import Plan, Reservation
from engine.model.resources import Resource
from engine.planning.running import total

_SLACK = 1e-6
# Sums of floats may pass a capacity that they exactly fill.


def changed_since(plan: Plan, fleet: Fleet, running: Sequence[Reservation]) -> tuple[str, ...]:
    """Return what changed in a way that breaks the plan or its price; empty when nothing did.

    fleet: as it is now; running: what is held now (`running_reservations`). Only pools that the
    plan uses are looked at: a plan stays good when something happens elsewhere.
    """
    used = sorted({(a.cluster, a.pool) for a in plan.placement.assignments})
    found: list[str] = []
    for cluster_name, pool_name in used:
        was = plan.request.fleet.cluster(cluster_name)
        now = next((c for c in fleet.clusters if c.name == cluster_name), None)
        found.extend(_cluster_changes(was, now, pool_name))
        if now is not None and any(pool.name == pool_name for pool in now.pools):
            found.extend(_shortages(plan, now, now.pool(pool_name), running))
    return tuple(dict.fromkeys(found))


def _cluster_changes(was: Cluster, now: Cluster | None, pool_name: str) -> Iterator[str]:
    if now is None:
        yield f"cluster {was.name} is no longer in the fleet"
        return
    if was.reachable and not now.reachable:
        yield f"cluster {was.name} does not answer"
    if pool_name not in {pool.name for pool in now.pools}:
        yield f"pool {was.name}/{pool_name} is gone"
        return
    before, after = was.pool(pool_name), now.pool(pool_name)
    name = f"{was.name}/{pool_name}"
    if before.shape != after.shape:
        yield f"machines of {name} changed from {before.shape.machine} to {after.shape.machine}"
    if after.node_count < before.node_count:
        yield f"{name} has {after.node_count} nodes, not {before.node_count} any more"
    if before.price_micro_dollars_per_hour != after.price_micro_dollars_per_hour:
        yield (
            f"{name} costs {after.price_micro_dollars_per_hour / 1e6:g} USD/h, "
            f"not {before.price_micro_dollars_per_hour / 1e6:g} any more"
        )


def _shortages(
    plan: Plan, cluster: Cluster, pool: Pool, running: Sequence[Reservation]
) -> Iterator[str]:
    """Yield newcomers on a pool that leave too little of it for the plan."""
    known = {r.holder for r in plan.request.reservations if _at(r, cluster, pool)}
    here = [r for r in running if _at(r, cluster, pool)]
    newcomers = sorted({r.holder for r in here} - known)
    own = [
        a for a in plan.placement.assignments if (a.cluster, a.pool) == (cluster.name, pool.name)
    ]
    planned = [
        Reservation(
            cluster=a.cluster,
            pool=a.pool,
            holder=a.task,
            held=total(a),
            from_seconds=a.start_seconds,
            to_seconds=a.end_seconds_p95,
        )
        for a in own
    ]
    # The plan may overlap with what it knew of: tasks that rarely peak together share.
    if not newcomers:
        return
    for resource in Resource:
        # GPU memory is per GPU and does not add up.
        if resource is Resource.GPU_MEMORY:
            continue
        has = pool.shape.resources.of(resource) * pool.node_count
        if _peak([*planned, *here], resource) > has + _SLACK >= _peak(planned, resource):
            yield (
                f"{cluster.name}/{pool.name} lacks {resource.value} for the plan since "
                f"{', '.join(newcomers)} came"
            )


def _at(reservation: Reservation, cluster: Cluster, pool: Pool) -> bool:
    return (reservation.cluster, reservation.pool) == (cluster.name, pool.name)


def _peak(reservations: Sequence[Reservation], resource: Resource) -> float:
    """Return the largest sum held at once; it can only be reached where something begins."""
    return max(
        (
            sum(
                other.held.of(resource)
                for other in reservations
                if other.from_seconds <= each.from_seconds
                and (other.to_seconds is None or each.from_seconds < other.to_seconds)
            )
            for each in reservations
        ),
        default=0.0,
    )
