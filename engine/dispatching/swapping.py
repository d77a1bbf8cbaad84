"""Has a server serve what is wanted, and decides what follows when it does not.

A server that does not answer is asked again after pauses that grow, a bounded number of times, and
more often one that answers that it is on its way, as where pods are replaced one by one; a package
that it refuses is not offered again. Either way the run whose package was wanted fails
where people see it, and the pipeline goes back to what serves, or to the newest package that gave
way when nothing serves.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from engine.dispatching import handing, news, retrying
from engine.dispatching.desk import Desk
from engine.model.dispatches import Deployment, Reason, TaskRun, TaskState
from engine.model.errors import FinalError, RetryableError
from engine.model.identifiers import Digest
from engine.model.records import DEPLOYMENTS, EVENTS, TASK_RUNS, Put, Stored, Write

_LOG = logging.getLogger(__name__)

MOST_TRIES = 10
"""Swaps in a row that a server may leave unanswered: about four minutes of pauses."""
MOST_WAITS = 120
"""The same while it answers that it serves the former one still: some two hours."""


def swap(desk: Desk, stored: Stored[Deployment], owner: Stored[TaskRun], endpoint: str) -> bool:
    """Ask the server for what is wanted, unless a pause lasts; return whether anything changed."""
    next_swap_at = stored.value.next_swap_at
    if next_swap_at is not None and desk.clock.now() < next_swap_at:
        return False
    target = replace(stored.value, endpoint=endpoint)
    try:
        digest = desk.servers.swap(target)
    except RetryableError as error:
        return _unanswered(desk, stored, owner, error.message)
    except FinalError as error:
        why = f"the package of run {target.run_id} was refused: {error.message}"
        return _give_up(desk, stored, owner, Reason.BAD_OUTPUT, why)
    if digest != target.wanted:
        return _unanswered(desk, stored, owner, f"it still serves {digest}", most=MOST_WAITS)
    return _serves(desk, stored, owner, endpoint, digest)


def _serves(
    desk: Desk, stored: Stored[Deployment], owner: Stored[TaskRun], endpoint: str, digest: Digest
) -> bool:
    now = desk.clock.now()
    former = stored.value
    serves = replace(
        former.swapped(digest, now), endpoint=endpoint, unanswered=0, next_swap_at=None
    )
    message = f"{former.pipeline} serves the model of run {former.run_id}"
    writes: list[Write] = [
        Put(DEPLOYMENTS, serves, stored.version),
        Put(EVENTS, news.deployment_changed(serves, now, message)),
    ]
    if former.unanswered:
        answered = replace(owner.value, reason=Reason.NONE, message="", waiting_for=())
        writes.append(Put(TASK_RUNS, answered, owner.version))
    return desk.commit(f"deploy.serving:{former.pipeline}", *writes)


def _unanswered(
    desk: Desk,
    stored: Stored[Deployment],
    owner: Stored[TaskRun],
    why: str,
    *,
    most: int = MOST_TRIES,
) -> bool:
    """Ask again after a pause, until it was asked often enough."""
    deployment = stored.value
    count = deployment.unanswered + 1
    if count >= most:
        message = f"the server of {deployment.pipeline} did not swap {count} times in a row: {why}"
        return _give_up(desk, stored, owner, Reason.NO_ANSWER, message)
    _LOG.warning("the server of %s did not swap: %s", deployment.pipeline, why)
    seconds = retrying.pause_seconds(count)
    pauses = replace(deployment, unanswered=count, next_swap_at=desk.clock.after(seconds))
    waits = replace(
        owner.value,
        reason=Reason.NO_ANSWER,
        message=why,
        waiting_for=(f"a pause of {seconds:g} s before it is asked again",),
    )
    return desk.commit(
        f"deploy.unanswered:{deployment.pipeline}",
        Put(DEPLOYMENTS, pauses, stored.version),
        Put(TASK_RUNS, waits, owner.version),
    )


def _give_up(
    desk: Desk, stored: Stored[Deployment], owner: Stored[TaskRun], reason: Reason, why: str
) -> bool:
    """Fail the run whose package is wanted, and go back to what can serve, if anything can."""
    now = desk.clock.now()
    failed = handing.ended(owner.value, TaskState.FAILED, reason, now, why)
    served = handing.fall_back(desk, stored, now) or handing.take_up(desk, stored, now)
    return desk.commit(
        f"deploy.refused:{stored.value.pipeline}",
        Put(TASK_RUNS, failed, owner.version),
        *(served or handing.no_deployment(stored)),
        Put(EVENTS, news.deployment_changed(stored.value, now, why)),
    )
