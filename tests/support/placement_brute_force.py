"""The best plan of a small problem by trying everything, in code of its own.

For problems of tasks that end, with constant durations and needs, no reservations, one-task nodes
and join `all`. Every choice of pools is tried with every order of tasks: an order with each
task as early as it fits is enough, because ending earlier never hurts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.model.fleet import Cluster, Pool
from engine.model.plans import Mode, PlacementProblem, task_key
from engine.model.resources import Resource
from engine.model.specs import PipelineSpec, TaskSpec, Within

RESOURCES = (Resource.CPU, Resource.MEMORY, Resource.GPU)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One task on one pool."""

    pool: int
    cluster: str
    region: str
    seconds: float
    needs: tuple[float, ...]
    cost: int


def best(problem: PlacementProblem) -> tuple[int, int] | None:
    """Return unplaced weight (in thousandths) and money of the best plan, None for no plan."""
    request = problem.request
    tasks = [(p, t) for p in request.pipelines for t in p.tasks]
    ways = [_ways(problem, p, t) for p, t in tasks]
    may_stay_out = request.mode is Mode.MOST_SLA
    found: tuple[int, int] | None = None
    for chosen in itertools.product(*([*w, None] if may_stay_out else w for w in ways)):
        if not are_near(tasks, chosen):
            continue
        value = _value(problem, tasks, chosen)
        if value is None or (found is not None and value >= found):
            continue
        late = _lateness(problem, tasks, chosen)
        if late is not None and (found is None or (value[0], value[1] + late) < found):
            found = (value[0], value[1] + late)
    return found


def are_near(tasks: Sequence[tuple[PipelineSpec, TaskSpec]], chosen: Sequence[Way | None]) -> bool:
    """Whether every task with a place stands beside and apart from whom it wishes.

    A pool counts as one machine.
    """
    for (pipeline, task), way in zip(tasks, chosen, strict=True):
        for wishes, together in ((task.beside, True), (task.apart_from, False)):
            for wish in wishes:
                for (other_pipeline, other), there in zip(tasks, chosen, strict=True):
                    named = other_pipeline.name == pipeline.name and other.name in wish.tasks
                    carries = bool(wish.labels) and wish.labels.items() <= other.labels.items()
                    if way is None or there is None or other is task or not (named or carries):
                        continue
                    same = {
                        Within.NODE: way.pool == there.pool,
                        Within.CLUSTER: way.cluster == there.cluster,
                        Within.REGION: way.region == there.region,
                    }[wish.within]
                    if same != together:
                        return False
    return True


def _pools(problem: PlacementProblem) -> list[tuple[Cluster, Pool]]:
    return [(c, p) for c in problem.request.fleet.clusters for p in c.pools]


def _needs(problem: PlacementProblem, pipeline: PipelineSpec, task: TaskSpec) -> tuple[float, ...]:
    profile = problem.profiles[task_key(pipeline.name, task.name)]
    return tuple(profile.peak(resource, 0.5) for resource in RESOURCES)


def _ways(problem: PlacementProblem, pipeline: PipelineSpec, task: TaskSpec) -> list[Way]:
    profile = problem.profiles[task_key(pipeline.name, task.name)]
    assert profile.duration_seconds is not None
    needs = _needs(problem, pipeline, task)
    found: list[Way] = []
    for index, (cluster, pool) in enumerate(_pools(problem)):
        node = tuple(pool.shape.resources.of(resource) for resource in RESOURCES)
        if any(need > has for need, has in zip(needs, node, strict=True)):
            continue
        if pipeline.limits.regions and cluster.region not in pipeline.limits.regions:
            continue
        share = max(n / h for n, h in zip(needs, node, strict=True) if h > 0)
        seconds = profile.duration_seconds.p50 / pool.speed
        mean = profile.duration_seconds.times(1.0 / pool.speed).mean
        cost = round(pool.price_micro_dollars_per_hour * share * (mean / 3600))
        found.append(
            Way(
                pool=index,
                cluster=cluster.name,
                region=cluster.region,
                seconds=seconds,
                needs=needs,
                cost=cost,
            )
        )
    return found


