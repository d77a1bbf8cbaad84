"""From a plan request with profiles to an instance of whole numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from engine.model.fleet import Cluster, Pool
from engine.model.plans import (
    Assignment,
    Mode,
    PlacementProblem,
    PlanRequest,
    Reservation,
    task_key,
)
from engine.model.resources import Resource, Resources
from engine.model.specs import BudgetPeriod, PipelineSpec, TaskKind, TaskSpec
from placement.problem import bonds, transfers
from placement.problem.branches import branches_of, in_order
from placement.problem.candidates import HOUR_SECONDS, Asked, Kinds, options_of
from placement.problem.deadlines import instant_of
from placement.problem.instance import (
    COUNTED,
    MILLISECONDS,
    Amounts,
    Bucket,
    Edge,
    Frame,
    Instance,
    Job,
    Line,
    Option,
    Span,
)
from placement.problem.interruptions import longest_seconds

DAYS_PER_MONTH = 30
WEIGHT_UNITS = 1_000
"""Weights are told apart to a thousandth."""
UNLIMITED = 10**15
LONGEST_CALENDAR_MS = 14 * 24 * 3_600 * MILLISECONDS
"""Services are looked at by the hour for so long at most, unless the horizon asks for more."""

STILL_RUNNING_SHARE = 0.1
"""A running task that is past its P95 is given so much of its median run to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the search settles before the solver: the level of each pipeline, lambda by pool.

    slacks_ms: by pipeline, as of a line.
    """

    levels: Mapping[str, float] = field(default_factory=dict)
    shares: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    slacks_ms: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    """The fleet with its indices; `quota_index` is by owner, then by pool; `kinds`: tasks alike."""

    pools: tuple[tuple[Cluster, Pool], ...]
    frame: Frame
    quota_index: Mapping[str, Mapping[int, int]]
    kinds: Kinds


def build(problem: PlacementProblem, terms: Terms) -> Instance:
    """Return the instance of a problem under the given terms."""
    request = problem.request
    site = _site(problem, terms)
    jobs: list[Job] = []
    lines: list[Line] = []
    edges: list[Edge] = []
    for pipeline in request.pipelines:
        line = _line(pipeline, request, terms, first_job=len(jobs))
        lines.append(line)
        added = _jobs(problem, site, line, number=len(lines) - 1)
        edges.extend(_edges(pipeline, added, request))
        jobs.extend(added)
    job_edges: list[list[int]] = [[] for _ in jobs]
    line_edges: list[list[int]] = [[] for _ in lines]
    for index, edge in enumerate(edges):
        line_edges[jobs[edge.target].line].append(index)
        for end in {edge.source, edge.target} - {-1}:
            job_edges[end].append(index)
    return Instance(
        frame=site.frame,
        quotas=site.quota_index,
        jobs=bonds.bound(request, jobs, site.pools),
        lines=tuple(lines),
        pools=site.pools,
        buckets=_buckets(request, site),
        edges=tuple(edges),
        job_edges=tuple(map(tuple, job_edges)),
        line_edges=tuple(map(tuple, line_edges)),
        fixed=request.fixed,
        whole=request.whole,
        budget=request.budget_micro_dollars if request.mode is Mode.MOST_SLA else None,
    )


def with_memory(instance: Instance, job: Job, memory_gib: float) -> tuple[Option, ...]:
    """Return the options a job would have if its author insisted on so much memory."""
    line = instance.lines[job.line]
    asked = Asked(
        pipeline=line.spec,
        task=replace(job.spec, wishes=replace(job.spec.wishes, memory_gib=memory_gib)),
        profile=job.profile,
        level=line.level,
        probability=job.probability,
        moved_from=job.moved_from,
    )
    quotas = instance.quotas.get(line.spec.owner, {})
    return options_of(asked, instance.frame, instance.pools, quotas)[0]


def level_of(pipeline: PipelineSpec, terms: Terms) -> float:
    """Return the quantile at which runs of this pipeline are planned."""
    return terms.levels.get(pipeline.name, pipeline.sla.keep)


def open_tasks(pipeline: PipelineSpec, request: PlanRequest) -> list[TaskSpec]:
    """Return the tasks that need a place, each after those it waits for."""
    placed = {a.task for a in request.fixed if a.pipeline == pipeline.name}
    settled = placed | set(request.done.get(pipeline.name, ()))
    return [task for task in in_order(pipeline.tasks) if task.name not in settled]


def _site(problem: PlacementProblem, terms: Terms) -> _Site:
    request = problem.request
    pools = tuple((c, p) for c in request.fleet.clusters for p in c.pools)
    horizon_ms = round(request.horizon_hours * HOUR_SECONDS * MILLISECONDS)
    end_ms = _end_ms(problem, horizon_ms)
    frame = Frame(
        as_of=request.as_of,
        end_ms=end_ms,
        serving_end_ms=min(end_ms, max(2 * horizon_ms, LONGEST_CALENDAR_MS)),
        horizon_ms=horizon_ms,
        serving_hours=request.horizon_hours,
        shares=terms.shares,
    )
    return _Site(pools=pools, frame=frame, quota_index=_quotas(request, pools), kinds={})


def _quotas(
    request: PlanRequest, pools: Sequence[tuple[Cluster, Pool]]
) -> dict[str, dict[int, int]]:
    """Return by owner, then by pool, the bucket of a quota; buckets of quotas follow the pools'."""
    limited = [
        (pipeline_owner, cluster.name)
        for pipeline_owner in dict.fromkeys(pipeline.owner for pipeline in request.pipelines)
        for cluster in request.fleet.clusters
        if cluster.quota.get(pipeline_owner)
    ]
    quotas: dict[str, dict[int, int]] = {}
    for bucket, (owner, name) in enumerate(limited, start=len(pools)):
        here = [index for index, (cluster, _) in enumerate(pools) if cluster.name == name]
        quotas.setdefault(owner, {}).update(dict.fromkeys(here, bucket))
    return quotas


