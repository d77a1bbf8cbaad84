"""A world of clouds as Berth's own fleet, pipelines and profiles, planned by its planner."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.placement._clouds_judge import Place
from benchmarks.placement._clouds_world import Pipeline, Pool, Task, World
from engine.model import fleet as fleets
from engine.model.identifiers import (
    ClusterName,
    MicroDollars,
    PipelineName,
    PoolName,
    TaskName,
    dollars,
)
from engine.model.plans import Mode, PlanRequest
from engine.model.profiles import Evidence, Method, Profile, Quantiles, RunRecord
from engine.model.resources import Resource
from engine.model.specs import Deadline, Limits, PipelineSpec, Sla, TaskKind, TaskSpec
from engine.planning.planner import Planner
from placement import CpSatPlacer

AS_OF = 1_790_000_000.0
HOUR_SECONDS = 3600.0
GIB_PER_GB = 1e9 / 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """Berth's plan, what it promises to cost, its bound, and the seconds of one processor."""

    places: Mapping[tuple[str, str], Place]
    usd: float
    bound_usd: float
    cpu_seconds: float


class _Stated:
    """A forecaster to whom the file has said everything."""

    def __init__(self, profiles: Mapping[tuple[str, str], Profile]) -> None:
        self._profiles = profiles

    def profile(
        self,
        pipeline: PipelineSpec,
        task: TaskSpec,
        fleet: fleets.Fleet,  # noqa: ARG002 - of the port
        history: Sequence[RunRecord],  # noqa: ARG002 - of the port
    ) -> Profile:
        """Return the stated profile."""
        return self._profiles[pipeline.name, task.name]


def plan(world: World, *, budget_usd: float | None, work: float, seed: int = 0) -> Planned:
    """Return Berth's plan: most SLA weight of whole pipelines within a budget, then least money.

    work: deterministic work units; budget_usd: of all pipelines together, None for no end.
    """
    request = PlanRequest(
        pipelines=tuple(_pipeline(pipeline) for pipeline in world.pipelines),
        fleet=_fleet(world),
        as_of=AS_OF,
        mode=Mode.MOST_SLA,
        seed=seed,
        horizon_hours=round(world.raw["slots"] * world.raw["slot_hours"]),
        slot_seconds=world.raw["slot_hours"] * HOUR_SECONDS,
        work_limit=work,
        whole=True,
        budget_micro_dollars=None if budget_usd is None else MicroDollars(int(budget_usd * 1e6)),
    )
    profiles = {
        (pipeline.name, task.name): _profile(task)
        for pipeline in world.pipelines
        for task in pipeline.tasks
    }
    began = time.process_time()
    made = Planner(_Stated(profiles), CpSatPlacer(), "benchmark").plan(request, ())
    spent = time.process_time() - began
    pools = {(pool.cluster, pool.name): pool.index for pool in world.pools}
    return Planned(
        places={
            (a.pipeline, a.task): Place(
                pool=pools[a.cluster, a.pool],
                start_hour=(a.start_seconds - AS_OF) / HOUR_SECONDS,
            )
            for a in made.placement.assignments
        },
        usd=made.placement.objective_micro_dollars / 1e6,
        bound_usd=made.placement.bound_micro_dollars / 1e6,
        cpu_seconds=spent,
    )


def _fleet(world: World) -> fleets.Fleet:
    clusters = []
    for cluster in world.raw["clusters"]:
        name = cluster["name"]
        pools = tuple(_pool(pool, world.gpu_speed) for pool in world.pools if pool.cluster == name)
        prices = world.transfer_usd_per_gb[name]
        clusters.append(
            fleets.Cluster(
                name=ClusterName(name),
                provider=fleets.Provider(cluster["provider"]),
                # The file prices transfers by cluster: each is a region of its own.
                region=name,
                continent=cluster["continent"],
                pools=pools,
                transfer_micro_dollars_per_gib={
                    target: dollars(price / GIB_PER_GB) for target, price in prices.items()
                },
            )
        )
    return fleets.Fleet(clusters=tuple(clusters))


def _pool(pool: Pool, gpu_speed: Mapping[str, float]) -> fleets.Pool:
    cpu, memory, gpus = pool.room
    return fleets.Pool(
        name=PoolName(pool.name),
        shape=fleets.NodeShape(
            machine=pool.name,
            cpu_cores=cpu,
            memory_gib=memory,
            gpu_model=pool.gpu_model,
            gpu_count=int(gpus),
            gpu_memory_gib=pool.gpu_memory_gib,
        ),
        node_count=pool.nodes,
        price_micro_dollars_per_hour=dollars(pool.usd_per_hour),
        gpu_speed=gpu_speed[pool.gpu_model] if gpus else None,
    )


def _pipeline(pipeline: Pipeline) -> PipelineSpec:
    tasks = [
        TaskSpec(
            name=TaskName(task.name),
            kind=TaskKind(task.kind),
            after=() if task.after is None else (TaskName(task.after),),
            output_gib=task.output_gb * GIB_PER_GB,
            volume_gib=None if task.after else pipeline.data_gb * GIB_PER_GB,
            data_in=None if task.after else pipeline.data_cluster,
        )
        for task in pipeline.tasks
    ]
    return PipelineSpec(
        name=PipelineName(pipeline.name),
        tasks=tuple(tasks),
        sla=Sla(
            deadline=Deadline(within_seconds=pipeline.deadline_hour * HOUR_SECONDS),
            earliest_start=Deadline(within_seconds=pipeline.earliest_hour * HOUR_SECONDS),
            weight=pipeline.weight,
        ),
        limits=Limits(regions=pipeline.continents),
    )


def _profile(task: Task) -> Profile:
    cpu, memory, gpus = task.needs
    use = {
        Resource.CPU: (Quantiles.constant(cpu),),
        Resource.MEMORY: (Quantiles.constant(memory),),
    }
    if gpus:
        use[Resource.GPU] = (Quantiles.constant(gpus),)
        use[Resource.GPU_MEMORY] = (Quantiles.constant(task.gpu_memory_gib),)
    return Profile(
        task=TaskName(task.name),
        kind=TaskKind(task.kind),
        duration_seconds=Quantiles.constant(task.work_hours / (gpus or cpu) * HOUR_SECONDS),
        use=use,
        # One process a GPU: they may stand on several nodes, in equal parts.
        replicas=max(int(gpus), 1),
        evidence=Evidence(method=Method.STATED),
    )
