"""Attempts that leave their machines for a while, and go on when there is room.

An attempt that is suspended stays the same attempt. Its task waits, and is gone through like all
that wait; when there is room, the attempt is intended again and started under its own name, from
its beginning, with what the plan in force then says that it needs. Its time limit counts anew.

As everywhere, the intent (`SUSPENDING`) is stored before the executor is called, and the outcome
(`SUSPENDED`) once it is seen. Until then the attempt holds its room; afterwards the room is kept
for the task that it gave way to, until that one starts. `preempting` says who gives way to whom.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from engine.abilities import SuspendingExecutor
from engine.dispatching import outcomes
from engine.dispatching.admission import Kept
from engine.dispatching.desk import Desk
from engine.dispatching.readiness import FOR_ROOM, Judgement
from engine.model.dispatches import (
    Attempt,
    AttemptState,
    Reason,
    Suspension,
    TaskRun,
    TaskState,
)
from engine.model.errors import BerthError
from engine.model.fleet import Fleet
from engine.model.identifiers import AttemptId, attempt_id
from engine.model.plans import Assignment
from engine.model.records import ATTEMPTS, TASK_RUNS, Put, Stored, Write
from engine.model.resources import Resources

_LOG = logging.getLogger(__name__)
_KEPT_SECONDS = 300.0
# How long freed room is kept, should the task that it was freed for not come to take it.

Live = Mapping[AttemptId, Stored[Attempt]]


def suspender(desk: Desk, attempt: Attempt) -> SuspendingExecutor | None:
    """Return the executor of an attempt when it can suspend, else None."""
    if attempt.executor not in desk.executors:
        return None
    executor = desk.executors[attempt.executor]
    return executor if isinstance(executor, SuspendingExecutor) else None


def suspend(desk: Desk, _fleet: Fleet, live: Live) -> bool:
    """Ask executors to suspend what is to give way, until they show that it did."""
    for stored in live.values():
        attempt = stored.value
        executor = suspender(desk, attempt)
        if attempt.state is not AttemptState.SUSPENDING or executor is None:
            continue
        try:
            executor.suspend(attempt.attempt_id)
        except BerthError as error:
            _LOG.warning("%s could not be suspended: %s", attempt.attempt_id, error.message)
    return False


def take_in(desk: Desk, stored: Stored[Attempt]) -> bool:
    """Store that an attempt is seen off its machine; its task waits from now on.

    One that is intended goes on soon, and one that is known to be off is no news.
    """
    attempt = stored.value
    if attempt.state in {AttemptState.INTENDED, AttemptState.SUSPENDED}:
        return False
    suspension = _off(attempt, desk.clock.now())
    off = replace(attempt, state=AttemptState.SUSPENDED, started_at=None, suspension=suspension)
    writes: list[Write] = [Put(ATTEMPTS, off, stored.version)]
    task = desk.task_run(attempt.run_id, attempt.task)
    if task is not None and outcomes.is_current(task.value, attempt):
        writes.append(Put(TASK_RUNS, _waiting(task.value, suspension), task.version))
    return desk.commit(f"dispatch.suspended:{attempt.task}", *writes)


def again(attempt: Attempt) -> Attempt:
    """Return a suspended attempt that is seen to run all the same: it has to leave again. Pure."""
    return replace(attempt, state=AttemptState.SUSPENDING)


def resumed(attempt: Attempt, held: Resources, now: float, fence: int) -> Attempt:
    """Return a suspended attempt that is intended to go on, and what it holds then. Pure."""
    suspension = attempt.suspension or Suspension()
    seconds = suspension.seconds + now - (suspension.since or now)
    return replace(
        attempt,
        state=AttemptState.INTENDED,
        intended_at=now,
        held=held,
        fence=fence,
        suspension=replace(suspension, since=None, seconds=seconds),
    )


def of_task(task: TaskRun, live: Live, assignment: Assignment) -> Stored[Attempt] | None:
    """Return the suspended attempt of a task, None without one or where a plan moved the task.

    Then another attempt is started, and this one is stopped, as nobody waits for it any more.
    """
    stored = live.get(attempt_id(task.run_id, task.task, task.attempt))
    if stored is None or stored.value.state is not AttemptState.SUSPENDED:
        return None
    attempt = stored.value
    stays = (attempt.cluster, attempt.pool) == (assignment.cluster, assignment.pool)
    return stored if stays else None


def waits(judgement: Judgement, task: TaskRun) -> Judgement:
    """Return the judgement about a task whose attempt is off its machine, for want of room. Pure.

    It goes on saying to whom the attempt gave way.
    """
    if judgement.reason is not Reason.CAPACITY:
        return judgement
    return replace(judgement, reason=Reason.PREEMPTED, message=task.message)


def kept(desk: Desk, live: Iterable[Stored[Attempt]]) -> Iterator[Kept]:
    """Yield the room that suspended attempts left, while whom it was freed for waits for it."""
    for stored in live:
        attempt, given = stored.value, stored.value.suspension
        if attempt.state is not AttemptState.SUSPENDED or given is None:
            continue
        task = desk.task_run(given.run_id, given.task)
        since = given.since or 0.0
        if task is None or desk.clock.now() - since >= _KEPT_SECONDS:
            continue
        # One that started since then took the room, and may have given way itself.
        came = (task.value.started_at or 0.0) >= since
        waiting = task.value.state is TaskState.WAITING and task.value.reason in FOR_ROOM
        if waiting and not came:
            yield Kept(
                cluster=attempt.cluster,
                pool=attempt.pool,
                held=attempt.held,
                run_id=given.run_id,
                task=given.task,
            )


def _off(attempt: Attempt, now: float) -> Suspension:
    """Return a suspension with what an attempt did until it left."""
    given = attempt.suspension or Suspension()
    since = given.since if given.since is not None else now
    ran_seconds = max(0.0, since - (attempt.started_at or since))
    lost_seconds = given.lost_seconds + ran_seconds
    return replace(given, since=since, count=given.count + 1, lost_seconds=lost_seconds)


def _waiting(task: TaskRun, suspension: Suspension) -> TaskRun:
    to = f" to {suspension.task} of {suspension.run_id}" if suspension.run_id else ""
    return replace(
        task,
        state=TaskState.WAITING,
        reason=Reason.PREEMPTED,
        message=f"it gave way{to}, and begins again when there is room",
        waiting_for=(suspension.task,) if suspension.task else (),
    )
