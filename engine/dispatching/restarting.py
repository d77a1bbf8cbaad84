"""A running server is ended and started anew, so that it holds what its plan says now.

The former attempt is given up in one commit with the task that waits again; it is stopped from
then on, and the next one starts when its executor shows the end.
"""

from __future__ import annotations

from dataclasses import replace

from engine.dispatching import admission
from engine.dispatching.desk import Desk, RunView
from engine.model.alarms import Action, ActionState
from engine.model.dispatches import Deployment, Reason, TaskState
from engine.model.records import ACTIONS, ATTEMPTS, DEPLOYMENTS, TASK_RUNS, Put, Stored
from engine.model.resources import Resources

_ROUNDING = 1e-6


def restart(desk: Desk, stored: Stored[Action]) -> bool:
    """Bring the server of a resize to its plan's size; return whether anything changed."""
    action = stored.value
    deployment = desk.ledger.get(DEPLOYMENTS, action.pipeline or "")
    run = None if deployment is None else desk.run(deployment.value.run_id)
    if deployment is None or run is None or run.value.run_id != action.run_id:
        return finish(desk, stored, ActionState.FAILED, "another run serves since")
    server = desk.ledger.get(ATTEMPTS, deployment.value.attempt_id or "")
    if server is None:
        # The next one is on its way; it starts under the new plan anyway.
        return False
    view = desk.view(run)
    planned = view.plan.assignment(server.value.pipeline, server.value.task)
    if planned is not None and _differ(admission.need(planned), server.value.held):
        return _give_up(desk, deployment, view)
    if deployment.value.serving != deployment.value.wanted:
        return False
    held = server.value.held
    told = f"it serves with {held.cpu_cores:.3g} cores and {held.memory_gib:.3g} GiB"
    return finish(desk, stored, ActionState.DONE, told)


def finish(desk: Desk, stored: Stored[Action], state: ActionState, result: str) -> bool:
    """End an action; return whether it was written."""
    ended = replace(stored.value, state=state, result=result, ended_at=desk.clock.now())
    step = stored.value.kind.value.replace(" ", "-")
    return desk.commit(f"action.{step}-ended", Put(ACTIONS, ended, stored.version))


def _differ(planned: Resources, held: Resources) -> bool:
    """Return whether cores or memory are others than planned."""
    return (
        abs(planned.cpu_cores - held.cpu_cores) > _ROUNDING
        or abs(planned.memory_gib - held.memory_gib) > _ROUNDING
    )


def _give_up(desk: Desk, deployment: Stored[Deployment], view: RunView) -> bool:
    """Let the task wait for another start, and the deployment for another server."""
    owner = view.tasks[deployment.value.task]
    down = replace(
        deployment.value,
        attempt_id=None,
        endpoint="",
        serving=None,
        unanswered=0,
        next_swap_at=None,
    )
    waits = replace(owner.value, state=TaskState.WAITING, reason=Reason.RESIZED)
    return desk.commit(
        f"deploy.resize:{deployment.value.pipeline}",
        Put(DEPLOYMENTS, down, deployment.version),
        Put(TASK_RUNS, waits, owner.version),
    )
