"""What depends on what: a graph of clusters, regions, providers and pipelines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import networkx as nx

from engine.model.fleet import Fleet
from engine.model.specs import PipelineSpec


class Topology:
    """An undirected graph of subjects (`cluster:eu-1`, `pipeline:heart`).

    Distance 1 between two clusters means the same region of one provider; between two
    pipelines, that one reads what the other writes. An empty topology relates nothing.
    """

    def __init__(self, edges: Iterable[tuple[str, str]] = ()) -> None:
        self._graph: nx.Graph[str] = nx.Graph()
        self._graph.add_edges_from(edges)

    def distance(self, one: str, other: str) -> int | None:
        """Return the number of steps between two subjects, or None where none lead there."""
        if one not in self._graph or other not in self._graph:
            return None
        try:
            return int(nx.shortest_path_length(self._graph, one, other))
        except nx.NetworkXNoPath:
            return None


def topology(fleet: Fleet | None = None, pipelines: Iterable[PipelineSpec] = ()) -> Topology:
    """Return the topology of a fleet, and of pipelines that read what others write."""
    edges: list[tuple[str, str]] = []
    if fleet is not None:
        by_place: dict[tuple[str, str], list[str]] = {}
        for cluster in fleet.clusters:
            place = (cluster.provider.value, cluster.region)
            by_place.setdefault(place, []).append(f"cluster:{cluster.name}")
        for names in by_place.values():
            edges += [(one, other) for one in names for other in names if one < other]
    edges += _data_flows(pipelines)
    return Topology(edges)


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
