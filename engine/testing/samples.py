"""Small fleets, pipelines and plans to test with; a plan places tasks in turn, without a solver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import cycle

from engine.model import documents
from engine.model.fleet import Cluster, Fleet, NodeShape, Pool, Provider
from engine.model.identifiers import (
    FREE,
    ClusterName,
    MicroDollars,
    PipelineName,
    PlanId,
    PoolName,
    TaskName,
)
from engine.model.plans import Assignment, Placement, Plan, PlanRequest, task_key
from engine.model.profiles import Profile, Quantiles
from engine.model.resources import Resource, Resources
from engine.model.specs import PipelineSpec, TaskKind, TaskSpec

POOL = PoolName("nodes")
HELD = Resources(cpu_cores=1.0, memory_gib=1.0)
DURATION = Quantiles(p50=10.0, p80=12.0, p90=14.0, p95=16.0, p99=20.0)


def fleet(
    *names: str,
    node_count: int = 4,
    speed: float = 1.0,
    grace_seconds: float = 10,
    gpu_count: int = 0,
) -> Fleet:
    """Return clusters with one pool each, of nodes with 2 cores and 4 GiB."""
    shape = NodeShape(machine="small", cpu_cores=2, memory_gib=4, gpu_count=gpu_count)
    return Fleet(
        clusters=tuple(
            Cluster(
                name=ClusterName(name),
                provider=Provider.ON_PREMISES,
                region="here",
                continent="eu",
                grace_seconds=grace_seconds,
                pools=(
                    Pool(
                        name=POOL,
                        shape=shape,
                        node_count=node_count,
                        price_micro_dollars_per_hour=MicroDollars(100_000),
                        speed=speed,
                    ),
                ),
            )
            for name in names
        )
    )


def pipeline(*tasks: TaskSpec, name: str = "heart") -> PipelineSpec:
    """Return a pipeline of tasks."""
    return PipelineSpec(name=PipelineName(name), tasks=tasks)


def chain() -> PipelineSpec:
    """Return etl -> train -> package -> serve, named `heart`."""
    return pipeline(
        TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL),
        TaskSpec(name=TaskName("train"), kind=TaskKind.TRAIN, after=(TaskName("etl"),)),
        TaskSpec(name=TaskName("package"), kind=TaskKind.PACKAGE, after=(TaskName("train"),)),
        TaskSpec(name=TaskName("serve"), kind=TaskKind.SERVE, after=(TaskName("package"),)),
    )


def plan(
    spec: PipelineSpec, where: Fleet, places: Mapping[str, str] | None = None, as_of: float = 0.0
) -> Plan:
    """Return a plan that puts tasks on the clusters in turn.

    places: cluster of some tasks by name; "" leaves a task without a place.
    """
    turn = cycle(cluster.name for cluster in where.clusters)
    chosen = {task.name: (places or {}).get(task.name, next(turn)) for task in spec.tasks}
    assignments = tuple(
        _assignment(spec, task, ClusterName(chosen[task.name]))
        for task in spec.tasks
        if chosen[task.name]
    )
    placement = Placement(
        assignments=assignments,
        unplaced=(),
        explanations=(),
        sharing=(),
        promises=(),
        objective_micro_dollars=FREE,
        bound_micro_dollars=FREE,
        gap=0.0,
        optimal=True,
    )
    request = PlanRequest(pipelines=(spec,), fleet=where, as_of=as_of)
    content = documents.encode(request) + documents.encode(placement)
    return Plan(
        plan_id=PlanId(f"p-{documents.letters(content)}"),
        version="test",
        request=request,
        profiles={task_key(spec.name, task.name): profile(task) for task in spec.tasks},
        placement=placement,
    )


def profile(task: TaskSpec) -> Profile:
    """Return the profile of a task that takes about ten seconds and one GiB."""
    return Profile(
        task=task.name,
        kind=task.kind,
        duration_seconds=None if task.kind is TaskKind.SERVE else DURATION,
        use={Resource.MEMORY: (Quantiles.constant(1.0),)},
    )


def _assignment(spec: PipelineSpec, task: TaskSpec, cluster: ClusterName) -> Assignment:
    return Assignment(
        pipeline=spec.name,
        task=task.name,
        cluster=cluster,
        pool=POOL,
        machine="small",
        node_count=1,
        held=HELD,
        start_seconds=0.0,
        end_seconds_p50=10.0,
        end_seconds_p95=16.0,
        slack_seconds=None,
        cost_micro_dollars=FREE,
        cost_micro_dollars_p95=FREE,
    )


class FixedFleet:
    """A fleet whose clusters answer or not as a test says (port `FleetSource`)."""

    def __init__(self, clusters: Fleet) -> None:
        self.clusters = clusters
        self.down: set[str] = set()

    def fleet(self) -> Fleet:
        """Return all clusters; those in `down` are not reachable."""
        return Fleet(
            clusters=tuple(
                replace(cluster, reachable=cluster.name not in self.down)
                for cluster in self.clusters.clusters
            )
        )
