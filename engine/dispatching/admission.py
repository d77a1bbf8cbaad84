"""Whether the place that a plan gives to a task has room for it now. Pure.

A cluster is a ledger of declared capacity: what attempts hold counts, not what they use.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import reduce

from engine.dispatching.readiness import MAY_START, Judgement
from engine.model.dispatches import Attempt, Reason
from engine.model.fleet import Cluster, Fleet, Pool
from engine.model.identifiers import ClusterName, PoolName, RunId, TaskName
from engine.model.plans import Assignment, task_key
from engine.model.resources import Resource, Resources

_ROUNDING = 1e-9
_NOTHING = Resources()
_SHARED = tuple(each for each in Resource if each is not Resource.GPU_MEMORY)
# GPU memory is per GPU, which has no sum.


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Room of a pool that was freed for one task, and that nobody else may take."""

    cluster: ClusterName
    pool: PoolName
    held: Resources
    run_id: RunId
    task: TaskName


@dataclass(slots=True)
class Holders:
    """Attempts that hold capacity, by cluster and pool, with what they hold there together.

    Kept up to date while attempts are added, so that admitting thousands looks at each once.
    """

    _attempts: dict[tuple[str, str], list[Attempt]] = field(default_factory=dict)
    _held: dict[tuple[str, str], Resources] = field(default_factory=dict)
    _of_owner: dict[str, Resources] = field(default_factory=dict)
    _kept: list[Kept] = field(default_factory=list)

    @classmethod
    def of(cls, live: Iterable[Attempt]) -> Holders:
        """Return the holders among attempts that are all live."""
        made = cls()
        for attempt in live:
            if attempt.state.holds_room:
                made.add(attempt)
        return made

    def keep(self, room: Kept) -> None:
        """Keep room for one task."""
        self._kept.append(room)

    def add(self, attempt: Attempt) -> None:
        """Count an attempt in; what was kept for its task is no longer."""
        task = (attempt.run_id, attempt.task)
        self._kept = [each for each in self._kept if (each.run_id, each.task) != task]
        place = (attempt.cluster, attempt.pool)
        self._attempts.setdefault(place, []).append(attempt)
        before = self._held.get(place)
        self._held[place] = attempt.held if before is None else before.plus(attempt.held)
        self._of_owner[attempt.owner] = self._of_owner.get(attempt.owner, _NOTHING).plus(
            attempt.held
        )

    def at(self, cluster: str, pool: str) -> tuple[Attempt, ...]:
        """Return who holds capacity of a pool, in the order of being added."""
        return tuple(self._attempts.get((cluster, pool), ()))

    def share(self, owner: str, fleet: Resources) -> float:
        """Return what a tenant holds of all there is: of the resource it has most of."""
        held = self._of_owner.get(owner, _NOTHING)
        return max(held.of(each) / fleet.of(each) if fleet.of(each) else 0.0 for each in _SHARED)

    def with_needed(
        self, cluster: str, pool: str, needed: Resources, task: tuple[str, str]
    ) -> Resources:
        """Return what would be held of a pool with one more attempt, of a task of a run.

        What is kept for others counts as held.
        """
        kept = [
            each.held
            for each in self._kept
            if (each.cluster, each.pool) == (cluster, pool) and (each.run_id, each.task) != task
        ]
        before = self._held.get((cluster, pool), _NOTHING)
        return reduce(Resources.plus, kept, before.plus(needed))


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
    """Return what all nodes of a pool have, less what others' work holds there."""
    has = pool.shape.resources.times(pool.node_count)
    if pool.taken is None:
        return has
    return replace(
        has,
        cpu_cores=max(0.0, has.cpu_cores - pool.taken.cpu_cores),
        memory_gib=max(0.0, has.memory_gib - pool.taken.memory_gib),
        gpu_count=max(0.0, has.gpu_count - pool.taken.gpu_count),
    )


def everything(fleet: Fleet) -> Resources:
    """Return what all clusters have together, those that do not answer included."""
    pools = (pool for cluster in fleet.clusters for pool in cluster.pools)
    return reduce(Resources.plus, (capacity(pool) for pool in pools), _NOTHING)


def need(assignment: Assignment) -> Resources:
    """Return what a task holds on all of its nodes together."""
    return assignment.held.times(assignment.node_count)


@dataclass(frozen=True, slots=True)
class Asked:
    """Room that a task asks for. needed: what it would hold, on all of its nodes together."""

    run_id: RunId
    assignment: Assignment
    needed: Resources


def shortage(
    asked: Asked, cluster: Cluster, holders: Holders, *, freed: Resources = _NOTHING
) -> tuple[str, ...]:
    """Return what a pool has too little of for one more task, in words; empty when it fits.

    freed: what leaves the pool before. GPU memory, being per GPU, is not freed.
    """
    place = asked.assignment
    task = (asked.run_id, place.task)
    held = holders.with_needed(place.cluster, place.pool, asked.needed, task)
    has = capacity(cluster.pool(place.pool))
    left = {each: held.of(each) - (freed.of(each) if each in _SHARED else 0.0) for each in Resource}
    return tuple(
        f"{each.value}: needs {left[each]:g}, has {has.of(each):g} {each.unit}"
        for each in Resource
        if left[each] > has.of(each) + _ROUNDING
    )


def admit(asked: Asked, fleet: Fleet, holders: Holders) -> Judgement:
    """Return whether a task may start where the plan puts it, or what it waits for.

    holders: attempts that hold capacity, anywhere.
    """
    assignment = asked.assignment
    cluster = cluster_of(fleet, assignment.cluster)
    if cluster is None:
        return Judgement(reason=Reason.CLUSTER_DOWN, waiting_for=(assignment.cluster,))
    short = shortage(asked, cluster, holders)
    if not short:
        return MAY_START
    lacks = "; ".join(short)
    ahead = tuple(
        task_key(attempt.pipeline, attempt.task)
        for attempt in holders.at(assignment.cluster, assignment.pool)
    )
    return Judgement(reason=Reason.CAPACITY, message=lacks, waiting_for=ahead or (assignment.pool,))
