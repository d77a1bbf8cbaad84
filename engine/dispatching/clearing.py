"""What runs left that ended long ago: files of their attempts, artefacts that nobody refers to."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from engine.abilities import ClearingExecutor
from engine.dispatching import orders
from engine.dispatching.desk import Desk
from engine.model.dispatches import Attempt, Deployment, RunState
from engine.model.errors import RetryableError
from engine.model.identifiers import AttemptId, Digest, RunId
from engine.model.records import ATTEMPTS, DEPLOYMENTS, RUNS, TASK_RUNS, Collection, Stored

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_PAUSE_SECONDS = 3_600.0
_GRACE_SECONDS = 3_600.0
RUNS_KEPT = 50
"""So many of the newest runs keep what they left, however old they are."""
_RUNS_MOST = 10_000
# Of young ones: looking at the tasks of all of them takes about a second.
_RUNS_AT_ONCE = 500
_MOST = 1_000_000


def clear(desk: Desk, live: Mapping[AttemptId, Stored[Attempt]]) -> bool:
    """Remove what old runs left; return whether anything went.

    Once an hour at most. What cannot be removed now is so an hour later.

    live: attempts that are not over.
    """
    now = desk.clock.monotonic()
    if desk.cleared and now - desk.cleared[0] < _PAUSE_SECONDS:
        return False
    desk.cleared[:] = [now]
    deployments = [stored.value for stored in desk.ledger.select(DEPLOYMENTS)]
    active = _active(desk)
    kept = active | _kept(desk, deployments)

    def is_kept(attempt: AttemptId) -> bool:
        if attempt.partition(".")[0] in kept:
            return True
        stored = desk.ledger.get(ATTEMPTS, attempt)
        # What the store does not know may be told of in another one.
        return stored is None or not stored.value.state.is_terminal or stored.value.run_id in kept

    count = 0
    try:
        for executor in desk.executors.values():
            if isinstance(executor, ClearingExecutor):
                count += executor.clear(is_kept)
        needed = {*_handed_on(desk, kept, active), *_served(desk, deployments)}
        grace_seconds = _GRACE_SECONDS + _longest_seconds(desk, live)
        count += desk.artifacts.collect(sorted(needed), grace_seconds=grace_seconds)
    except RetryableError as error:
        _LOG.warning("what old runs left stays for now: %s", error.message)
    return count > 0


def _active(desk: Desk) -> frozenset[RunId]:
    where = {"state": RunState.ACTIVE.value}
    return frozenset(
        each.value.run_id for each in desk.ledger.select(RUNS, where=where, limit=_MOST)
    )


def _kept(desk: Desk, deployments: Sequence[Deployment]) -> frozenset[RunId]:
    """Return the runs that are among the newest, are young, or have what serves."""
    newest = desk.ledger.select(RUNS, order_by="created_at", descending=True, limit=_RUNS_MOST)
    since = desk.clock.now() - desk.runs_kept_seconds
    return frozenset(
        [
            *(stored.value.run_id for stored in newest[:RUNS_KEPT]),
            *(each.value.run_id for each in newest if each.value.created_at > since),
            *(each.run_id for each in deployments),
        ]
    )


def _handed_on(desk: Desk, kept: frozenset[RunId], active: frozenset[RunId]) -> Iterator[Digest]:
    """Yield what tasks of kept runs made, and what attempts of active ones go on from."""
    for task in _of_runs(desk, TASK_RUNS, kept):
        if task.artifact is not None:
            yield task.artifact
    for attempt in _of_runs(desk, ATTEMPTS, active):
        yield from (each for each in (attempt.begins, attempt.left) if each is not None)


def _of_runs(desk: Desk, collection: Collection[T], runs: frozenset[RunId]) -> Iterator[T]:
    """Yield the records of some runs, of so many runs at once as a store can be asked for."""
    names = sorted(runs)
    for first in range(0, len(names), _RUNS_AT_ONCE):
        where = {"run_id": names[first : first + _RUNS_AT_ONCE]}
        for stored in desk.ledger.select(collection, where=where, limit=_MOST):
            yield stored.value


def _served(desk: Desk, deployments: Sequence[Deployment]) -> Iterator[Digest]:
    """Yield the packages that serve or may be rolled back to."""
    for deployment in deployments:
        served = (one.digest for one in deployment.served)
        named = {deployment.wanted, deployment.serving, deployment.previous, *served}
        where = {"pipeline": deployment.pipeline}
        for task in desk.ledger.select(TASK_RUNS, where=where, limit=_MOST):
            if task.value.artifact and orders.package_digest(task.value) in named:
                yield task.value.artifact


def _longest_seconds(desk: Desk, live: Mapping[AttemptId, Stored[Attempt]]) -> float:
    """Return for how long the oldest attempt runs that may leave an artefact: no server."""
    now = desk.clock.now()
    since = (each.value.intended_at for each in live.values() if not each.value.endpoint)
    return max(0.0, now - min(since, default=now))
