"""Limits that rule a pool out whatever the rest of the plan looks like, in the enum's order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.model.fleet import Cluster, Pool
from engine.model.plans import Limit, Refusal
from engine.model.resources import Resource, Resources
from engine.model.specs import PipelineSpec, TaskSpec
from placement.problem.instance import COUNTED
from placement.problem.interruptions import MOST_TRIES
from placement.problem.needs import Need

_OF_RESOURCE = {
    Resource.MEMORY: Limit.MEMORY,
    Resource.CPU: Limit.CPU,
    Resource.DISK: Limit.DISK,
    Resource.NETWORK: Limit.NETWORK,
}

_ORDER = list(Limit)
_SMALL = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What a serve task would give its callers from a pool.

    latency_ms: round trip of the cluster and the answer itself; None for a task that ends.
    """

    latency_ms: float
    availability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A task on a pool, before anything else is decided.

    per_node: what each of `node_count` nodes would hold. tries: how often a run begins there on
        average, above 1 where it may be interrupted; infinite for a service.
    """

    pipeline: PipelineSpec
    task: TaskSpec
    need: Need
    cluster: Cluster
    pool: Pool
    node_count: int
    per_node: Resources
    service: Service | None
    tries: float = 1.0


def refusals(candidate: Candidate) -> tuple[Refusal, ...]:
    """Return every static limit the candidate violates; the first one binds."""
    found = [
        *_access(candidate),
        *_gpus(candidate),
        *_room(candidate),
        *_quota(candidate),
        *_service(candidate),
    ]
    return tuple(ordered(found))


def ordered(found: list[Refusal]) -> list[Refusal]:
    """Put the binding limit first: the first static one, else the one that is shortest."""
    found = sorted(found, key=lambda refusal: _ORDER.index(refusal.limit))
    static = [r for r in found if _ORDER.index(r.limit) < _ORDER.index(Limit.SLOT_CAPACITY)]
    others = [r for r in found if r not in static]
    return [*static, *sorted(others, key=lambda refusal: -shortage(refusal))]


def shortage(refusal: Refusal) -> float:
    """Return by how much of itself a limit is missed, so that limits can be compared."""
    if isinstance(refusal.needs, str) or isinstance(refusal.has, str):
        return 0.0
    needs, has = refusal.needs, refusal.has
    if refusal.limit is Limit.AVAILABILITY:
        # What people feel is the time without service, not the time with it.
        needs, has = 1.0 - has, 1.0 - needs
    if refusal.limit is Limit.LATENCY:
        needs, has = has, needs
    return needs / has - 1.0 if has > 0 else float("inf")


def _access(c: Candidate) -> Iterator[Refusal]:
    cluster, limits = c.cluster, c.pipeline.limits
    if not cluster.reachable:
        yield Refusal(limit=Limit.UNREACHABLE, needs="a cluster that answers", has="no answer")
    if limits.regions and not {cluster.region, cluster.continent} & set(limits.regions):
        yield Refusal(limit=Limit.REGION, needs=" or ".join(limits.regions), has=cluster.region)
    if limits.providers and cluster.provider.value not in limits.providers:
        needs = " or ".join(limits.providers)
        yield Refusal(limit=Limit.PROVIDER, needs=needs, has=cluster.provider.value)
    yield from _leave(c)
    shape = c.pool.shape
    if shape.cpu_cores <= 0 or shape.memory_gib <= 0:
        yield Refusal(limit=Limit.UNKNOWN_SHAPE, needs="a known shape", has=shape.machine)


def _leave(c: Candidate) -> Iterator[Refusal]:
    """Say who or what keeps this task out of a pool, whatever room it has."""
    cluster = c.cluster
    foreign = [taint for taint in c.pool.taints if taint not in _tolerated(c)]
    if foreign:
        yield Refusal(limit=Limit.TAINT, needs=f"leave for {foreign[0]}", has="none")
    elif c.service is not None and not cluster.serves:
        yield Refusal(limit=Limit.TAINT, needs="an executor that serves", has=cluster.executor)
    elif c.task.workers is not None and c.node_count > 1 and not cluster.joins_nodes:
        yield Refusal(limit=Limit.TAINT, needs="an executor that joins nodes", has=cluster.executor)
    elif not cluster.reads_outside and c.pipeline.reads_outside(c.task):
        needs = "an executor that reads outside of the folder"
        yield Refusal(limit=Limit.TAINT, needs=needs, has=cluster.executor)
    elif c.pool.interruptions_per_hour > 0:
        yield from _interruptions(c)


def _interruptions(c: Candidate) -> Iterator[Refusal]:
    if not c.task.interruptible or c.service is not None:
        has = f"{c.pool.interruptions_per_hour:g} interruptions an hour"
        yield Refusal(limit=Limit.TAINT, needs="machines that stay", has=has)
    elif c.tries > MOST_TRIES:
        yield Refusal(
            limit=Limit.TAINT,
            needs=float(c.tries),
            has=float(MOST_TRIES),
            unit="tries before it ends",
        )


def _tolerated(c: Candidate) -> set[str]:
    """A taint keeps out everybody but its owner, its kind of task, and tasks that name it."""
    named = str(c.task.parameters.get("tolerate", "")).split(",")
    tolerated = {c.pipeline.owner, c.task.kind.value, *(name.strip() for name in named)}
    tolerated |= {*c.task.tolerates}
    return tolerated | ({"gpu"} if c.per_node.gpu_count > 0 else set())


def _gpus(c: Candidate) -> Iterator[Refusal]:
    if c.per_node.gpu_count <= 0:
        return
    shape = c.pool.shape
    models = {model.lower() for model in c.need.gpu_models}
    if models and shape.gpu_model.lower() not in models:
        needs = " or ".join(c.need.gpu_models)
        yield Refusal(limit=Limit.GPU_KIND, needs=needs, has=shape.gpu_model or "none")
    if c.need.gpu_memory_gib > shape.gpu_memory_gib + _SMALL:
        yield Refusal(
            limit=Limit.GPU_MEMORY,
            needs=c.need.gpu_memory_gib,
            has=shape.gpu_memory_gib,
            unit=Resource.GPU_MEMORY.unit,
        )


def _room(c: Candidate) -> Iterator[Refusal]:
    """Yield what the whole pool lacks, and what fits the pool but no node of it."""
    node = c.pool.shape.resources
    for resource, limit in _OF_RESOURCE.items():
        needs, has = c.per_node.of(resource) * c.node_count, node.of(resource)
        has *= c.pool.node_count
        if needs > has + _SMALL:
            yield Refusal(limit=limit, needs=needs, has=has, unit=resource.unit)
    gpus, there = c.per_node.gpu_count * c.node_count, node.gpu_count * c.pool.node_count
    if gpus > there:
        yield _count(gpus, there, Resource.GPU.unit)
    elif c.node_count > c.pool.node_count:
        yield _count(c.node_count, c.pool.node_count, "nodes")
    for resource in COUNTED:
        needs, has = c.per_node.of(resource), node.of(resource)
        in_sum = needs * c.node_count <= has * c.pool.node_count + _SMALL
        if in_sum and needs > has + _SMALL:
            unit = f"{resource.unit} on one node"
            yield Refusal(limit=Limit.NODE_FIT, needs=needs, has=has, unit=unit)
            return


def _count(needs: float, has: float, unit: str) -> Refusal:
    """Return the refusal by a count, which documents hold as a number like any other."""
    return Refusal(limit=Limit.COUNT, needs=float(needs), has=float(has), unit=unit)


def _quota(c: Candidate) -> Iterator[Refusal]:
    for resource, most in c.cluster.quota.get(c.pipeline.owner, {}).items():
        needs = c.per_node.of(resource) * c.node_count
        if needs > most + _SMALL:
            yield Refusal(limit=Limit.QUOTA, needs=needs, has=most, unit=resource.unit)
            return


def _service(c: Candidate) -> Iterator[Refusal]:
    asked = c.task.serving
    if c.service is None or asked is None:
        return
    if asked.availability is not None and c.service.availability < asked.availability - _SMALL:
        yield Refusal(
            limit=Limit.AVAILABILITY,
            needs=asked.availability,
            has=round(c.service.availability, 9),
        )
    if asked.latency_ms_p99 is not None and c.service.latency_ms > asked.latency_ms_p99 + _SMALL:
        yield Refusal(
            limit=Limit.LATENCY, needs=asked.latency_ms_p99, has=c.service.latency_ms, unit="ms"
        )