def _end_ms(problem: PlacementProblem, horizon_ms: int) -> int:
    """Return the end of the time that is looked at: late enough for all runs one by one."""
    request = problem.request
    total = sum(_longest_seconds(problem))
    last = request.as_of + total
    for pipeline in request.pipelines:
        if pipeline.sla.earliest_start is not None:
            last = max(last, instant_of(pipeline.sla.earliest_start, request.as_of) + total)
        if pipeline.sla.deadline is not None:
            last = max(last, instant_of(pipeline.sla.deadline, request.as_of))
    return max(horizon_ms, math.ceil((last - request.as_of) * MILLISECONDS)) + horizon_ms


def _longest_seconds(problem: PlacementProblem) -> Iterator[float]:
    """Yield how long each run may last on any pool, with the tries that it may lose there."""
    pools = [pool for cluster in problem.request.fleet.clusters for pool in cluster.pools]
    slowest = min((min(p.speed, p.speed_of(1)) for p in pools), default=1.0)
    rates = {(min(p.speed, p.speed_of(1)), p.interruptions_per_hour) for p in pools}
    fleeting = sorted((speed, rate) for speed, rate in rates if rate > 0)
    for profile in problem.profiles.values():
        span = profile.duration_seconds
        if span is not None:
            lost = (
                longest_seconds(span.times(1.0 / speed), rate, max(profile.replicas, 1))
                for speed, rate in fleeting
            )
            yield max([span.p99 / slowest, *lost])


def _line(pipeline: PipelineSpec, request: PlanRequest, terms: Terms, *, first_job: int) -> Line:
    deadline = pipeline.sla.deadline
    budget: int | None = pipeline.limits.budget_micro_dollars
    monthly = pipeline.limits.budget_period is BudgetPeriod.MONTH
    if budget is not None and monthly:
        budget = math.floor(budget / (DAYS_PER_MONTH * 24))
    serving = {task.name for task in pipeline.tasks if task.kind is TaskKind.SERVE}
    spent = sum(
        a.cost_micro_dollars
        for a in request.fixed
        if a.pipeline == pipeline.name and (a.task in serving) == monthly
    )
    count = len(open_tasks(pipeline, request))
    return Line(
        spec=pipeline,
        jobs=tuple(range(first_job, first_job + count)),
        deadline_ms=(
            None
            if deadline is None
            else math.floor((instant_of(deadline, request.as_of) - request.as_of) * MILLISECONDS)
        ),
        level=level_of(pipeline, terms),
        budget=budget,
        budget_is_serving=monthly,
        spent=spent,
        late_price=0 if deadline is None else pipeline.sla.late_micro_dollars_per_hour or 0,
        slack_ms=terms.slacks_ms.get(pipeline.name, 0),
    )


