"""What each pipeline is promised: when its tasks end, with what probability in time, at what cost.

The pipeline graph is run `SCENARIOS` times: each task starts when those it waits for have ended,
and not before its planned start where it waits for room. Branches are taken as in
`placement.problem.branches`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.model.identifiers import MicroDollars
from engine.model.plans import Assignment, Promise
from engine.model.profiles import Quantiles
from engine.model.specs import PipelineSpec, TaskKind, TaskSpec
from placement.problem import lateness
from placement.problem.branches import branches_of, in_order
from placement.problem.building import running_end_ms
from placement.problem.instance import MILLISECONDS, Instance, Job, Line
from placement.problem.scenarios import SCENARIOS, Values, generator, levels, values
from placement.search import draft as drafts
from placement.search.draft import Draft


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Instants of one task over all scenarios: its start at P50, its end at P50 and P95."""

    start: float
    end_p50: float
    end_p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """One pipeline over all scenarios.

    times: by task; keep: share of scenarios in which all placed tasks but serve end by the
        deadline, None without one. keep_whole: the same, where no task that runs lacks a place.
    end_at_keep: seconds after `as_of` by which they end with the probability asked.
    cost_p95: of a run, in micro-dollars.
    """

    times: Mapping[str, Times]
    keep: float | None
    keep_whole: float | None
    end_at_keep: float
    cost_p95: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A task in the simulation: earliest start and duration in seconds after `as_of`."""

    floor: float
    duration: Values
    dollars_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """One pipeline in every scenario; each mapping is by task.

    at, taken: its level, and whether it runs, in each scenario; starts, ends: seconds after
        `as_of`, and runs: what was simulated, of tasks that have a place or run already.
    """

    at: Mapping[str, Values]
    taken: Mapping[str, np.ndarray]
    runs: Mapping[str, _Run]
    starts: Mapping[str, Values]
    ends: Mapping[str, Values]


def replay(instance: Instance, plan: Draft, line: Line, seed: int) -> Replay:
    """Run one pipeline through the scenarios."""
    chance = generator(seed, "promise", line.spec.name)
    tasks = in_order(line.spec.tasks)
    at = levels([task.kind.value for task in tasks], chance)
    by_name: dict[str, Values] = {task.name: at[:, column] for column, task in enumerate(tasks)}
    known = _runs(instance, plan, line, tasks, by_name)
    taken = _worlds(line.spec, chance)
    starts: dict[str, Values] = {}
    ends: dict[str, Values] = {}
    for task in tasks:
        run = known.get(task.name)
        if run is not None:
            starts[task.name] = _starts(run, task, taken, ends)
            ends[task.name] = starts[task.name] + run.duration
    return Replay(at=by_name, taken=taken, runs=known, starts=starts, ends=ends)


def elsewhere(instance: Instance, seen: Replay, moved: Draft, job: Job) -> tuple[float, float]:
    """Return when a job would start (P50) and end (P95) in a plan in which it is moved.

    seen: the pipeline before the move, which moves none of the tasks that the job waits for.
    """
    run = _placed(moved, job, seen.at[job.spec.name])
    starts = _starts(run, job.spec, seen.taken, seen.ends)
    start, end = np.quantile(starts, 0.5), np.quantile(starts + run.duration, 0.95)
    return instance.as_of + _rounded(start), instance.as_of + _rounded(end)


def outlook(instance: Instance, plan: Draft, line: Line, seed: int) -> Outlook:
    """Return what is seen of one pipeline over all scenarios."""
    seen = replay(instance, plan, line, seed)
    last = np.zeros(SCENARIOS)
    cost = np.zeros(SCENARIOS)
    # A run that needs a task without a place does not end, whatever the deadline.
    homeless = {instance.jobs[i].spec.name for i in line.jobs if i not in plan.options}
    ends_at_all = np.ones(SCENARIOS, dtype=bool)
    for task in in_order(line.spec.tasks):
        run, taken = seen.runs.get(task.name), seen.taken[task.name]
        if run is None:
            if task.name in homeless and task.kind is not TaskKind.SERVE:
                ends_at_all &= ~taken
            continue
        cost += np.where(taken, run.duration * run.dollars_per_second, 0.0)
        if task.kind is not TaskKind.SERVE:
            last = np.maximum(last, np.where(taken, seen.ends[task.name], 0.0))
    deadline = line.deadline_ms
    in_time = last * MILLISECONDS <= (deadline or 0) + 1e-6
    kept = None if deadline is None else float(np.mean(in_time))
    moves = sum(drafts.moved(instance, plan.options, _edges(instance, line)))
    return Outlook(
        times={name: _times(instance, seen.starts[name], seen.ends[name]) for name in seen.starts},
        keep=kept,
        keep_whole=None if deadline is None else float(np.mean(in_time & ends_at_all)),
        end_at_keep=float(np.quantile(last, line.spec.sla.keep, method="higher")),
        cost_p95=round(float(np.quantile(cost, 0.95))) + moves,
    )


def _starts(
    run: _Run, task: TaskSpec, taken: Mapping[str, np.ndarray], ends: Mapping[str, Values]
) -> Values:
    """Return the starts of a task: once those it waits for have ended, where they run."""
    before = [np.where(taken[u], ends[u], 0.0) for u in task.after if u in ends]
    return np.asarray(np.maximum.reduce([np.full(SCENARIOS, run.floor), *before]))


def promise(instance: Instance, plan: Draft, line: Line, seen: Outlook) -> Promise:
    """Return what a pipeline asked for and what it gets."""
    late_seconds, late_price = _lateness(instance, plan, line)
    jobs = [instance.jobs[index] for index in line.jobs if index in plan.options]
    serving = [plan.options[job.index] for job in jobs if job.serve]
    ending: int = sum(plan.options[job.index].cost for job in jobs if not job.serve)
    ending += sum(drafts.moved(instance, plan.options, _edges(instance, line)))
    ending += _running_cost(instance, line, serve=False)
    hourly = sum(option.cost for option in serving) + _running_cost(instance, line, serve=True)
    latencies = [o.latency_ms for o in serving if o.latency_ms is not None]
    availabilities = [o.availability for o in serving if o.availability is not None]
    return Promise(
        pipeline=line.spec.name,
        deadline_seconds=(None if line.deadline_ms is None else instance.instant(line.deadline_ms)),
        keep_asked=line.spec.sla.keep,
        keep_forecast=seen.keep_whole,
        run_cost_micro_dollars=MicroDollars(ending),
        run_cost_micro_dollars_p95=MicroDollars(max(seen.cost_p95, ending)),
        serving_micro_dollars_per_hour=MicroDollars(hourly),
        latency_ms_p99=max(latencies, default=None),
        availability=min(availabilities, default=None),
        late_seconds=late_seconds,
        late_micro_dollars=late_price,
    )


def _lateness(instance: Instance, plan: Draft, line: Line) -> tuple[float, MicroDollars | None]:
    """Return by how much a pipeline is late, and what that costs where it has a price."""
    if not line.jobs:
        return 0.0, MicroDollars(0) if line.late_price else None
    number = instance.jobs[line.jobs[0]].line
    late = lateness.late_ms(instance, plan.options, plan.starts, number)
    price = MicroDollars(lateness.price(instance, number, late)) if line.late_price else None
    return late / MILLISECONDS, price


def _running_cost(instance: Instance, line: Line, *, serve: bool) -> int:
    """Return what running tasks of a pipeline cost: services by the hour, others for their run."""
    running = [a for a in instance.fixed if a.pipeline == line.spec.name]
    return sum(a.cost_micro_dollars for a in running if (a.end_seconds_p95 is None) == serve)


def _edges(instance: Instance, line: Line) -> Sequence[int]:
    return instance.line_edges[instance.jobs[line.jobs[0]].line] if line.jobs else ()


def _runs(
    instance: Instance,
    plan: Draft,
    line: Line,
    tasks: Sequence[TaskSpec],
    at: Mapping[str, Values],
) -> dict[str, _Run]:
    """Return what is simulated: placed tasks, and running ones with what is left of them."""
    jobs = {instance.jobs[i].spec.name: instance.jobs[i] for i in line.jobs if i in plan.options}
    running = {a.task: a for a in instance.fixed if a.pipeline == line.spec.name}
    known: dict[str, _Run] = {}
    for task in tasks:
        if task.name in jobs:
            known[task.name] = _placed(plan, jobs[task.name], at[task.name])
        elif task.name in running:
            known[task.name] = _running(instance, running[task.name], at[task.name])
    return known


def _placed(plan: Draft, job: Job, at: Values) -> _Run:
    option, start = plan.options[job.index], plan.starts[job.index]
    waits = start > drafts.ready_ms(job, plan)
    floor = (start if waits else job.release_ms) / MILLISECONDS
    if option.duration is None:
        return _Run(floor=floor, duration=np.zeros(SCENARIOS), dollars_per_second=0.0)
    rate = option.cost_p95 / option.duration.p95 if option.duration.p95 > 0 else 0.0
    return _Run(floor=floor, duration=values(option.duration, at), dollars_per_second=rate)


def _running(instance: Instance, assignment: Assignment, at: Values) -> _Run:
    """Return what is left of a running task: its quantiles from `as_of` on."""
    if assignment.end_seconds_p50 is None:
        return _Run(floor=0.0, duration=np.zeros(SCENARIOS), dollars_per_second=0.0)
    high = running_end_ms(assignment, instance.as_of) / MILLISECONDS
    middle = min(max(assignment.end_seconds_p50 - instance.as_of, 0.0), high)
    left = Quantiles(p50=middle, p80=(middle + high) / 2, p90=high, p95=high, p99=high)
    return _Run(floor=0.0, duration=values(left, at), dollars_per_second=0.0)


def _worlds(pipeline: PipelineSpec, chance: np.random.Generator) -> dict[str, np.ndarray]:
    """Return by task in which scenarios it runs."""
    branches = branches_of(pipeline)
    count = len(next(iter(branches.runs.values())))
    drawn = chance.integers(count, size=SCENARIOS)
    return {name: np.array(worlds)[drawn] for name, worlds in branches.runs.items()}


def _times(instance: Instance, starts: Values, ends: Values) -> Times:
    return Times(
        start=instance.as_of + _rounded(np.quantile(starts, 0.5)),
        end_p50=instance.as_of + _rounded(np.quantile(ends, 0.5)),
        end_p95=instance.as_of + _rounded(np.quantile(ends, 0.95)),
    )


def _rounded(seconds: np.floating) -> float:
    return round(float(seconds), 3)
