"""What each pipeline serves: brings the model that serves to the one that is wanted.

A pipeline has one server. A newer run takes it over by changing what is wanted, which is a hot
swap; the server's process stays the attempt of the run that started it. When the server is lost,
the run whose package is wanted starts another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from engine.dispatching import handing, news, swapping
from engine.dispatching.admission import cluster_of
from engine.dispatching.desk import Desk, RunView
from engine.model.dispatches import Attempt, Deployment, Reason, RunState, TaskRun, TaskState
from engine.model.fleet import Fleet
from engine.model.identifiers import AttemptId, Digest, RunId
from engine.model.records import (
    DEPLOYMENTS,
    EVENTS,
    TASK_RUNS,
    Put,
    Stored,
    Write,
)
from engine.model.specs import TaskSpec

Live = Mapping[AttemptId, Stored[Attempt]]


def want(desk: Desk, view: RunView, task: TaskSpec, live: Live) -> bool:
    """Make the package of a run the wanted one, for a serve task that may start.

    A server that is up already is taken over: the task runs from here on. A run that is older
    than the one whose package is wanted gives way.
    """
    now = desk.clock.now()
    stored = view.tasks[task.name]
    package = handing.package(view, task)
    if package is None:
        message = "no task before it wrote a package"
        failed = handing.ended(stored.value, TaskState.FAILED, Reason.BAD_INPUT, now, message)
        return desk.commit(f"deploy.want:{view.spec.name}", Put(TASK_RUNS, failed, stored.version))
    former = desk.ledger.get(DEPLOYMENTS, view.spec.name)
    if former is not None and _is_newer(desk, former.value.run_id, view):
        message = f"run {former.value.run_id} serves a newer model"
        gives_way = handing.ended(stored.value, TaskState.SKIPPED, Reason.REPLACED, now, message)
        write = Put(TASK_RUNS, gives_way, stored.version)
        return desk.commit(f"deploy.want:{view.spec.name}", write)
    if former is None:
        first = Deployment(
            pipeline=view.spec.name, task=task.name, run_id=view.run.run_id, wanted=package
        )
        return desk.commit(f"deploy.want:{view.spec.name}", Put(DEPLOYMENTS, first, 0))
    taken = replace(
        former.value,
        task=task.name,
        run_id=view.run.run_id,
        wanted=package,
        unanswered=0,
        next_swap_at=None,
    )
    writes: list[Write] = [Put(DEPLOYMENTS, taken, former.version)]
    writes += handing.handed_over(desk, former.value, now)
    server = live.get(former.value.attempt_id) if former.value.attempt_id else None
    if server is not None:
        serving = handing.serving(stored.value, now, server.value)
        writes.append(Put(TASK_RUNS, serving, stored.version))
    return desk.commit(f"deploy.want:{view.spec.name}", *writes)


def reconcile(desk: Desk, fleet: Fleet, live: Live) -> bool:
    """Do what each deployment needs next; return whether anything changed."""
    changed = False
    for stored in desk.ledger.select(DEPLOYMENTS):
        changed |= _reconcile(desk, stored, fleet, live)
    return changed


def roll_back(
    desk: Desk, stored: Stored[Deployment], digest: Digest | None
) -> handing.HandOver | None:
    """Return how a former model, or else the one before the present one, is wanted again.

    None when there was none, or when its run is not known any more.
    """
    wanted = digest or stored.value.previous
    if wanted is None:
        return None
    now = desk.clock.now()
    back = handing.give_back(desk, stored, wanted, now)
    if back is None:
        return None
    former = handing.handed_over(desk, stored.value, now, Reason.ROLLED_BACK)
    return handing.HandOver(back.run_id, (*back.writes, *former))


def _reconcile(desk: Desk, stored: Stored[Deployment], fleet: Fleet, live: Live) -> bool:
    deployment = stored.value
    owner = desk.task_run(deployment.run_id, deployment.task)
    if owner is None or owner.value.state is TaskState.CANCELLED:
        return _without_owner(desk, stored, live)
    server = live.get(deployment.attempt_id) if deployment.attempt_id else None
    if server is None:
        noted = deployment.attempt_id is None and owner.value.state is not TaskState.RUNNING
        return False if noted else _down(desk, stored, owner)
    if not server.value.endpoint or cluster_of(fleet, server.value.cluster) is None:
        return False
    if deployment.serving == deployment.wanted and deployment.endpoint == server.value.endpoint:
        return False
    return swapping.swap(desk, stored, owner, server.value.endpoint)


def _down(desk: Desk, stored: Stored[Deployment], owner: Stored[TaskRun]) -> bool:
    """Note that the server is gone; the run whose package is wanted starts another."""
    deployment = stored.value
    served = deployment.serving not in {None, deployment.wanted}
    down = replace(
        deployment,
        attempt_id=None,
        endpoint="",
        serving=None,
        unanswered=0,
        next_swap_at=None,
        previous=deployment.serving if served else deployment.previous,
    )
    writes: list[Write] = [Put(DEPLOYMENTS, down, stored.version)]
    if owner.value.state is TaskState.RUNNING:
        waits = replace(owner.value, state=TaskState.WAITING, reason=Reason.KILLED)
        writes.append(Put(TASK_RUNS, waits, owner.version))
    return desk.commit(f"deploy.down:{deployment.pipeline}", *writes)


def _without_owner(desk: Desk, stored: Stored[Deployment], live: Live) -> bool:
    """Give the server back to the run whose model it serves, or withdraw it.

    A server without a deployment is one that nobody waits for: it is stopped from then on, and
    has no successor.
    """
    deployment = stored.value
    now = desk.clock.now()
    if deployment.attempt_id in live:
        given_back = handing.fall_back(desk, stored, now)
        if given_back:
            return desk.commit(f"deploy.return:{deployment.pipeline}", *given_back)
    message = f"{deployment.pipeline} no longer serves: run {deployment.run_id} was cancelled"
    return desk.commit(
        f"deploy.withdrawn:{deployment.pipeline}",
        *handing.no_deployment(stored),
        Put(EVENTS, news.deployment_changed(deployment, now, message)),
    )


def _is_newer(desk: Desk, run_id: RunId, view: RunView) -> bool:
    other = desk.run(run_id)
    return (
        other is not None
        and other.value.state is not RunState.CANCELLED
        and other.value.created_at > view.run.created_at
    )
