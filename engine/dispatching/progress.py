"""States and forecast ends of runs, read from the store; changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.dispatching import forecasts
from engine.dispatching.admission import pool_of
from engine.dispatching.desk import HOLDING, spec_of, stored_plan
from engine.dispatching.forecasts import Span
from engine.model.dispatches import Attempt, Run, RunState, TaskRun, TaskState
from engine.model.identifiers import PlanId, TaskName
from engine.model.plans import Plan, task_key
from engine.model.profiles import Quantiles
from engine.model.progress import RunStatus, TaskStatus
from engine.model.records import ATTEMPTS, DEPLOYMENTS, RUNS, TASK_RUNS
from engine.model.remedies import Remedy
from engine.model.specs import PipelineSpec, TaskKind
from engine.ports import Ledger

_MEDIAN = 0.50
_LATE = 0.95
_RUNS_SHOWN = 50

Spans = Mapping[TaskName, Span]


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads what a status needs; each plan once."""

    ledger: Ledger
    now: float
    plans: dict[PlanId, Plan] = field(default_factory=dict)

    def plan(self, run: Run) -> Plan:
        if run.plan_id not in self.plans:
            self.plans[run.plan_id] = stored_plan(self.ledger, run)
        return self.plans[run.plan_id]

    def tasks(self, run: Run) -> dict[TaskName, TaskRun]:
        found = self.ledger.select(TASK_RUNS, where={"run_id": run.run_id})
        return {stored.value.task: stored.value for stored in found}


def status(ledger: Ledger, now: float) -> tuple[RunStatus, ...]:
    """Return the newest 50 runs, newest first, with the state and forecast of each task.

    now: seconds since 1970, from which what is left is counted.
    """
    reader = _Reader(ledger, now)
    newest = ledger.select(RUNS, order_by="created_at", descending=True, limit=_RUNS_SHOWN)
    live = [stored.value for stored in ledger.select(ATTEMPTS, where={"state": HOLDING})]
    free = {level: _free_at(reader, live, level) for level in (_MEDIAN, _LATE)}
    return tuple(_run_status(reader, stored.value, free) for stored in newest)


def _free_at(reader: _Reader, live: list[Attempt], level: float) -> dict[str, float | None]:
    """Return when each attempt that holds capacity will end, by `PIPELINE/TASK`."""
    ends: dict[str, float | None] = {}
    for attempt in live:
        run = reader.ledger.get(RUNS, attempt.run_id)
        if run is not None:
            plan = reader.plan(run.value)
            seconds = duration(plan, attempt.pipeline, attempt.task, attempt.pool)
            started_at = attempt.started_at or attempt.intended_at
            ends[task_key(attempt.pipeline, attempt.task)] = forecasts.running_end(
                started_at, seconds, now=reader.now, level=level
            )
    return ends


def _run_status(
    reader: _Reader, run: Run, free: Mapping[float, Mapping[str, float | None]]
) -> RunStatus:
    plan = reader.plan(run)
    spec = spec_of(plan, run.pipeline)
    tasks = reader.tasks(run)
    durations = {
        name: duration(plan, run.pipeline, name, task.pool) for name, task in tasks.items()
    }
    spans = {
        level: forecasts.spans(spec, tasks, durations, free[level], now=reader.now, level=level)
        for level in free
    }
    deployment = reader.ledger.get(DEPLOYMENTS, run.pipeline)
    remedies = _remedies(reader, run, tasks)
    active = run.state is RunState.ACTIVE
    return RunStatus(
        run=run,
        tasks=tuple(
            _task_status(
                plan, tasks[task.name], (spans[_MEDIAN], spans[_LATE]), remedies.get(task.name)
            )
            for task in spec.tasks
        ),
        end_seconds_p50=end(spec, spans[_MEDIAN]) if active else None,
        end_seconds_p95=end(spec, spans[_LATE]) if active else None,
        deadline_seconds=next(
            (
                promise.deadline_seconds
                for promise in plan.placement.promises
                if promise.pipeline == run.pipeline
            ),
            None,
        ),
        endpoint=deployment.value.endpoint if deployment else "",
    )


def _remedies(reader: _Reader, run: Run, tasks: Mapping[TaskName, TaskRun]) -> dict[str, Remedy]:
    """Return the newest remedy of each task that failed, or was tried more than once."""
    troubled = (
        task.attempt > 1 or task.state is TaskState.FAILED or task.not_before is not None
        for task in tasks.values()
    )
    if not any(troubled):
        return {}
    found = reader.ledger.select(ATTEMPTS, where={"run_id": run.run_id}, order_by="intended_at")
    return {s.value.task: s.value.remedy for s in found if s.value.remedy is not None}


def _task_status(
    plan: Plan, task: TaskRun, spans: tuple[Spans, Spans], remedy: Remedy | None
) -> TaskStatus:
    median, late = spans
    assignment = plan.assignment(task.pipeline, task.task)
    p50, p95 = median[task.task], late[task.task]
    open_ended = not task.state.is_terminal
    waits = task.state is TaskState.WAITING
    return TaskStatus(
        task=task.task,
        kind=task.kind,
        state=task.state,
        reason=task.reason,
        message=task.message,
        waiting_for=task.waiting_for,
        attempt=task.attempt,
        cluster=task.cluster or (assignment.cluster if assignment else None),
        pool=task.pool or (assignment.pool if assignment else None),
        started_at=task.started_at,
        ended_at=task.ended_at,
        start_seconds_p50=p50.start if waits else None,
        start_seconds_p95=p95.start if waits else None,
        end_seconds_p50=p50.end if open_ended else None,
        end_seconds_p95=p95.end if open_ended else None,
        remedy=remedy,
    )


def duration(plan: Plan, pipeline: str, task: str, pool: str | None) -> Quantiles | None:
    """Return how long a task takes where it runs, else where the plan puts it."""
    profile = plan.profiles.get(task_key(pipeline, task))
    assignment = plan.assignment(pipeline, task)
    if profile is None or profile.duration_seconds is None or assignment is None:
        return None
    gpus = assignment.held.gpu_count
    place = pool_of(plan.request.fleet, assignment.cluster, pool or assignment.pool)
    return profile.duration_seconds.times(1.0 / place.speed_of(gpus) if place else 1.0)


def end(spec: PipelineSpec, spans: Spans) -> float | None:
    """Return when the last task but serving ends; None when nobody can tell."""
    ends = [spans[task.name].end for task in spec.tasks if task.kind is not TaskKind.SERVE]
    known = [end for end in ends if end is not None]
    return max(known, default=None) if len(known) == len(ends) else None
