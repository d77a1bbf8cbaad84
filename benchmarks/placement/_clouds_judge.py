"""The judge of plans: every rule of `_clouds_world` checked from its definition, and the money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.placement._clouds_world import Amounts, Pipeline, Pool, Way, World

HOURS_SLACK = 1e-5
"""Plans may count in milliseconds; this is 36 of them."""

PACKING_STEPS = 200_000
"""Steps in which tasks must be given nodes; a pool that takes more counts as too full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and from when a task runs; `pool` is its index."""

    pool: int
    start_hour: float


Plan = Mapping[tuple[str, str], Place]
"""By pipeline and task; what is not in it does not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a plan is worth, and every rule it breaks."""

    usd: float
    weight: float
    kept: frozenset[str]
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What stands on one node; the parts of one task bear its name and stand on nodes apart."""

    task: str
    start: float
    end: float
    needs: Amounts


def judge(world: World, plan: Plan) -> Judged:
    """Return money and SLA weight of a plan, with its faults; none for a plan that is allowed."""
    faults: list[str] = []
    runs: dict[int, list[_Run]] = {}
    usd = 0.0
    kept: list[Pipeline] = []
    for pipeline in world.pipelines:
        placed = [plan.get((pipeline.name, task.name)) for task in pipeline.tasks]
        usd += _pipeline_usd(world, pipeline, placed)
        faults.extend(_pipeline_faults(world, pipeline, placed, runs))
        if all(place is not None for place in placed):
            kept.append(pipeline)
    for pool in world.pools:
        faults.extend(_pool_faults(pool, runs.get(pool.index, [])))
    return Judged(
        usd=usd,
        weight=sum(pipeline.weight for pipeline in kept),
        kept=frozenset(pipeline.name for pipeline in kept),
        faults=tuple(faults),
    )


def _way(world: World, pipeline: Pipeline, position: int, place: Place) -> Way | None:
    ways = world.ways[pipeline.name, pipeline.tasks[position].name]
    return next((way for way in ways if way.pool.index == place.pool), None)


def _pipeline_usd(world: World, pipeline: Pipeline, placed: Sequence[Place | None]) -> float:
    """Return what the tasks that run cost, partial pipelines too, with the data they move."""
    usd = 0.0
    source = pipeline.data_cluster
    for position, place in enumerate(placed):
        if place is None:
            continue
        way = _way(world, pipeline, position, place)
        cluster = world.pools[place.pool].cluster
        usd += world.read_usd(pipeline, position, source, cluster)
        usd += 0.0 if way is None else way.usd
        source = cluster
    return usd


def _pipeline_faults(
    world: World,
    pipeline: Pipeline,
    placed: Sequence[Place | None],
    runs: dict[int, list[_Run]],
) -> list[str]:
    """Return what is wrong with one pipeline; its runs are added to those of their pools."""
    faults: list[str] = []
    ready = pipeline.earliest_hour
    for position, (task, place) in enumerate(zip(pipeline.tasks, placed, strict=True)):
        name = f"{pipeline.name}/{task.name}"
        if place is None:
            later = [p for p in placed[position:] if p is not None]
            return [*faults, f"{name} does not run but its successors do"] if later else faults
        way = _way(world, pipeline, position, place)
        if way is None:
            faults.append(f"{name} may not run on pool {place.pool}")
            continue
        if place.start_hour < ready - HOURS_SLACK:
            faults.append(f"{name} starts at {place.start_hour:.4f} h, before {ready:.4f} h")
        ready = place.start_hour + way.hours
        if ready > pipeline.deadline_hour + HOURS_SLACK:
            faults.append(f"{name} ends at {ready:.4f} h, after {pipeline.deadline_hour:g} h")
        run = _Run(task=name, start=place.start_hour, end=ready - HOURS_SLACK, needs=way.part)
        runs.setdefault(place.pool, []).extend([run] * way.nodes)
    return faults


def _pool_faults(pool: Pool, runs: Sequence[_Run]) -> list[str]:
    """Return a fault where the runs of a pool cannot stand on its nodes."""
    for moment in runs:
        at_once = [run for run in runs if run.start <= moment.start < run.end]
        for resource, has in enumerate(pool.room):
            if sum(run.needs[resource] for run in at_once) > has * pool.nodes + 1e-9:
                return [f"{pool.cluster}/{pool.name} is too full at {moment.start:.4f} h"]
    if not _packs(pool, sorted(runs, key=lambda r: (r.start, -max(r.needs), r.task))):
        return [f"{pool.cluster}/{pool.name} has room in sum, but not node by node"]
    return []


def _packs(pool: Pool, runs: Sequence[_Run]) -> bool:
    """Whether every run can be given one node for all of its time: depth first, in time order."""
    nodes: list[list[_Run]] = [[] for _ in range(pool.nodes)]
    chosen: list[int] = []
    first = 0
    for _ in range(PACKING_STEPS):
        if len(chosen) == len(runs):
            return True
        run = runs[len(chosen)]
        found = _next_node(pool, nodes, run, first)
        if found is not None:
            nodes[found].append(run)
            chosen.append(found)
            first = 0
        elif chosen:
            first = chosen.pop()
            nodes[first].pop()
            first += 1
        else:
            return False
    return False


def _next_node(pool: Pool, nodes: Sequence[Sequence[_Run]], run: _Run, first: int) -> int | None:
    """Return the first node from `first` on with room; of idle nodes one is tried."""
    idle_seen = any(_idle(node, run) for node in nodes[:first])
    for index in range(first, len(nodes)):
        if _idle(nodes[index], run):
            if idle_seen:
                continue
            return index
        held = [other for other in nodes[index] if other.end > run.start]
        apart = all(other.task != run.task for other in held)
        if apart and all(
            sum(other.needs[r] for other in held) + run.needs[r] <= has + 1e-9
            for r, has in enumerate(pool.room)
        ):
            return index
    return None


def _idle(node: Sequence[_Run], run: _Run) -> bool:
    return all(other.end <= run.start for other in node)
