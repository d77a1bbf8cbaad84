"""Runs that are over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from engine.dispatching import news
from engine.dispatching.desk import Desk, RunView
from engine.model.dispatches import (
    Deployment,
    Run,
    RunState,
    TaskRun,
    TaskState,
)
from engine.model.identifiers import RunId
from engine.model.records import (
    DEPLOYMENTS,
    EVENTS,
    RUNS,
    TASK_RUNS,
    Check,
    Put,
    task_run_key,
)
from engine.model.specs import TaskKind


def end_runs(desk: Desk, views: Mapping[RunId, RunView]) -> bool:
    """End every run of which nothing can change any more; return whether one ended.

    views: of runs, as this step left them; those that go on by them are not read again.
    """
    changed = False
    for stored in desk.ledger.select(RUNS, where={"state": RunState.ACTIVE.value}):
        run = stored.value
        if run.run_id in views and _goes_on(views[run.run_id]):
            continue
        tasks = desk.ledger.select(TASK_RUNS, where={"run_id": run.run_id})
        deployment = desk.ledger.get(DEPLOYMENTS, run.pipeline)
        served = deployment.value if deployment else None
        over = verdict(run, [task.value for task in tasks], served)
        if over is None:
            continue
        now = desk.clock.now()
        ended = replace(over, ended_at=now)
        unchanged = [
            Check(TASK_RUNS, task_run_key(run.run_id, task.value.task), task.version)
            for task in tasks
        ]
        changed |= desk.commit(
            f"dispatch.run-ended:{run.pipeline}",
            Put(RUNS, ended, stored.version),
            Put(EVENTS, news.run_ended(ended, now)),
            *unchanged,
        )
    return changed


def _goes_on(view: RunView) -> bool:
    """Return whether a run has a task that waits or runs; what serves may do so for ever."""
    return any(
        not each.value.state.is_terminal and each.value.kind is not TaskKind.SERVE
        for each in view.tasks.values()
    )


def verdict(run: Run, tasks: Sequence[TaskRun], deployment: Deployment | None) -> Run | None:
    """Return the run with the state it ends in, or None while it goes on. Pure.

    deployment: of its pipeline; a serve task is over once its package serves.
    """
    if not all(task.state.is_terminal or _serves(task, deployment) for task in tasks):
        return None
    failed = [task for task in tasks if task.state is TaskState.FAILED]
    if not failed:
        return replace(run, state=RunState.SUCCEEDED)
    first = failed[0]
    why = first.message or first.reason.value
    return replace(run, state=RunState.FAILED, reason=f"{first.task}: {why}")


def _serves(task: TaskRun, deployment: Deployment | None) -> bool:
    return (
        task.kind is TaskKind.SERVE
        and task.state is TaskState.RUNNING
        and deployment is not None
        and deployment.run_id == task.run_id
        and deployment.serving == deployment.wanted
    )
