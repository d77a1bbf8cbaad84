"""Numbers of a problem that nothing can be counted with, told before anything is built from it.

Readers of documents refuse them too; callers in Python make problems of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from engine.model.errors import Fault
from engine.model.fleet import Cluster, Pool
from engine.model.plans import PlanRequest, Reservation
from engine.model.resources import Resource
from engine.model.specs import Deadline, PipelineSpec, TaskSpec
from placement.problem.deadlines import instant_of

WISHED = ("cpu_cores", "memory_gib", "disk_gib", "network_mbps", "gpu_count", "gpu_memory_gib")
"""Numbers that the author of a task may insist on."""

_OF_POOL = (
    "node_count",
    "price_micro_dollars_per_hour",
    "speed",
    "gpu_speed",
    "interruptions_per_hour",
)

Numbers = Iterator[tuple[str, float | None]]
"""Numbers with the names of what they are; None for what nobody says."""


def faults(request: PlanRequest) -> Iterator[Fault]:
    """Yield a fault for every number that is negative or not finite."""
    if not math.isfinite(request.as_of):
        yield _fault("as_of", "as_of of the plan", request.as_of)
        return
    for cluster in request.fleet.clusters:
        yield from _wrong(cluster.name, _of_cluster(cluster))
    for reservation in request.reservations:
        yield from _wrong(reservation.holder, _of_reservation(reservation, request.as_of))
    for pipeline in request.pipelines:
        yield from _wrong(pipeline.name, _of_pipeline(pipeline))
        yield from _of_instants(pipeline, request.as_of)
        if not 0.0 <= pipeline.sla.keep <= 1.0:
            what, fix = f"sla.keep of {pipeline.name!r}", "give a probability, such as 0.95"
            yield _fault(f"{pipeline.name}.sla.keep", what, pipeline.sla.keep, fix)


def _wrong(name: str, given: Numbers) -> Iterator[Fault]:
    for path, value in given:
        if value is not None and not (math.isfinite(value) and value >= 0):
            yield _fault(f"{name}.{path}", f"{path} of {name!r}", value)


def _fault(
    path: str, what: str, value: float, fix: str = "give a number that is not negative"
) -> Fault:
    return Fault(code="S007", message=f"{what} is {value!r}", path=path, fix=fix)


def _of_cluster(cluster: Cluster) -> Numbers:
    yield "availability", cluster.availability
    yield "latency_ms", cluster.latency_ms
    for region, price in cluster.transfer_micro_dollars_per_gib.items():
        yield f"transfer to {region}", price
    for owner, quota in cluster.quota.items():
        yield from ((f"quota.{owner}.{resource}", most) for resource, most in quota.items())
    for pool in cluster.pools:
        yield from _of_pool(pool)


def _of_pool(pool: Pool) -> Numbers:
    for key in _OF_POOL:
        yield f"{pool.name}.{key}", getattr(pool, key)
    for resource in Resource:
        yield f"{pool.name}.{resource}", pool.shape.resources.of(resource)


def _of_reservation(reservation: Reservation, as_of: float) -> Numbers:
    for resource in Resource:
        yield str(resource), reservation.held.of(resource)
    for key in ("from_seconds", "to_seconds"):
        instant: float | None = getattr(reservation, key)
        # Either may lie in the past.
        yield key, None if instant is None else abs(instant - as_of)


def _of_pipeline(pipeline: PipelineSpec) -> Numbers:
    yield "sla.weight", pipeline.sla.weight
    yield "sla.late_micro_dollars_per_hour", pipeline.sla.late_micro_dollars_per_hour
    yield "limits.move_micro_dollars", pipeline.limits.move_micro_dollars
    for task in pipeline.tasks:
        for key, value in _of_task(task):
            if value is not None:  # of thousands of tasks nearly all say nothing
                yield f"tasks.{task.name}.{key}", value


def _of_task(task: TaskSpec) -> Numbers:
    yield "volume_gib", task.volume_gib
    yield "output_gib", task.output_gib
    for key in WISHED:
        yield key, getattr(task.wishes, key)


def _of_instants(pipeline: PipelineSpec, as_of: float) -> Iterator[Fault]:
    for key in ("earliest_start", "deadline"):
        instant: Deadline | None = getattr(pipeline.sla, key)
        if instant is None:
            continue
        path = f"sla.{key} of {pipeline.name!r}"
        try:
            at = instant_of(instant, as_of)
        except (KeyError, ValueError) as error:
            fix = "give a time as `HH:MM` and a zone as `Europe/Paris`"
            message = f"{path} is no time: {error}"
            yield Fault(code="S006", message=message, path=f"{pipeline.name}.sla.{key}", fix=fix)
            continue
        if not math.isfinite(at):
            yield _fault(f"{pipeline.name}.sla.{key}", path, at)
