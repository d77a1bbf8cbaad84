"""Which tasks must share a machine, a cluster or a region, and which must not.

Affinities become bonds between the jobs of an instance, the same seen from either end. What runs
already, or is reserved for others, does not move: it rules pools out before anything is searched.
Of that only the pool is known, so that a task that is to stand on other machines stays off it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.model.fleet import Cluster, Pool
from engine.model.plans import Limit, PlanRequest, Refusal, task_key
from engine.model.specs import Affinity, Within
from placement.problem.instance import Bond, Job, Option
from placement.problem.limits import ordered

Pools = Sequence[tuple[Cluster, Pool]]
_ORDER = list(Within)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two tasks, by `PIPELINE/TASK`, and what they share or do not."""

    first: str
    second: str
    within: Within
    apart: bool


def pairs(request: PlanRequest) -> Iterator[Pair]:
    """Yield every affinity of every task with each task that it names, once from its own end."""
    labelled = {
        task_key(p.name, t.name): t.labels for p in request.pipelines for t in p.tasks if t.labels
    }
    labelled |= {r.holder: r.labels for r in request.reservations if r.labels}
    carriers: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for pipeline, task in ((p, t) for p in request.pipelines for t in p.tasks):
        key = task_key(pipeline.name, task.name)
        said = [*((a, False) for a in task.beside), *((a, True) for a in task.apart_from)]
        for affinity, apart in said:
            named = [task_key(pipeline.name, name) for name in affinity.tasks]
            others = dict.fromkeys([*named, *_carrying(affinity, labelled, carriers)])
            others.pop(key, None)
            for other in others:
                yield Pair(first=key, second=other, within=affinity.within, apart=apart)


def _both_ways(request: PlanRequest) -> Iterator[tuple[str, str, Pair]]:
    """Yield every affinity from either of its ends."""
    for pair in pairs(request):
        yield pair.first, pair.second, pair
        yield pair.second, pair.first, pair


def bound(request: PlanRequest, jobs: Sequence[Job], pools: Pools) -> tuple[Job, ...]:
    """Return jobs with their bonds, without the pools that what stands already rules out."""
    index = {job.key: job.index for job in jobs}
    standing = _standing(request, pools)
    bonds: dict[int, set[Bond]] = {}
    ruled: dict[int, dict[int, Refusal]] = {}
    for one, other, pair in _both_ways(request):
        if one not in index:
            continue
        if other in index:
            bond = Bond(other=index[other], within=pair.within, apart=pair.apart)
            bonds.setdefault(index[one], set()).add(bond)
        refused = ruled.setdefault(index[one], {})
        for place, number in itertools.product(standing.get(other, ()), range(len(pools))):
            found = _against(pair, other, place, pools[number])
            if found is not None:
                refused.setdefault(number, found)
    thinned = [_without(job, ruled.get(job.index, {})) for job in jobs]
    reach = {
        (job.index, within): frozenset(zone(within, o.cluster, o.pool) for o in job.options)
        for job in thinned
        if job.index in bonds
        for within in Within
    }
    return tuple(
        _bound(
            job,
            [
                replace(b, reach=reach[b.other, b.within])
                for b in sorted(bonds[job.index], key=_rank)
            ],
        )
        if job.index in bonds
        else job
        for job in thinned
    )


def zone(within: Within, cluster: Cluster, pool: Pool) -> str:
    """Return what is shared there; of machines no more than their pool is known."""
    if within is Within.REGION:
        return cluster.region
    return cluster.name if within is Within.CLUSTER else f"{cluster.name}/{pool.name}"


def allows(bond: Bond, option: Option, other: Option) -> bool:
    """Whether two places agree, as far as pools decide it: machines may still be in the way."""
    same = zone(bond.within, option.cluster, option.pool) == zone(
        bond.within, other.cluster, other.pool
    )
    if not bond.apart:
        return same
    if not same or bond.within is not Within.NODE:
        return not same
    return option.node_count + other.node_count <= option.pool.node_count


def refusal(
    bond: Bond, key: str, there: tuple[Cluster, Pool], has: tuple[Cluster, Pool]
) -> Refusal:
    """Return why a pool is ruled out by a bond with a task that stands elsewhere, or there."""
    return _refusal(
        bond.within, key, (zone(bond.within, *there), zone(bond.within, *has)), bond.apart
    )


def strands(placed: Mapping[int, Option], job: Job, option: Option) -> bool:
    """Whether a place leaves none for a task that must stand beside it, or apart, later."""
    for bond in job.bonds:
        if bond.other in placed or not bond.reach:
            continue
        here = zone(bond.within, option.cluster, option.pool)
        if bond.apart and bond.within is not Within.NODE and bond.reach == {here}:
            return True
        if not bond.apart and here not in bond.reach:
            return True
    return False


def _refusal(within: Within, key: str, zones: tuple[str, str], apart: bool) -> Refusal:  # noqa: FBT001 - private, one caller each
    there, has = zones
    needs = (
        f"another {within.value} than {key}" if apart else f"the {within.value} of {key}, {there}"
    )
    return Refusal(limit=Limit.AFFINITY, needs=needs, has=has)


def _carrying(
    affinity: Affinity,
    labelled: Mapping[str, Mapping[str, str]],
    carriers: dict[tuple[tuple[str, str], ...], list[str]],
) -> Sequence[str]:
    """Return the tasks that carry all labels of an affinity, looked for once for each choice."""
    wanted = tuple(sorted(affinity.labels.items()))
    if wanted and wanted not in carriers:
        carriers[wanted] = [k for k, labels in labelled.items() if {*wanted} <= {*labels.items()}]
    return carriers.get(wanted, ())


def _standing(request: PlanRequest, pools: Pools) -> dict[str, list[tuple[Cluster, Pool]]]:
    """Return the pools of what runs already, and of what is reserved, by task."""
    by_name = {(str(c.name), str(p.name)): (c, p) for c, p in pools}
    ours = {task_key(p.name, t.name) for p in request.pipelines for t in p.tasks}
    found: dict[str, list[tuple[Cluster, Pool]]] = {}
    held = [(task_key(a.pipeline, a.task), a.cluster, a.pool) for a in request.fixed]
    held += [(r.holder, r.cluster, r.pool) for r in request.reservations if r.holder not in ours]
    for key, cluster, pool in held:
        if (cluster, pool) in by_name:
            found.setdefault(key, []).append(by_name[cluster, pool])
    return found


def _against(
    pair: Pair, other: str, place: tuple[Cluster, Pool], pool: tuple[Cluster, Pool]
) -> Refusal | None:
    zones = (zone(pair.within, *place), zone(pair.within, *pool))
    if (zones[0] == zones[1]) != pair.apart:
        return None
    return _refusal(pair.within, other, zones, pair.apart)


def _without(job: Job, ruled: Mapping[int, Refusal]) -> Job:
    """Return a job without the pools that what stands already rules out."""
    if not ruled:
        return job
    refusals = dict(job.refusals)
    for number, refused in ruled.items():
        refusals[number] = tuple(ordered([*refusals.get(number, ()), refused]))
    options = tuple(o for o in job.options if o.pool_index not in ruled)
    return replace(job, options=options, refusals=refusals)


def _bound(job: Job, bonds: Sequence[Bond]) -> Job:
    # Who holds a machine must be known, so that it is shared with nobody by chance.
    on_nodes = any(bond.within is Within.NODE for bond in bonds)
    return replace(job, bonds=tuple(bonds), seat=-1 if on_nodes else job.seat)


def _rank(bond: Bond) -> tuple[bool, int, int]:
    return bond.apart, _ORDER.index(bond.within), bond.other
