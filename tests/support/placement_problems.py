"""Problems for tests of placement: small ones to build by hand, and seeded random ones."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from engine.model.fleet import Cluster, Fleet, NodeShape, Pool, Provider
from engine.model.identifiers import (
    ClusterName,
    MicroDollars,
    PipelineName,
    PoolName,
    TaskName,
    dollars,
)
from engine.model.plans import Mode, PlacementProblem, PlanRequest, task_key
from engine.model.profiles import Profile, Quantiles
from engine.model.resources import Resource
from engine.model.specs import Deadline, Limits, PipelineSpec, Serving, Sla, TaskKind, TaskSpec

AS_OF = 1_790_000_000.0


def pool(  # noqa: PLR0913 - a test names only what it is about
    name: str = "cpu",
    *,
    cores: float = 4.0,
    memory: float = 16.0,
    nodes: int = 1,
    price: float = 1.0,
    speed: float = 1.0,
    gpu: tuple[str, int, float] = ("", 0, 0.0),
    taints: tuple[str, ...] = (),
) -> Pool:
    """A pool; the price is in dollars per node and hour, `gpu` is model, count, GiB."""
    shape = NodeShape(
        machine=f"{name}-machine",
        cpu_cores=cores,
        memory_gib=memory,
        gpu_model=gpu[0],
        gpu_count=gpu[1],
        gpu_memory_gib=gpu[2],
    )
    return Pool(
        name=PoolName(name),
        shape=shape,
        node_count=nodes,
        price_micro_dollars_per_hour=dollars(price),
        speed=speed,
        taints=taints,
    )


def cluster(name: str, *pools: Pool, region: str = "eu-1", **fields: object) -> Cluster:
    """A cluster on premises in Europe unless said otherwise."""
    values: dict[str, object] = {
        "name": ClusterName(name),
        "provider": Provider.ON_PREMISES,
        "region": region,
        "continent": region.split("-", maxsplit=1)[0],
        "pools": pools or (pool(),),
        **fields,
    }
    return Cluster(**values)


def fleet(*clusters: Cluster) -> Fleet:
    """A fleet of clusters."""
    return Fleet(clusters=clusters)


def task(name: str, kind: TaskKind = TaskKind.TRAIN, **fields: object) -> TaskSpec:
    """A task; `after` may be a tuple of names."""
    return TaskSpec(name=TaskName(name), kind=kind, **fields)


def serving(name: str = "serve", **fields: object) -> TaskSpec:
    """A serve task; fields without `after` are those of its promise."""
    after = fields.pop("after", ())
    return task(name, TaskKind.SERVE, after=after, serving=Serving(**fields))


def pipeline(
    *tasks: TaskSpec,
    name: str = "p",
    owner: str = "us",
    deadline: float | None = None,
    keep: float = 0.95,
    weight: float = 1.0,
    **limits: object,
) -> PipelineSpec:
    """A pipeline; the deadline is in seconds from `AS_OF`."""
    within = None if deadline is None else Deadline(within_seconds=deadline)
    return PipelineSpec(
        name=PipelineName(name),
        owner=owner,
        tasks=tasks,
        sla=Sla(deadline=within, keep=keep, weight=weight),
        limits=Limits(**limits),
    )


def profile(
    of: TaskSpec,
    *,
    seconds: float | Quantiles = 3600.0,
    cores: float | Sequence[Quantiles] = 1.0,
    memory: float = 1.0,
    gpus: int = 0,
    gpu_memory: float = 0.0,
    **fields: object,
) -> Profile:
    """A profile of constants unless quantiles are given."""
    duration = Quantiles.constant(seconds) if isinstance(seconds, float | int) else seconds
    cpu = (Quantiles.constant(cores),) if isinstance(cores, float | int) else tuple(cores)
    use = {Resource.CPU: cpu, Resource.MEMORY: (Quantiles.constant(memory),)}
    if gpus:
        use[Resource.GPU] = (Quantiles.constant(gpus),)
        use[Resource.GPU_MEMORY] = (Quantiles.constant(gpu_memory),)
    values: dict[str, object] = {
        "task": of.name,
        "kind": of.kind,
        "duration_seconds": None if of.kind is TaskKind.SERVE else duration,
        "use": use,
        **fields,
    }
    return Profile(**values)


def problem(
    pipelines: Sequence[PipelineSpec] | PipelineSpec,
    clusters: Fleet,
    profiles: Mapping[str, Profile] | None = None,
    **fields: object,
) -> PlacementProblem:
    """A problem; tasks without a profile get the standard one."""
    several = (pipelines,) if isinstance(pipelines, PipelineSpec) else tuple(pipelines)
    values: dict[str, object] = {
        "pipelines": several,
        "fleet": clusters,
        "as_of": AS_OF,
        "work_limit": 1.0,
        **fields,
    }
    given = profiles or {}
    return PlacementProblem(
        request=PlanRequest(**values),
        profiles={
            task_key(p.name, t.name): given.get(
                task_key(p.name, t.name), given.get(t.name, profile(t))
            )
            for p in several
            for t in p.tasks
        },
    )


def random_problem(
    seed: int, *, tasks: int, clusters: int, mode: Mode = Mode.MOST_SLA, tight: float = 1.0
) -> PlacementProblem:
    """A seeded problem of pipelines of about four tasks over clusters of three pools.

    tight: factor on the number of nodes; small values make capacity bind.
    """
    chance = random.Random(seed)
    members = [_random_cluster(chance, number, tight) for number in range(clusters)]
    pipelines: list[PipelineSpec] = []
    profiles: dict[str, Profile] = {}
    left = tasks
    while left > 0:
        size = min(left, chance.randint(2, 6))
        spec = _random_pipeline(chance, f"p{len(pipelines)}", size)
        pipelines.append(spec)
        for member in spec.tasks:
            profiles[task_key(spec.name, member.name)] = _random_profile(chance, member)
        left -= size
    return problem(pipelines, fleet(*members), profiles, mode=mode, work_limit=4.0)


def _random_cluster(chance: random.Random, number: int, tight: float) -> Cluster:
    region = chance.choice(("eu-1", "eu-2", "us-1"))
    pools = []
    for kind, cores in (("small", 4.0), ("large", 32.0), ("gpu", 16.0)):
        gpu = ("a100", 4, 80.0) if kind == "gpu" else ("", 0, 0.0)
        price = cores * 0.05 * chance.uniform(0.7, 1.5) + 3.0 * gpu[1]
        nodes = max(round(chance.randint(1, 4) * tight), 1)
        speed = chance.choice((0.8, 1.0, 1.25))
        pools.append(
            pool(
                kind, cores=cores, memory=4 * cores, nodes=nodes, price=price, speed=speed, gpu=gpu
            )
        )
    prices = {r: MicroDollars(20_000) for r in ("eu-1", "eu-2", "us-1") if r != region}
    return cluster(f"c{number}", *pools, region=region, transfer_micro_dollars_per_gib=prices)


def _random_pipeline(chance: random.Random, name: str, size: int) -> PipelineSpec:
    kinds = [TaskKind.ETL, TaskKind.FEATURES] + [TaskKind.TRAIN] * (size - 2)
    tasks: list[TaskSpec] = []
    for index, kind in enumerate(kinds[:size]):
        after = (tasks[chance.randrange(index)].name,) if index else ()
        volume = chance.choice((None, 10.0, 100.0)) if kind is TaskKind.ETL else None
        tasks.append(task(f"t{index}", kind, after=after, volume_gib=volume))
    spec = pipeline(*tasks, name=name, deadline=chance.uniform(6, 24) * 3600)
    return replace(spec, sla=replace(spec.sla, weight=chance.choice((1.0, 1.0, 2.0))))


def _random_profile(chance: random.Random, of: TaskSpec) -> Profile:
    median = chance.uniform(0.1, 3.0) * 3600
    seconds = Quantiles(
        p50=median, p80=1.2 * median, p90=1.4 * median, p95=1.6 * median, p99=2 * median
    )
    gpus = chance.choice((0, 0, 1, 2)) if of.kind is TaskKind.TRAIN else 0
    return profile(
        of,
        seconds=seconds,
        cores=chance.choice((1.0, 2.0, 4.0, 8.0)),
        memory=chance.choice((2.0, 8.0, 16.0, 32.0)),
        gpus=gpus,
        gpu_memory=40.0 if gpus else 0.0,
        gpu_models=("a100",) if gpus else (),
    )
