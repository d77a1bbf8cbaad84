"""A valid plan of ten thousand tasks, made without any search."""

import random

from engine.model.fleet import Cluster, Fleet, NodeShape, Pool, Provider
from engine.model.identifiers import ClusterName, PipelineName, PoolName, TaskName, dollars
from engine.model.plans import Mode, PlacementProblem, PlanRequest, task_key
from engine.model.profiles import Profile, Quantiles
from engine.model.resources import Resource
from engine.model.specs import Deadline, PipelineSpec, Serving, Sla, TaskKind, TaskSpec
from placement.problem.building import Terms, build
from placement.problem.instance import Instance, Option
from placement.search import draft as drafts
from placement.search.board import Board
from placement.search.draft import Draft

AS_OF = 1_790_000_000.0
PIPELINE = (TaskKind.ETL, TaskKind.FEATURES, TaskKind.TRAIN, TaskKind.EVALUATE, TaskKind.SERVE)
REGIONS = ("eu-north-1", "eu-west-1", "us-east-1", "us-west-2")
POOLS = (("small", 8.0, 0), ("large", 64.0, 0), ("gpu", 32.0, 8))


def problem(
    tasks: int, clusters: int, seed: int, nodes: tuple[int, int] = (20, 120)
) -> PlacementProblem:
    """Returns pipelines of four tasks, a quarter of them served too, on clusters of one pool.

    nodes: fewest and most nodes of a pool.
    """
    chance = random.Random(seed)
    fleet = Fleet(clusters=tuple(_cluster(chance, number, nodes) for number in range(clusters)))
    profiles: dict[str, Profile] = {}
    pipelines: list[PipelineSpec] = []
    while len(profiles) < tasks:
        spec = _pipeline(chance, f"p{len(pipelines)}", min(tasks - len(profiles), len(PIPELINE)))
        pipelines.append(spec)
        profiles |= {task_key(spec.name, t.name): _profile(chance, t) for t in spec.tasks}
    request = PlanRequest(
        pipelines=tuple(pipelines), fleet=fleet, as_of=AS_OF, mode=Mode.MOST_SLA, seed=seed
    )
    return PlacementProblem(request=request, profiles=profiles)


def plan(asked: PlacementProblem) -> tuple[Instance, Draft]:
    """Returns the plan in which each task takes the cheapest pool that has room in time.

    What was full for a task stays full, since others only come; so no single move is cheaper.
    """
    instance = build(asked, Terms())
    board = Board(instance)
    options: dict[int, Option] = {}
    starts: dict[int, int] = {}
    for job in instance.jobs:
        if not drafts.may_run(job, options):
            continue
        near = [u for u in job.upstream if u in options]
        ready = max((starts[u] + options[u].duration_ms for u in near), default=0)
        for option in job.options:
            start = board.earliest(job, option, ready, job.latest_ms - job.tail_ms)
            if start is not None:
                board.put(job, option, start)
                options[job.index], starts[job.index] = option, start
                break
    return instance, Draft(options=options, starts=starts)


def _cluster(chance: random.Random, number: int, nodes: tuple[int, int]) -> Cluster:
    region = chance.choice(REGIONS)
    pools = []
    for name, cores, gpus in (chance.choice(POOLS),):
        price = cores * chance.uniform(0.03, 0.07) + gpus * chance.uniform(1.0, 3.0)
        shape = NodeShape(
            machine=f"{name}-{cores:g}",
            cpu_cores=cores,
            memory_gib=cores * 4,
            disk_gib=2_000.0,
            network_mbps=25_000.0,
            gpu_model="a100" if gpus else "",
            gpu_count=gpus,
            gpu_memory_gib=80.0 if gpus else 0.0,
        )
        pools.append(
            Pool(
                name=PoolName(name),
                shape=shape,
                node_count=chance.randint(*nodes),
                price_micro_dollars_per_hour=dollars(round(price, 4)),
                speed=chance.choice((0.8, 1.0, 1.25)),
            )
        )
    return Cluster(
        name=ClusterName(f"c{number}"),
        provider=chance.choice(list(Provider)),
        region=region,
        continent=region.partition("-")[0],
        pools=tuple(pools),
    )


def _pipeline(chance: random.Random, name: str, size: int) -> PipelineSpec:
    tasks: list[TaskSpec] = []
    for kind in PIPELINE[: size if size < len(PIPELINE) or chance.random() < 0.25 else size - 1]:
        serving = Serving(availability=0.99) if kind is TaskKind.SERVE else None
        tasks.append(
            TaskSpec(
                name=TaskName(kind.value),
                kind=kind,
                after=(tasks[-1].name,) if tasks else (),
                volume_gib=chance.choice((5.0, 50.0)) if kind is TaskKind.ETL else None,
                serving=serving,
            )
        )
    deadline = Deadline(within_seconds=chance.uniform(8, 23) * 3600)
    return PipelineSpec(name=PipelineName(name), tasks=tuple(tasks), sla=Sla(deadline=deadline))


def _profile(chance: random.Random, task: TaskSpec) -> Profile:
    serves = task.kind is TaskKind.SERVE
    median = chance.uniform(600, 7_200)
    quantiles = Quantiles(
        p50=median, p80=1.2 * median, p90=1.3 * median, p95=1.4 * median, p99=1.6 * median
    )
    cores, memory = chance.choice((1.0, 2.0, 4.0)), chance.choice((2.0, 8.0, 30.0))
    hours = tuple(Quantiles.constant(cores * (1 + h % 12 / 12)) for h in range(24))
    varies = serves and chance.random() < 0.2
    use = {
        Resource.CPU: hours if varies else (Quantiles.constant(cores),),
        Resource.MEMORY: (Quantiles.constant(memory),),
    }
    if task.kind is TaskKind.TRAIN and chance.random() < 0.2:
        use[Resource.GPU] = (Quantiles.constant(1.0),)
        use[Resource.GPU_MEMORY] = (Quantiles.constant(40.0),)
    return Profile(
        task=task.name,
        kind=task.kind,
        duration_seconds=None if serves else quantiles,
        use=use,
        gpu_models=("a100",) if Resource.GPU in use else (),
    )
