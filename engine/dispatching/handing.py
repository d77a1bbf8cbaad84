"""From whom a pipeline's server passes to whom: replaced, given back, taken up, rolled back.

Each function returns writes; the caller commits them together with what else changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.dispatching import orders
from engine.dispatching.desk import Desk, RunView
from engine.model.dispatches import Attempt, Deployment, Reason, TaskRun, TaskState
from engine.model.identifiers import Digest, RunId
from engine.model.records import (
    ATTEMPTS,
    DEPLOYMENTS,
    TASK_RUNS,
    Check,
    Delete,
    Put,
    Stored,
    Write,
)
from engine.model.specs import TaskKind, TaskSpec


@dataclass(frozen=True, slots=True)
class HandOver:
    """Writes after which the package of another run is wanted."""

    run_id: RunId
    writes: tuple[Write, ...]


def fall_back(desk: Desk, stored: Stored[Deployment], now: float) -> tuple[Write, ...]:
    """Return the writes that want what still serves, none when that is of no other run."""
    deployment = stored.value
    if deployment.serving in {None, deployment.wanted}:
        return ()
    back = give_back(desk, stored, Digest(str(deployment.serving)), now)
    return back.writes if back is not None else ()


def take_up(desk: Desk, stored: Stored[Deployment], now: float) -> tuple[Write, ...]:
    """Return the writes that want the newest package that gave way to another one.

    None when there is no such package. One that was rolled back or withdrawn is not taken up,
    nor is one from before a person last withdrew what served.
    """
    deployment = stored.value
    tasks = desk.ledger.select(TASK_RUNS, where={"pipeline": deployment.pipeline})
    servers = [task for task in tasks if task.value.kind is TaskKind.SERVE]
    withdrawn_at = max(
        (
            task.value.ended_at or 0.0
            for task in servers
            if task.value.state is TaskState.CANCELLED and task.value.started_at is not None
        ),
        default=0.0,
    )
    gave_way = [
        (run.value.created_at, run, task)
        for task in servers
        if task.value.reason is Reason.REPLACED and (task.value.ended_at or 0.0) > withdrawn_at
        if (run := desk.run(task.value.run_id)) is not None
    ]
    for _, run, task in sorted(gave_way, key=lambda each: each[0], reverse=True):
        view = desk.view(run)
        digest = package(view, view.spec.task(task.value.task))
        if digest is not None and digest != deployment.wanted:
            return _given(desk, stored, task, digest, now).writes
    return ()


def no_deployment(stored: Stored[Deployment]) -> tuple[Write, ...]:
    """Return the writes after which a pipeline has no server; one that runs is stopped then."""
    pipeline = stored.value.pipeline
    return (Check(DEPLOYMENTS, pipeline, stored.version), Delete(DEPLOYMENTS, pipeline))


def give_back(
    desk: Desk, stored: Stored[Deployment], digest: Digest, now: float
) -> HandOver | None:
    """Return how the package of another run, which owns the server then, becomes wanted."""
    deployment = stored.value
    owner = _serve_task(desk, deployment, digest)
    if owner is None:
        return None
    return _given(desk, stored, owner, digest, now)


def _given(
    desk: Desk, stored: Stored[Deployment], owner: Stored[TaskRun], digest: Digest, now: float
) -> HandOver:
    deployment = stored.value
    found = desk.ledger.get(ATTEMPTS, deployment.attempt_id or "")
    wanted = replace(
        deployment,
        wanted=digest,
        run_id=owner.value.run_id,
        task=owner.value.task,
        unanswered=0,
        next_swap_at=None,
    )
    writes = (
        Put(DEPLOYMENTS, wanted, stored.version),
        Put(TASK_RUNS, serving(owner.value, now, found.value if found else None), owner.version),
    )
    return HandOver(owner.value.run_id, writes)


def _serve_task(desk: Desk, deployment: Deployment, digest: Digest) -> Stored[TaskRun] | None:
    """Return the serve task of another run that wrote a package, the newest of them."""
    tasks = desk.ledger.select(TASK_RUNS, where={"pipeline": deployment.pipeline})
    makers = {
        each.value.run_id
        for each in tasks
        if each.value.kind is TaskKind.PACKAGE and orders.package_digest(each.value) == digest
    }
    servers = [
        each
        for each in tasks
        if each.value.kind is TaskKind.SERVE
        and each.value.run_id in makers - {deployment.run_id}
        # What was withdrawn never comes back.
        and each.value.state is not TaskState.CANCELLED
    ]
    return max(servers, key=lambda each: each.value.started_at or 0.0, default=None)


def handed_over(
    desk: Desk, former: Deployment, now: float, reason: Reason = Reason.REPLACED
) -> list[Write]:
    """Return the write that ends the serve task of the run that wanted something before."""
    stored = desk.task_run(former.run_id, former.task)
    if stored is None or stored.value.state.is_terminal:
        return []
    over = ended(stored.value, TaskState.SUCCEEDED, reason, now)
    return [Put(TASK_RUNS, over, stored.version)]


def package(view: RunView, task: TaskSpec) -> Digest | None:
    """Return what the first task before a serve task that succeeded has packaged."""
    before = (view.tasks[name].value for name in task.after)
    made = (orders.package_digest(run) for run in before if run.state is TaskState.SUCCEEDED)
    return next((digest for digest in made if digest), None)


def serving(task: TaskRun, now: float, server: Attempt | None) -> TaskRun:
    """Return a serve task whose model another run's server takes in."""
    return replace(
        task,
        cluster=server.cluster if server else task.cluster,
        pool=server.pool if server else task.pool,
        state=TaskState.RUNNING,
        reason=Reason.NONE,
        message="",
        waiting_for=(),
        started_at=now,
        ended_at=None,
    )


def ended(
    task: TaskRun, state: TaskState, reason: Reason, now: float, message: str = ""
) -> TaskRun:
    """Return a task that is over."""
    return replace(task, state=state, reason=reason, message=message, waiting_for=(), ended_at=now)