def _jobs(problem: PlacementProblem, site: _Site, line: Line, *, number: int) -> list[Job]:
    """Return the jobs of one pipeline, from its last task to its first and turned round."""
    request, pipeline = problem.request, line.spec
    tasks = open_tasks(pipeline, request)
    index = dict(zip((task.name for task in tasks), line.jobs, strict=True))
    branches = branches_of(pipeline)
    seats = branches.seats([task.name for task in tasks])
    ends = _running_ends(request, pipeline)
    earliest = _earliest_ms(pipeline, request)
    quotas = site.quota_index.get(pipeline.owner, {})
    after: dict[int, set[int]] = {job: set() for job in line.jobs}
    tails: dict[int, int] = dict.fromkeys(line.jobs, 0)
    jobs: list[Job] = []
    for task in reversed(tasks):
        job = index[task.name]
        key = task_key(pipeline.name, task.name)
        asked = Asked(
            pipeline=pipeline,
            task=task,
            profile=problem.profiles[key],
            level=line.level,
            probability=branches.probability(task.name),
            moved_from=request.moved_from.get(key, ""),
        )
        options, refused = options_of(asked, site.frame, site.pools, quotas, site.kinds)
        upstream = tuple(index[name] for name in task.after if name in index)
        shortest = min((option.duration_ms for option in options), default=0)
        for other in upstream:
            after[other] |= after[job] | {job}
            if not asked.serves:
                tails[other] = max(tails[other], tails[job] + shortest)
        hard = line.deadline_ms if pipeline.sla.has_hard_deadline else None
        until = site.frame.end_ms if hard is None else hard + line.slack_ms
        last_start = site.frame.serving_end_ms - site.frame.horizon_ms
        jobs.append(
            Job(
                index=job,
                key=key,
                line=number,
                spec=task,
                profile=asked.profile,
                upstream=upstream,
                descendants=tuple(sorted(after[job])),
                release_ms=max([earliest, *(ends.get(name, 0) for name in task.after)]),
                latest_ms=last_start if asked.serves else until,
                tail_ms=tails[job],
                serve=asked.serves,
                weight=_weight(pipeline, counts=not request.whole or job == line.jobs[0]),
                probability=asked.probability,
                seat=seats[task.name],
                options=options,
                refusals=refused,
                moved_from=asked.moved_from,
            )
        )
    return jobs[::-1]


def _weight(pipeline: PipelineSpec, *, counts: bool) -> int:
    """Return the weight of a job; of a pipeline that is placed whole its first job has it all."""
    return max(round(pipeline.sla.weight * WEIGHT_UNITS), 1) if counts else 0


def _earliest_ms(pipeline: PipelineSpec, request: PlanRequest) -> int:
    start = pipeline.sla.earliest_start
    if start is None:
        return 0
    return max(math.ceil((instant_of(start, request.as_of) - request.as_of) * MILLISECONDS), 0)


def _edges(pipeline: PipelineSpec, jobs: Sequence[Job], request: PlanRequest) -> list[Edge]:
    handed = transfers.volumes(pipeline.tasks)
    by_name = {job.spec.name: job for job in jobs}
    found = _from_elsewhere(pipeline, jobs, request, handed)
    return found + [
        Edge(
            source=by_name[name].index,
            target=job.index,
            volume_gib=handed[name],
            probability=job.probability,
        )
        for job in jobs
        for name in job.spec.after
        if name in by_name and handed[name] > 0
    ]


def _from_elsewhere(
    pipeline: PipelineSpec,
    jobs: Sequence[Job],
    request: PlanRequest,
    handed: Mapping[str, float],
) -> list[Edge]:
    """Return the data that lie somewhere already: stated inputs, and what running tasks make."""
    clusters = {str(cluster.name): cluster for cluster in request.fleet.clusters}
    running = {a.task: a.cluster for a in request.fixed if a.pipeline == pipeline.name}
    found: list[Edge] = []
    for job in jobs:
        places = [(job.spec.data_in, job.spec.volume_gib or 0.0)]
        places += [(running.get(name), handed[name]) for name in job.spec.after]
        found.extend(
            Edge(
                source=-1,
                target=job.index,
                volume_gib=volume,
                probability=job.probability,
                origin=clusters[name],
            )
            for name, volume in places
            if name in clusters and volume > 0
        )
    return found


def _running_ends(request: PlanRequest, pipeline: PipelineSpec) -> dict[str, int]:
    """Return when the running tasks of a pipeline end, in milliseconds after `as_of`."""
    running = [a for a in request.fixed if a.pipeline == pipeline.name]
    return {a.task: running_end_ms(a, request.as_of) for a in running}


