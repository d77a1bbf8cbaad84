"""The anchor: each pipeline planned alone and exactly, in order of arrival, on what is left.

This is how SkyPilot's optimiser works (a chain by dynamic programming, one request at a time),
made as strong as it can be within that: it sees capacity by node and by time, plans starts too,
and takes the truly cheapest way of each pipeline. On what others left, the earliest start on a
pool is never worse than a later one, so that the ways of a chain up to a task are told apart by
the pool, the end and the money alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.placement._clouds_judge import Place
from benchmarks.placement._clouds_world import Amounts, Pipeline, Pool, Way, World

_SMALL = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class _Label:
    """A way to run a chain up to one of its tasks."""

    usd: float
    end: float
    cluster: str
    places: tuple[Place, ...]
    nodes: tuple[tuple[int, ...], ...]


@dataclass(slots=True)
class _Node:
    """One node with the runs it was given: start, end, needs."""

    runs: list[tuple[float, float, Amounts]]


def plan(world: World) -> dict[tuple[str, str], Place]:
    """Return the anchor's plan; pipelines that do not fit in what is left do not run."""
    nodes = [[_Node([]) for _ in range(pool.nodes)] for pool in world.pools]
    found: dict[tuple[str, str], Place] = {}
    # `sorted` keeps the file's order among pipelines that arrive together.
    for pipeline in sorted(world.pipelines, key=lambda p: p.earliest_hour):
        best = _cheapest(world, pipeline, nodes)
        if best is None:
            continue
        for position, (task, place) in enumerate(zip(pipeline.tasks, best.places, strict=True)):
            found[pipeline.name, task.name] = place
            way = _way(world, pipeline, position, place.pool)
            for index in best.nodes[position]:
                nodes[place.pool][index].runs.append(
                    (place.start_hour, place.start_hour + way.hours, way.part)
                )
    return found


def _way(world: World, pipeline: Pipeline, position: int, pool: int) -> Way:
    ways = world.ways[pipeline.name, pipeline.tasks[position].name]
    return next(way for way in ways if way.pool.index == pool)


def _cheapest(world: World, pipeline: Pipeline, nodes: Sequence[Sequence[_Node]]) -> _Label | None:
    labels = [
        _Label(
            usd=0.0,
            end=pipeline.earliest_hour,
            cluster=pipeline.data_cluster,
            places=(),
            nodes=(),
        )
    ]
    for position in range(len(pipeline.tasks)):
        labels = _extended(world, pipeline, position, labels, nodes)
    return min(labels, key=lambda label: (label.usd, label.end), default=None)


def _extended(
    world: World,
    pipeline: Pipeline,
    position: int,
    labels: Sequence[_Label],
    nodes: Sequence[Sequence[_Node]],
) -> list[_Label]:
    """Return the undominated labels after one more task."""
    task = pipeline.tasks[position]
    found: dict[str, list[_Label]] = {}
    for label in labels:
        for way in world.ways[pipeline.name, task.name]:
            pool = way.pool
            at = _earliest(nodes[pool.index], way, label.end, pipeline.deadline_hour)
            if at is None:
                continue
            start, taken = at
            read = world.read_usd(pipeline, position, label.cluster, pool.cluster)
            found.setdefault(pool.cluster, []).append(
                _Label(
                    usd=label.usd + way.usd + read,
                    end=start + way.hours,
                    cluster=pool.cluster,
                    places=(*label.places, Place(pool=pool.index, start_hour=start)),
                    nodes=(*label.nodes, taken),
                )
            )
    return [label for members in found.values() for label in _undominated(members)]


def _undominated(labels: Sequence[_Label]) -> list[_Label]:
    kept: list[_Label] = []
    for label in sorted(labels, key=lambda label: (label.usd, label.end)):
        if not kept or label.end < kept[-1].end - _SMALL:
            kept.append(label)
    return kept


def _earliest(
    nodes: Sequence[_Node], way: Way, ready: float, deadline: float
) -> tuple[float, tuple[int, ...]] | None:
    """Return the first start in time at which enough nodes have room, and the fullest of those."""
    ends = sorted({end for node in nodes for _, end, _ in node.runs if end > ready})
    for start in (ready, *ends):
        end = start + way.hours
        if end > deadline + _SMALL:
            break
        free = [i for i, node in enumerate(nodes) if _room(way.pool, node, start, end, way.part)]
        if len(free) >= way.nodes:
            free.sort(key=lambda index: (-_busy(nodes[index]), index))
            return start, tuple(free[: way.nodes])
    return None


def _busy(node: _Node) -> float:
    return sum(end - begin for begin, end, _ in node.runs)


def _room(pool: Pool, node: _Node, start: float, end: float, needs: Amounts) -> bool:
    during = [run for run in node.runs if run[0] < end - _SMALL and run[1] > start + _SMALL]
    moments = {start, *(run[0] for run in during if run[0] > start)}
    return all(
        sum(run[2][r] for run in during if run[0] <= moment + _SMALL < run[1]) + needs[r]
        <= has + _SMALL
        for moment in moments
        for r, has in enumerate(pool.room)
    )
