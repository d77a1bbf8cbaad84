"""How an attempt ended, and what that means for its task. One commit for each attempt.

A result counts only by compare-and-set on the number of the attempt: what an older attempt
does, or one of a run that was cancelled, changes nothing but its own row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.dispatching import orders, remedying, retrying
from engine.dispatching.admission import pool_of
from engine.dispatching.desk import Desk
from engine.model.dispatches import (
    Attempt,
    AttemptState,
    Observation,
    Reason,
    TaskRun,
    TaskState,
)
from engine.model.fleet import Fleet
from engine.model.records import ATTEMPTS, RUN_RECORDS, TASK_RUNS, Put, Stored, Write
from engine.model.specs import TaskKind, TaskSpec
from engine.ports import Clock

_GIVES_WAY = frozenset({AttemptState.SUSPENDING, AttemptState.SUSPENDED})
_SAYS_NOTHING = frozenset({Reason.KILLED, Reason.CLUSTER_DOWN})
# What was measured up to a kill from outside says nothing about what the task needs.


def is_current(task: TaskRun, attempt: Attempt) -> bool:
    """Return whether the task still waits for the result of this attempt.

    A task whose attempt is suspended waits for room, and its attempt with it.
    """
    waits = task.state is TaskState.WAITING and attempt.state in _GIVES_WAY
    return task.attempt == attempt.number and (waits or task.state is TaskState.RUNNING)


def settle(desk: Desk, stored: Stored[Attempt], seen: Observation, fleet: Fleet) -> bool:
    """Store the end of an attempt, and of its task unless another attempt follows."""
    now = desk.clock.now()
    attempt = ended(stored.value, seen, now)
    writes: list[Write] = [Put(ATTEMPTS, attempt, stored.version)]
    run = desk.run(attempt.run_id)
    task = desk.task_run(attempt.run_id, attempt.task)
    if run is not None and task is not None and is_current(task.value, stored.value):
        view = desk.view(run)
        spec = view.spec.task(attempt.task)
        earlier = desk.attempts_of(attempt.run_id, attempt.task)
        attempts = [each for each in earlier if each.number < attempt.number]
        if is_failure(attempt, spec):
            if attempt.state is not AttemptState.FAILED:
                # A server that ends by itself, or a task that somebody else stopped: nobody asked.
                attempt = replace(attempt, reason=_unasked(attempt))
            remedy = remedying.remedied(desk, view, [*attempts, attempt], seen.last_lines, fleet)
            attempt = replace(attempt, remedy=remedy)
            writes[0] = Put(ATTEMPTS, attempt, stored.version)
        remedying.note(desk, [*attempts, attempt], spec.kind)
        following = after(task.value, spec, [*attempts, attempt], seen, desk.clock)
        writes.append(Put(TASK_RUNS, following, task.version))
        pool = pool_of(fleet, attempt.cluster, attempt.pool)
        speed = pool.speed_of(attempt.held.gpu_count) if pool else 1.0
        record = orders.run_record(view, attempt, speed)
        if record is not None and attempt.reason not in _SAYS_NOTHING:
            writes.append(Put(RUN_RECORDS, record))
    step = "lost" if attempt.state is AttemptState.LOST else "ended"
    return desk.commit(f"dispatch.{step}:{attempt.task}", *writes)


def ended(attempt: Attempt, seen: Observation, now: float) -> Attempt:
    """Return an attempt with how it ended."""
    return replace(
        attempt,
        state=seen.state,
        handle=seen.handle or attempt.handle,
        started_at=seen.started_at or attempt.started_at,
        ended_at=seen.ended_at or now,
        exit_code=seen.exit_code,
        reason=seen.reason,
        message=seen.message,
        usage=seen.usage,
        left=seen.artifact
        if attempt.workers and seen.state is not AttemptState.SUCCEEDED
        else None,
    )


def after(
    task: TaskRun, spec: TaskSpec, attempts: Sequence[Attempt], seen: Observation, clock: Clock
) -> TaskRun:
    """Return the task after its newest attempt, the last of `attempts`, ended.

    Another attempt follows after a pause that grows; one that was lost with its cluster waits
    for that cluster instead, or for a plan that has another place.
    """
    now = clock.now()
    ran = replace(task, message=seen.message, waiting_for=(), ended_at=seen.ended_at or now)
    if seen.state is AttemptState.SUCCEEDED and spec.kind is not TaskKind.SERVE:
        return replace(
            ran,
            state=TaskState.SUCCEEDED,
            reason=Reason.COMPLETED,
            outputs=seen.outputs,
            artifact=seen.artifact,
        )
    last = attempts[-1]
    remedy = last.remedy
    if remedy is not None and remedy.retries:
        waits = replace(ran, state=TaskState.WAITING, reason=last.reason, ended_at=None)
        if last.state is AttemptState.LOST:
            return replace(waits, waiting_for=(last.cluster,))
        seconds = retrying.pause_seconds(retrying.tries(spec, attempts, now))
        pause = f"a pause of {seconds:g} s before attempt {last.number + 1}"
        return replace(waits, waiting_for=(pause,), not_before=clock.after(seconds))
    return replace(ran, state=TaskState.FAILED, reason=last.reason)


def is_failure(attempt: Attempt, spec: TaskSpec) -> bool:
    """Return whether something has to follow the end of an attempt. Pure."""
    return attempt.state is not AttemptState.SUCCEEDED or spec.kind is TaskKind.SERVE


def _unasked(attempt: Attempt) -> Reason:
    return attempt.reason if attempt.state is AttemptState.LOST else Reason.KILLED