def running_end_ms(assignment: Assignment, as_of: float) -> int:
    """Return when a running task ends at P95, and soon when that has passed already.

    A task that runs until it is replaced counts as ended: those that wait for it may start.
    """
    if assignment.end_seconds_p50 is None or assignment.end_seconds_p95 is None:
        return 0
    median = assignment.end_seconds_p50 - assignment.start_seconds
    soon = as_of + STILL_RUNNING_SHARE * median
    return math.ceil((max(assignment.end_seconds_p95, soon) - as_of) * MILLISECONDS)


def _buckets(request: PlanRequest, site: _Site) -> tuple[Bucket, ...]:
    owners = {pipeline.name: pipeline.owner for pipeline in request.pipelines}
    buckets = [_pool_bucket(request, site, cluster, pool) for cluster, pool in site.pools]
    for owner, by_pool in site.quota_index.items():
        for bucket in dict.fromkeys(by_pool.values()):
            pools = [site.pools[index] for index, of in by_pool.items() if of == bucket]
            cluster = pools[0][0]
            running = [
                a
                for a in request.fixed
                if owners.get(a.pipeline) == owner and a.cluster == cluster.name
            ]
            buckets.append(
                Bucket(
                    name=f"quota of {owner} in {cluster.name}",
                    capacity=_quota(cluster.quota[owner]),
                    base=tuple(_held(a, site.frame) for a in running),
                    base_nodes=(0,) * len(running),
                    node=_quota(cluster.quota[owner]),
                    node_count=1,
                )
            )
    return tuple(buckets)


def _pool_bucket(request: PlanRequest, site: _Site, cluster: Cluster, pool: Pool) -> Bucket:
    taken = _taken(request, site, cluster, pool)
    return Bucket(
        name=f"{cluster.name}/{pool.name}",
        capacity=_floor(pool.shape.resources.times(pool.node_count)),
        base=tuple(span for span, _ in taken),
        base_nodes=tuple(count for _, count in taken),
        node=_floor(pool.shape.resources),
        node_count=pool.node_count,
    )


def _taken(
    request: PlanRequest, site: _Site, cluster: Cluster, pool: Pool
) -> list[tuple[Span, int]]:
    """Return what others hold of a pool, each with the number of nodes it stands on."""
    ours = {
        task_key(pipeline.name, task.name)
        for pipeline in request.pipelines
        for task in pipeline.tasks
    }
    here = (cluster.name, pool.name)
    running = [
        (_held(a, site.frame), a.node_count) for a in request.fixed if (a.cluster, a.pool) == here
    ]
    others = [
        (_reserved(r, site.frame), int(_fits_one(r, pool)))
        for r in request.reservations
        if (r.cluster, r.pool) == here and r.holder not in ours
    ]
    return [taken for taken in (*running, *others) if taken[0].start_ms < taken[0].end_ms]


def _fits_one(reservation: Reservation, pool: Pool) -> bool:
    node = pool.shape.resources
    return all(reservation.held.of(r) <= node.of(r) for r in COUNTED)


def _held(assignment: Assignment, frame: Frame) -> Span:
    ends = assignment.end_seconds_p95 is not None
    return Span(
        start_ms=0,
        end_ms=running_end_ms(assignment, frame.as_of) if ends else frame.end_ms,
        amounts=_ceiling(assignment.held.times(assignment.node_count)),
    )


def _reserved(reservation: Reservation, frame: Frame) -> Span:
    start = math.floor((reservation.from_seconds - frame.as_of) * MILLISECONDS)
    until = reservation.to_seconds
    end = frame.end_ms
    if until is not None:
        end = min(math.ceil((until - frame.as_of) * MILLISECONDS), end)
    return Span(start_ms=max(start, 0), end_ms=end, amounts=_ceiling(reservation.held))


def _floor(amount: Resources) -> Amounts:
    return tuple(math.floor(amount.of(r) * MILLISECONDS + 1e-6) for r in COUNTED)


def _ceiling(amount: Resources) -> Amounts:
    return tuple(math.ceil(amount.of(r) * MILLISECONDS - 1e-6) for r in COUNTED)


def _quota(quota: Mapping[Resource, float]) -> Amounts:
    return tuple(
        math.floor(quota[r] * MILLISECONDS + 1e-6) if r in quota else UNLIMITED for r in COUNTED
    )
