"""What belongs together before any alarm: clusters of one region, pipelines that share data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.model.fleet import Fleet
from engine.model.specs import PipelineSpec


def topology(
    fleet: Fleet | None = None, pipelines: Iterable[PipelineSpec] = ()
) -> list[tuple[str, str]]:
    """Return pairs of related subjects: clusters of one region, pipelines that read one another."""
    edges: list[tuple[str, str]] = []
    if fleet is not None:
        by_place: dict[tuple[str, str], list[str]] = {}
        for cluster in fleet.clusters:
            place = (cluster.provider.value, cluster.region)
            by_place.setdefault(place, []).append(f"cluster:{cluster.name}")
        for names in by_place.values():
            edges += [(one, other) for one in names for other in names if one < other]
    return edges + _data_flows(pipelines)


def _data_flows(pipelines: Iterable[PipelineSpec]) -> list[tuple[str, str]]:
    """Return pairs of pipelines of which one reads what a task of the other writes."""
    known = list(pipelines)
    writers: Mapping[str, str] = {
        task.writes: pipeline.name for pipeline in known for task in pipeline.tasks if task.writes
    }
    return [
        (f"pipeline:{writers[task.reads]}", f"pipeline:{pipeline.name}")
        for pipeline in known
        for task in pipeline.tasks
        if task.reads is not None and writers.get(task.reads, pipeline.name) != pipeline.name
    ]
