"""Actions that dispatching owns: roll back, stop, retry, and a server's restart with a new size.

Others ask, this loop does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from engine.dispatching import deployments, restarting, submission
from engine.dispatching.desk import Desk
from engine.model.alarms import BACK, LEFT, Action, ActionKind, ActionState
from engine.model.dispatches import Reason, Run, RunState, TaskRun, TaskState
from engine.model.identifiers import Digest
from engine.model.records import (
    ACTIONS,
    DEPLOYMENTS,
    RUNS,
    TASK_RUNS,
    Put,
    Stored,
    Write,
)
from engine.model.specs import Scalar

_OWNED = (ActionKind.ROLL_BACK.value, ActionKind.STOP.value, ActionKind.RETRY.value)
_OPEN = (ActionState.WANTED.value, ActionState.STARTED.value)


def act(desk: Desk) -> bool:
    """Carry out what is asked of this loop; return whether anything changed."""
    changed = False
    asked = desk.ledger.select(
        ACTIONS, where={"kind": _OWNED, "state": _OPEN}, order_by="wanted_at"
    )
    resizes = {"kind": ActionKind.RESIZE.value, "state": ActionState.STARTED.value}
    for stored in desk.ledger.select(ACTIONS, where=resizes, order_by="wanted_at"):
        changed |= restarting.restart(desk, stored)
    for stored in asked:
        if stored.value.kind is ActionKind.ROLL_BACK:
            changed |= _roll_back(desk, stored)
        elif stored.value.kind is ActionKind.STOP:
            changed |= _stop(desk, stored)
        else:
            changed |= _retry(desk, stored)
    return changed


def _roll_back(desk: Desk, stored: Stored[Action]) -> bool:
    """Want a former model; done when it serves."""
    action = stored.value
    deployment = desk.ledger.get(DEPLOYMENTS, action.pipeline or "")
    if deployment is None:
        return _finish(desk, stored, ActionState.FAILED, f"nothing serves {action.subject}")
    if action.state is ActionState.STARTED:
        if deployment.value.run_id != action.run_id:
            return _finish(desk, stored, ActionState.FAILED, "another model was wanted since")
        if deployment.value.serving != deployment.value.wanted:
            return False
        result = f"the model of run {action.run_id} serves again"
        return _finish(desk, stored, ActionState.DONE, result)
    left = action.parameters.get(LEFT)
    if left is not None and left not in {deployment.value.serving, deployment.value.wanted}:
        return _finish(desk, stored, ActionState.FAILED, "another model serves since")
    back = deployments.roll_back(desk, deployment, _digest(action.parameters.get(BACK)))
    if back is None:
        return _finish(desk, stored, ActionState.FAILED, "there is no model to go back to")
    started = replace(action, state=ActionState.STARTED, run_id=back.run_id)
    write = Put(ACTIONS, started, stored.version)
    return desk.commit("action.roll-back", write, *back.writes)


def _digest(named: Scalar | None) -> Digest | None:
    return None if named is None else Digest(str(named))


def _stop(desk: Desk, stored: Stored[Action]) -> bool:
    """Stop what the action names: one task of a run, a run, or every active run of a pipeline."""
    action = stored.value
    if action.subject.startswith("task:"):
        return _stop_task(desk, stored)
    stopped: list[str] = []
    for run in _runs(desk, action):
        # Only a person withdraws what serves.
        if run.value.state is RunState.ACTIVE:
            submission.cancel(desk.ledger, desk.clock, run.value.run_id)
            stopped.append(run.value.run_id)
    result = f"stopped {', '.join(stopped)}" if stopped else "nothing was running"
    return _finish(desk, stored, ActionState.DONE, result)


def _stop_task(desk: Desk, stored: Stored[Action]) -> bool:
    """Let one task fail; its attempt is stopped as one that nobody waits for.

    The run goes on with what does not need it, and may be retried.
    """
    action = stored.value
    name = action.subject.rpartition("/")[2]
    task = None if action.run_id is None else desk.task_run(action.run_id, name)
    if task is None or task.value.state is not TaskState.RUNNING:
        return _finish(desk, stored, ActionState.DONE, f"{name} was not running any more")
    now = desk.clock.now()
    message = f"stopped because of {action.super_alarm_id}: {action.policy}"
    failed = replace(
        task.value, state=TaskState.FAILED, reason=Reason.ALARM, message=message, ended_at=now
    )
    result = f"stopped {name} of run {action.run_id}"
    done = replace(action, state=ActionState.DONE, ended_at=now, result=result)
    writes = (Put(TASK_RUNS, failed, task.version), Put(ACTIONS, done, stored.version))
    return desk.commit("action.stop", *writes)


def _retry(desk: Desk, stored: Stored[Action]) -> bool:
    """Let failed tasks, what the remedy changes, and what follows run again in the same run."""
    action = stored.value
    for run in _runs(desk, action):
        if run.value.state is RunState.CANCELLED:
            continue
        tasks = desk.ledger.select(TASK_RUNS, where={"run_id": run.value.run_id})
        if not any(_failed(task.value) for task in tasks):
            continue
        changed = _changed(desk, run, action.parameters)
        again: list[Write] = [
            Put(TASK_RUNS, _again(task.value), task.version)
            for task in tasks
            if _failed(task.value) or (task.value.task in changed and task.value.state.is_terminal)
        ]
        resumed = replace(
            run.value,
            state=RunState.ACTIVE,
            ended_at=None,
            reason="",
            parameters={**run.value.parameters, **action.parameters},
        )
        done = replace(
            action,
            state=ActionState.DONE,
            ended_at=desk.clock.now(),
            run_id=run.value.run_id,
            result=f"run {run.value.run_id}: {_tasks(len(again))} again",
        )
        writes = (Put(RUNS, resumed, run.version), Put(ACTIONS, done, stored.version), *again)
        return desk.commit("action.retry", *writes)
    return _finish(desk, stored, ActionState.FAILED, "no run of it has failed tasks")


def _changed(desk: Desk, run: Stored[Run], parameters: Mapping[str, Scalar]) -> frozenset[str]:
    """Return the tasks that get other parameters than they had, and all that come after them."""
    spec = desk.view(run).spec
    found = {
        name.partition(".")[0]
        for name, value in parameters.items()
        if run.value.parameters.get(name) != value
    }
    # Tasks stand in any order in a file; each round adds those after what was found.
    size = -1
    while size != len(found):
        size = len(found)
        found |= {task.name for task in spec.tasks if found & set(task.after)}
    return frozenset(found)


def _runs(desk: Desk, action: Action) -> list[Stored[Run]]:
    """Return the runs an action may mean, newest first: `run:ID`, or those of its pipeline.

    Of runs that ended only the newest is meant.
    """
    named = desk.run(action.subject.removeprefix("run:"))
    if named is not None:
        return [named]
    runs = desk.ledger.select(
        RUNS, where={"pipeline": action.pipeline}, order_by="created_at", descending=True
    )
    return [run for position, run in enumerate(runs) if position == 0 or run.value.ended_at is None]


def _failed(task: TaskRun) -> bool:
    passed_on = task.state is TaskState.SKIPPED and task.reason is Reason.UPSTREAM_FAILED
    return passed_on or task.state is TaskState.FAILED


def _again(task: TaskRun) -> TaskRun:
    waits = replace(task, state=TaskState.WAITING, reason=Reason.NONE, message="")
    return replace(waits, not_before=None, ended_at=None)


def _finish(desk: Desk, stored: Stored[Action], state: ActionState, result: str) -> bool:
    return restarting.finish(desk, stored, state, result)


def _tasks(count: int) -> str:
    return "1 task runs" if count == 1 else f"{count} tasks run"
