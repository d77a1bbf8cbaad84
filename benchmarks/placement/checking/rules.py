"""What a task needs of a pool, and every limit that the pool violates, from `semantics.md`."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.model.fleet import Cluster, Pool
from engine.model.plans import Limit
from engine.model.profiles import Profile, Quantiles
from engine.model.resources import Resource
from engine.model.specs import PipelineSpec, TaskSpec

COUNTED = (Resource.CPU, Resource.MEMORY, Resource.GPU, Resource.DISK, Resource.NETWORK)
STATIC = [
    "unreachable",
    "region",
    "provider",
    "taint",
    "affinity",
    "unknown shape",
    "gpu kind",
    "gpu memory",
    "memory",
    "cpu",
    "disk",
    "network",
    "count",
    "node fit",
    "quota",
]
"""The order in which the first violated limit binds."""
KILLS = 0.99
"""Quantile at which memory, disk and GPUs are held."""
SLOWS = 0.80
"""Quantile at which CPU and network are held."""
NODE_AVAILABILITY = 0.999
MOST_TRIES = 10.0
REPLICAS_ADDED = 3
SMALL = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One limit a pool violates."""

    limit: Limit
    needs: float | str
    has: float | str
    unit: str = ""

    @property
    def shortage(self) -> float:
        """By how much of itself the limit is missed; infinite for what is not there at all."""
        if isinstance(self.needs, str) or isinstance(self.has, str):
            return math.inf
        needs, has = self.needs, self.has
        if self.limit is Limit.AVAILABILITY:
            needs, has = 1.0 - has, 1.0 - needs
        if self.limit is Limit.LATENCY:
            needs, has = has, needs
        return needs / has - 1.0 if has > 0 else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One task on one pool.

    violated: static limits in their order, then promises to callers. slots: thousandths of each
    of `COUNTED` by slot; slot_ms: of a batch task. money: what it adds to the objective.
    nodes: on how many nodes it stands, in equal parts.
    """

    pool: int
    nodes: int
    violated: tuple[Violation, ...]
    slots: tuple[tuple[int, ...], ...]
    slot_ms: int
    duration_ms: int
    cost: int
    money: int

    @property
    def is_static(self) -> bool:
        """Whether a limit is violated that does not depend on the rest of the plan."""
        return any(v.limit.value in STATIC for v in self.violated)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a task is planned with: level of its runs, lambda by resource, hours of serving."""

    level: float
    shares: Sequence[float]
    hours: int
    probability: float
    moved_from: str = ""


def uses(task: TaskSpec, profile: Profile) -> list[list[Quantiles]]:
    """Return by resource of `COUNTED` what a task needs in each slot; wishes beat forecasts."""
    wishes = task.wishes
    wished = (
        wishes.cpu_cores,
        wishes.memory_gib,
        wishes.gpu_count,
        wishes.disk_gib,
        wishes.network_mbps,
    )
    found = []
    for resource, wish in zip(COUNTED, wished, strict=True):
        forecast = profile.use.get(resource) or (Quantiles.constant(0.0),)
        found.append(list(forecast) if wish is None else [Quantiles.constant(float(wish))])
    longest = max(map(len, found))
    return [[slots[min(i, len(slots) - 1)] for i in range(longest)] for slots in found]


def is_soft(resource: Resource) -> bool:
    """Whether a task that gets too little of it runs slower, rather than not."""
    return resource in {Resource.CPU, Resource.NETWORK}


def high(resource: Resource, slot: Quantiles) -> float:
    """Return the need at the highest level; GPUs are whole."""
    value = slot.at(KILLS)
    return float(math.ceil(value - SMALL)) if resource is Resource.GPU else value


def held(resource: Resource, slot: Quantiles) -> float:
    """Return what is held for a slot."""
    return slot.at(SLOWS) if is_soft(resource) else high(resource, slot)


def per_node(peak: Sequence[float], replicas: int, nodes: int) -> list[float]:
    """Return what each of some nodes must have; replicas are whole, and so are GPUs."""
    share = math.ceil(replicas / nodes) / replicas
    amounts = [value * share for value in peak]
    gpu = COUNTED.index(Resource.GPU)
    amounts[gpu] = float(math.ceil(amounts[gpu] - SMALL))
    return amounts