def _value(
    problem: PlacementProblem,
    tasks: Sequence[tuple[PipelineSpec, TaskSpec]],
    chosen: Sequence[Way | None],
) -> tuple[int, int] | None:
    """Return weight left out and money; None when upstream is missing or a budget is passed."""
    by_name = {
        (p.name, t.name): way for (p, t), way in zip(tasks, chosen, strict=True) if way is not None
    }
    left_out = 0
    spent: dict[str, int] = {}
    for (pipeline, task), way in zip(tasks, chosen, strict=True):
        if way is None:
            left_out += round(pipeline.sla.weight * 1000)
            continue
        if any((pipeline.name, name) not in by_name for name in task.after):
            return None
        spent[pipeline.name] = spent.get(pipeline.name, 0) + way.cost
    for pipeline in problem.request.pipelines:
        budget = pipeline.limits.budget_micro_dollars
        if budget is not None and spent.get(pipeline.name, 0) > budget:
            return None
    return left_out, sum(spent.values())


def _lateness(
    problem: PlacementProblem,
    tasks: Sequence[tuple[PipelineSpec, TaskSpec]],
    chosen: Sequence[Way | None],
) -> int | None:
    """Return the least that lateness costs in any order; None where no order is in time."""
    placed = [i for i, way in enumerate(chosen) if way is not None]
    best: int | None = None
    for order in _orders(tasks, placed):
        ends = _ends(problem, tasks, chosen, order)
        if ends is None:
            continue
        cost = 0
        for pipeline in problem.request.pipelines:
            price, deadline = pipeline.sla.late_micro_dollars_per_hour, pipeline.sla.deadline
            if price is not None and deadline is not None and deadline.within_seconds is not None:
                own = [end for (name, _), end in ends.items() if name == pipeline.name]
                late = max([end - deadline.within_seconds for end in own], default=0.0)
                cost += math.ceil(max(late, 0.0) * price / 3600 - 1e-6)
        best = cost if best is None else min(best, cost)
    return best


def _orders(
    tasks: Sequence[tuple[PipelineSpec, TaskSpec]], placed: Sequence[int]
) -> Iterator[tuple[int, ...]]:
    """Yield the orders in which nobody stands before those it waits for."""
    for order in itertools.permutations(placed):
        seen: set[tuple[str, str]] = set()
        for index in order:
            pipeline, task = tasks[index]
            if any((pipeline.name, name) not in seen for name in task.after):
                break
            seen.add((pipeline.name, task.name))
        else:
            yield order


def _ends(
    problem: PlacementProblem,
    tasks: Sequence[tuple[PipelineSpec, TaskSpec]],
    chosen: Sequence[Way | None],
    order: Sequence[int],
) -> dict[tuple[str, str], float] | None:
    """Return when each task ends in an order; None where a deadline is not kept that must be."""
    pools = _pools(problem)
    ends: dict[tuple[str, str], float] = {}
    running: list[tuple[float, float, Way]] = []
    for index in order:
        pipeline, task = tasks[index]
        way = chosen[index]
        assert way is not None
        ready = max((ends[pipeline.name, name] for name in task.after), default=0.0)
        start = _start(pools[way.pool][1], running, way, ready)
        end = start + way.seconds
        deadline = pipeline.sla.deadline
        within = None if deadline is None else deadline.within_seconds
        hard = pipeline.sla.late_micro_dollars_per_hour is None
        if hard and within is not None and end > within + 1e-6:
            return None
        ends[pipeline.name, task.name] = end
        running.append((start, end, way))
    return ends


def _start(
    pool: Pool, running: Sequence[tuple[float, float, Way]], way: Way, ready: float
) -> float:
    here = [r for r in running if r[2].pool == way.pool]
    times = sorted({ready, *(end for _, end, _ in here if end > ready)})
    return next(time for time in times if _room(pool, here, way, time))


def _room(pool: Pool, here: Sequence[tuple[float, float, Way]], way: Way, start: float) -> bool:
    """Whether a pool has room over a whole run, looked at whenever something begins."""
    end = start + way.seconds
    moments = {start, *(s for s, _, _ in here if start < s < end)}
    total = pool.shape.resources.times(pool.node_count)
    for moment in moments:
        active = [w for s, e, w in here if s <= moment < e - 1e-9]
        for position, resource in enumerate(RESOURCES):
            used = sum(w.needs[position] for w in active) + way.needs[position]
            if used > total.of(resource) + 1e-9:
                return False
    return True
