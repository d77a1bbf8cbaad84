"""What each pipeline serves: brings the model that serves to the one that is wanted.

A pipeline has one server. A newer run takes it over by changing what is wanted, which is a hot
swap; the server's process stays the attempt of the run that started it. When the server is lost,
the run whose package is wanted starts another.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.dispatching import news, orders
from engine.dispatching.desk import Desk, RunView
from engine.model.dispatches import Attempt, Deployment, Reason, RunState, TaskRun, TaskState
from engine.model.errors import FinalError, RetryableError
from engine.model.identifiers import AttemptId, Digest, RunId
from engine.model.records import (
    ATTEMPTS,
    DEPLOYMENTS,
    EVENTS,
    TASK_RUNS,
    Check,
    Delete,
    Put,
    Stored,
    Write,
)
from engine.model.specs import TaskKind, TaskSpec

_LOG = logging.getLogger(__name__)

Live = Mapping[AttemptId, Stored[Attempt]]


@dataclass(frozen=True, slots=True)
class HandOver:
    """Writes after which the package of another run is wanted."""

    run_id: RunId
    writes: tuple[Write, ...]


def want(desk: Desk, view: RunView, task: TaskSpec, live: Live) -> bool:
    """Make the package of a run the wanted one, for a serve task that may start.

    A server that is up already is taken over: the task runs from here on. A run that is older
    than the one whose package is wanted gives way.
    """
    now = desk.clock.now()
    stored = view.tasks[task.name]
    package = _package(view, task)
    if package is None:
        message = "no task before it wrote a package"
        failed = _ended(stored.value, TaskState.FAILED, Reason.BAD_INPUT, now, message)
        return desk.commit(f"deploy.want:{view.spec.name}", Put(TASK_RUNS, failed, stored.version))
    former = desk.ledger.get(DEPLOYMENTS, view.spec.name)
    if former is not None and _is_newer(desk, former.value.run_id, view):
        message = f"run {former.value.run_id} serves a newer model"
        gives_way = _ended(stored.value, TaskState.SKIPPED, Reason.REPLACED, now, message)
        write = Put(TASK_RUNS, gives_way, stored.version)
        return desk.commit(f"deploy.want:{view.spec.name}", write)
    if former is None:
        first = Deployment(
            pipeline=view.spec.name, task=task.name, run_id=view.run.run_id, wanted=package
        )
        return desk.commit(f"deploy.want:{view.spec.name}", Put(DEPLOYMENTS, first, 0))
    taken = replace(former.value, task=task.name, run_id=view.run.run_id, wanted=package)
    writes: list[Write] = [Put(DEPLOYMENTS, taken, former.version)]
    writes += _handed_over(desk, former.value, now)
    server = live.get(former.value.attempt_id) if former.value.attempt_id else None
    if server is not None:
        serving = _serving(stored.value, now, server.value)
        writes.append(Put(TASK_RUNS, serving, stored.version))
    return desk.commit(f"deploy.want:{view.spec.name}", *writes)


def reconcile(desk: Desk, live: Live) -> bool:
    """Do what each deployment needs next; return whether anything changed."""
    changed = False
    for stored in desk.ledger.select(DEPLOYMENTS):
        changed |= _reconcile(desk, stored, live)
    return changed


def roll_back(desk: Desk, stored: Stored[Deployment]) -> HandOver | None:
    """Return how the model before the present one becomes the wanted one again.

    None when there was none, or when its run is not known any more.
    """
    previous = stored.value.previous
    if previous is None:
        return None
    now = desk.clock.now()
    back = _give_back(desk, stored, previous, now)
    if back is None:
        return None
    return HandOver(back.run_id, (*back.writes, *_handed_over(desk, stored.value, now)))


def _reconcile(desk: Desk, stored: Stored[Deployment], live: Live) -> bool:
    deployment = stored.value
    owner = desk.task_run(deployment.run_id, deployment.task)
    if owner is None or owner.value.state is TaskState.CANCELLED:
        return _without_owner(desk, stored, live)
    server = live.get(deployment.attempt_id) if deployment.attempt_id else None
    if server is None:
        noted = deployment.attempt_id is None and owner.value.state is not TaskState.RUNNING
        return False if noted else _down(desk, stored, owner)
    if not server.value.endpoint:
        return False
    if deployment.serving == deployment.wanted and deployment.endpoint == server.value.endpoint:
        return False
    return _swap(desk, stored, owner, server.value.endpoint)


def _down(desk: Desk, stored: Stored[Deployment], owner: Stored[TaskRun]) -> bool:
    """Note that the server is gone; the run whose package is wanted starts another."""
    deployment = stored.value
    served = deployment.serving not in {None, deployment.wanted}
    down = replace(
        deployment,
        attempt_id=None,
        endpoint="",
        serving=None,
        previous=deployment.serving if served else deployment.previous,
    )
    writes: list[Write] = [Put(DEPLOYMENTS, down, stored.version)]
    if owner.value.state is TaskState.RUNNING:
        waits = replace(owner.value, state=TaskState.WAITING, reason=Reason.KILLED)
        writes.append(Put(TASK_RUNS, waits, owner.version))
    return desk.commit(f"deploy.down:{deployment.pipeline}", *writes)


def _swap(desk: Desk, stored: Stored[Deployment], owner: Stored[TaskRun], endpoint: str) -> bool:
    """Have the server serve what is wanted, and store what it serves."""
    target = replace(stored.value, endpoint=endpoint)
    try:
        digest = desk.servers.swap(target)
    except RetryableError as error:
        _LOG.warning("the server of %s did not swap: %s", target.pipeline, error.message)
        return False
    except FinalError as error:
        return _refused(desk, stored, owner, error.message)
    if digest == target.serving and target == stored.value:
        return False
    now = desk.clock.now()
    serves = replace(
        target,
        serving=digest,
        previous=target.serving if target.serving not in {None, digest} else target.previous,
        swapped_at=now,
        swaps=target.swaps + 1,
    )
    message = f"{target.pipeline} serves the model of run {target.run_id}"
    return desk.commit(
        f"deploy.serving:{target.pipeline}",
        Put(DEPLOYMENTS, serves, stored.version),
        Put(EVENTS, news.deployment_changed(serves, now, message)),
    )


def _refused(desk: Desk, stored: Stored[Deployment], owner: Stored[TaskRun], why: str) -> bool:
    """Go back to the model that still serves; the run whose package was refused fails."""
    now = desk.clock.now()
    deployment = stored.value
    failed = _ended(owner.value, TaskState.FAILED, Reason.BAD_OUTPUT, now, why)
    message = f"the package of run {deployment.run_id} was refused: {why}"
    return desk.commit(
        f"deploy.refused:{deployment.pipeline}",
        Put(TASK_RUNS, failed, owner.version),
        *(_fall_back(desk, stored, now) or _no_deployment(stored)),
        Put(EVENTS, news.deployment_changed(deployment, now, message)),
    )


def _without_owner(desk: Desk, stored: Stored[Deployment], live: Live) -> bool:
    """Give the server back to the run whose model it serves, or withdraw it.

    A server without a deployment is one that nobody waits for: it is stopped from then on, and
    has no successor.
    """
    deployment = stored.value
    now = desk.clock.now()
    if deployment.attempt_id in live:
        given_back = _fall_back(desk, stored, now)
        if given_back:
            return desk.commit(f"deploy.return:{deployment.pipeline}", *given_back)
    message = f"{deployment.pipeline} no longer serves: run {deployment.run_id} was cancelled"
    return desk.commit(
        f"deploy.withdrawn:{deployment.pipeline}",
        *_no_deployment(stored),
        Put(EVENTS, news.deployment_changed(deployment, now, message)),
    )


def _fall_back(desk: Desk, stored: Stored[Deployment], now: float) -> tuple[Write, ...]:
    """Return the writes that want what still serves, none when that is of no other run."""
    deployment = stored.value
    if deployment.serving in {None, deployment.wanted}:
        return ()
    back = _give_back(desk, stored, Digest(str(deployment.serving)), now)
    return back.writes if back is not None else ()


def _no_deployment(stored: Stored[Deployment]) -> tuple[Write, ...]:
    pipeline = stored.value.pipeline
    return (Check(DEPLOYMENTS, pipeline, stored.version), Delete(DEPLOYMENTS, pipeline))


def _give_back(
    desk: Desk, stored: Stored[Deployment], digest: Digest, now: float
) -> HandOver | None:
    """Return how the package of another run, which owns the server then, becomes wanted."""
    deployment = stored.value
    owner = _serve_task(desk, deployment, digest)
    if owner is None:
        return None
    run_id = owner.value.run_id
    found = desk.ledger.get(ATTEMPTS, deployment.attempt_id or "")
    server = found.value if found else None
    wanted = replace(deployment, wanted=digest, run_id=run_id, task=owner.value.task)
    writes = (
        Put(DEPLOYMENTS, wanted, stored.version),
        Put(TASK_RUNS, _serving(owner.value, now, server), owner.version),
    )
    return HandOver(run_id, writes)


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


def _handed_over(desk: Desk, former: Deployment, now: float) -> list[Write]:
    """Return the write that ends the serve task of the run that wanted something before."""
    stored = desk.task_run(former.run_id, former.task)
    if stored is None or stored.value.state.is_terminal:
        return []
    ended = _ended(stored.value, TaskState.SUCCEEDED, Reason.REPLACED, now)
    return [Put(TASK_RUNS, ended, stored.version)]


def _package(view: RunView, task: TaskSpec) -> Digest | None:
    """Return what the first task before a serve task that succeeded has packaged."""
    before = (view.tasks[name].value for name in task.after)
    made = (orders.package_digest(run) for run in before if run.state is TaskState.SUCCEEDED)
    return next((digest for digest in made if digest), None)


def _serving(task: TaskRun, now: float, server: Attempt | None) -> TaskRun:
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


def _ended(
    task: TaskRun, state: TaskState, reason: Reason, now: float, message: str = ""
) -> TaskRun:
    return replace(task, state=state, reason=reason, message=message, waiting_for=(), ended_at=now)


def _is_newer(desk: Desk, run_id: RunId, view: RunView) -> bool:
    other = desk.run(run_id)
    if other is None or other.value.state is RunState.CANCELLED:
        return False
    return other.value.created_at > view.run.created_at