def way(
    pipeline: PipelineSpec,
    task: TaskSpec,
    profile: Profile,
    where: tuple[int, Cluster, Pool],
    terms: Terms,
) -> Way:
    """Return one task on one pool."""
    index, cluster, pool = where
    used = uses(task, profile)
    replicas = max(profile.replicas, 1)
    peak = [max(held(r, s) for s in slots) for r, slots in zip(COUNTED, used, strict=True)]
    nodes = _nodes(task, profile, cluster, pool, peak)
    each = per_node(peak, replicas, nodes)
    node = [pool.shape.resources.of(r) for r in COUNTED]
    shares = [n / h for n, h in zip(each, node, strict=True) if h > 0]
    per_hour = pool.price_micro_dollars_per_hour * (min(max(shares, default=0.0), 1.0) * nodes)
    factor = math.ceil(replicas / nodes) * nodes / replicas
    slots = [
        _reserved([s[i] for s in used], node, nodes, factor, terms) for i in range(len(used[0]))
    ]
    violated = (
        *_first(pipeline, task, profile, cluster, pool),
        *(
            []
            if _foreign(pipeline, task, profile, pool)
            else _interrupted(task, profile, pool, nodes)
        ),
        *_sizes(profile, task, pool, nodes, each),
        *_quota(pipeline, cluster, nodes, each),
        *_promises(task, profile, cluster, pool, nodes),
    )
    duration = profile.duration_seconds
    if duration is None:
        cost, length = round(per_hour), 0
        money = cost * terms.hours
    else:
        once, risk = duration.times(1.0 / pool.speed), pool.interruptions_per_hour * nodes
        there = _with_restarts(once, risk)
        length = max(math.ceil(there.at(terms.level) * 1000), 1)
        hours = once.mean / 3600.0
        if risk > 0:
            hours = math.expm1(hours * risk) / risk
            slots = [tuple(max(values) for values in zip(*slots, strict=True))]
        money = cost = round(per_hour * hours * terms.probability)
    if terms.moved_from not in {"", f"{cluster.name}/{pool.name}"}:
        money += pipeline.limits.move_micro_dollars or 0
    return Way(
        pool=index,
        nodes=nodes,
        violated=violated,
        slots=tuple(slots),
        slot_ms=max(round(profile.slot_seconds * 1000 / pool.speed), 1),
        duration_ms=length,
        cost=cost,
        money=money,
    )


def _with_restarts(once: Quantiles, risk: float) -> Quantiles:
    """Return how long runs last that begin again when they are cut off, each level by its own."""
    if risk <= 0:
        return once
    found = []
    for level, seconds in zip((0.5, 0.8, 0.9, 0.95, 0.99), once.values, strict=True):
        cut = -math.expm1(-risk * seconds / 3600.0)
        cuts = 0
        # Of so many tries all but the last are lost: more are needed with probability cut ** n.
        while cut ** (cuts + 1) > 1.0 - level + SMALL and cuts < 10**6:
            cuts += 1
        found.append(seconds * (1 + cuts))
    return Quantiles(p50=found[0], p80=found[1], p90=found[2], p95=found[3], p99=found[4])


def _interrupted(task: TaskSpec, profile: Profile, pool: Pool, nodes: int) -> Iterator[Violation]:
    """Yield why a task may not run where machines are taken away."""
    often = pool.interruptions_per_hour
    if often <= 0:
        return
    if profile.duration_seconds is None or not task.interruptible:
        has = f"{often:g} interruptions an hour"
        yield Violation(limit=Limit.TAINT, needs="machines that stay", has=has)
        return
    tries = math.exp(often * nodes * profile.duration_seconds.mean / pool.speed / 3600.0)
    if tries > MOST_TRIES:
        unit = "tries before it ends"
        yield Violation(limit=Limit.TAINT, needs=tries, has=MOST_TRIES, unit=unit)


def _nodes(
    task: TaskSpec, profile: Profile, cluster: Cluster, pool: Pool, peak: Sequence[float]
) -> int:
    """Return the fewest nodes that hold a task, and are available enough if any are."""
    replicas = max(profile.replicas, 1)
    serving = task.serving if profile.duration_seconds is None else None
    wanted = serving.availability if serving else None
    most = replicas if wanted is None else max(replicas, REPLICAS_ADDED)
    node = [pool.shape.resources.of(r) for r in COUNTED]
    holding = [
        count
        for count in range(1, most + 1)
        if all(n <= h for n, h in zip(per_node(peak, replicas, count), node, strict=True))
    ]
    enough = [n for n in holding if wanted is None or availability(cluster, n) >= wanted]
    return next(iter(enough or holding), replicas)


def availability(cluster: Cluster, nodes: int) -> float:
    """Return the share of time in which a cluster and one of some nodes answer."""
    return cluster.availability * (1.0 - (1.0 - NODE_AVAILABILITY) ** nodes)


def _reserved(
    slots: Sequence[Quantiles], node: Sequence[float], nodes: int, factor: float, terms: Terms
) -> tuple[int, ...]:
    """Return what one slot takes: mean + lambda (high - mean), at least what is held."""
    amounts = []
    for resource, slot, has, share in zip(COUNTED, slots, node, terms.shares, strict=True):
        most = has * nodes / factor
        top = high(resource, slot)
        mean = top if resource is Resource.GPU else min(slot.mean, top)
        value = min(max(held(resource, slot), mean + share * (min(top, most) - mean)), most)
        amounts.append(math.ceil(value * factor * 1000 - 1e-6))
    return tuple(amounts)


def _first(
    pipeline: PipelineSpec, task: TaskSpec, profile: Profile, cluster: Cluster, pool: Pool
) -> Iterator[Violation]:
    """Yield limits from `unreachable` to `gpu memory`."""
    shape, limits = pool.shape, pipeline.limits
    if not cluster.reachable:
        yield Violation(limit=Limit.UNREACHABLE, needs="a cluster that answers", has="no answer")
    if limits.regions and not {cluster.region, cluster.continent} & {*limits.regions}:
        needs = " or ".join(limits.regions)
        yield Violation(limit=Limit.REGION, needs=needs, has=cluster.region)
    if limits.providers and cluster.provider.value not in limits.providers:
        needs = " or ".join(limits.providers)
        yield Violation(limit=Limit.PROVIDER, needs=needs, has=cluster.provider.value)
    wants_gpu = max(held(Resource.GPU, s) for s in uses(task, profile)[2]) > 0
    for taint in _foreign(pipeline, task, profile, pool)[:1]:
        yield Violation(limit=Limit.TAINT, needs=f"leave for {taint}", has="none")
    if profile.duration_seconds is None and not cluster.serves:
        needs = "an executor that serves"
        yield Violation(limit=Limit.TAINT, needs=needs, has=cluster.executor)
    if not cluster.reads_outside and pipeline.reads_outside(task):
        needs = "an executor that reads outside of the folder"
        yield Violation(limit=Limit.TAINT, needs=needs, has=cluster.executor)
    if shape.cpu_cores <= 0 or shape.memory_gib <= 0:
        yield Violation(limit=Limit.UNKNOWN_SHAPE, needs="a known shape", has=shape.machine)
    if not wants_gpu:
        return
    wish = task.wishes.gpu_model
    models = profile.gpu_models if wish is None else (wish,)
    if models and shape.gpu_model.lower() not in {m.lower() for m in models}:
        yield Violation(
            limit=Limit.GPU_KIND, needs=" or ".join(models), has=shape.gpu_model or "none"
        )
    memory = task.wishes.gpu_memory_gib
    if memory is None:
        memory = max((s.at(KILLS) for s in profile.use.get(Resource.GPU_MEMORY, ())), default=0.0)
    if memory > shape.gpu_memory_gib + SMALL:
        yield Violation(
            limit=Limit.GPU_MEMORY, needs=memory, has=shape.gpu_memory_gib, unit="GiB per GPU"
        )


def _foreign(pipeline: PipelineSpec, task: TaskSpec, profile: Profile, pool: Pool) -> list[str]:
    """Return the taints of a pool that a task has no leave for."""
    wants_gpu = max(held(Resource.GPU, s) for s in uses(task, profile)[2]) > 0
    welcome = {pipeline.owner, task.kind.value, *task.tolerates, *(["gpu"] if wants_gpu else [])}
    return [taint for taint in pool.taints if taint not in welcome]


def _sizes(
    profile: Profile, task: TaskSpec, pool: Pool, nodes: int, each: Sequence[float]
) -> Iterator[Violation]:
    """Yield limits from `memory` to `node fit`."""
    del profile, task
    amount = dict(zip(COUNTED, each, strict=True))
    node = pool.shape.resources
    for name in (Resource.MEMORY, Resource.CPU, Resource.DISK, Resource.NETWORK):
        needs, has = amount[name] * nodes, node.of(name) * pool.node_count
        if needs > has + SMALL:
            yield Violation(limit=Limit(name.value), needs=needs, has=has, unit=name.unit)
    gpus = amount[Resource.GPU] * nodes
    if gpus > node.gpu_count * pool.node_count:
        yield Violation(
            limit=Limit.COUNT, needs=gpus, has=node.gpu_count * pool.node_count, unit="GPUs"
        )
    elif nodes > pool.node_count:
        yield Violation(limit=Limit.COUNT, needs=nodes, has=pool.node_count, unit="nodes")
    for name in COUNTED:
        needs, has = amount[name], node.of(name)
        if has + SMALL < needs and needs * nodes <= has * pool.node_count + SMALL:
            yield Violation(
                limit=Limit.NODE_FIT, needs=needs, has=has, unit=f"{name.unit} on one node"
            )
            break


def _quota(
    pipeline: PipelineSpec, cluster: Cluster, nodes: int, each: Sequence[float]
) -> Iterator[Violation]:
    quota: Mapping[Resource, float] = cluster.quota.get(pipeline.owner, {})
    for name, needs in zip(COUNTED, each, strict=True):
        if name in quota and needs * nodes > quota[name] + SMALL:
            yield Violation(limit=Limit.QUOTA, needs=needs * nodes, has=quota[name], unit=name.unit)
            break


def _promises(
    task: TaskSpec, profile: Profile, cluster: Cluster, pool: Pool, nodes: int
) -> Iterator[Violation]:
    if profile.duration_seconds is not None or task.serving is None:
        return
    asked, has = task.serving, availability(cluster, nodes)
    if asked.availability is not None and has < asked.availability - SMALL:
        yield Violation(limit=Limit.AVAILABILITY, needs=asked.availability, has=has)
    latency_ms = cluster.latency_ms + (profile.service_ms_p99 or 0.0) / pool.speed
    if asked.latency_ms_p99 is not None and latency_ms > asked.latency_ms_p99 + SMALL:
        yield Violation(limit=Limit.LATENCY, needs=asked.latency_ms_p99, has=latency_ms, unit="ms")
