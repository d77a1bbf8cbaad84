"""What executors and clusters show: attempts that came up, ended, or are lost."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from engine.dispatching import news, outcomes, suspending
from engine.dispatching.admission import cluster_of
from engine.dispatching.desk import Desk
from engine.dispatching.grouping import Group
from engine.model.dispatches import Attempt, AttemptState, Observation, Reason, TaskState
from engine.model.errors import RetryableError
from engine.model.fleet import Cluster, Fleet
from engine.model.identifiers import AttemptId, attempt_id
from engine.model.records import (
    ATTEMPTS,
    CLUSTER_HEALTH,
    DEPLOYMENTS,
    EVENTS,
    TASK_RUNS,
    ClusterHealth,
    Put,
    Stored,
    Write,
)

_LOG = logging.getLogger(__name__)
_GRACE_SECONDS = 10.0
# Of a cluster that the fleet does not know any more.
_TASKS_MOST = 100_000

Live = Mapping[AttemptId, Stored[Attempt]]


def watch_clusters(desk: Desk, fleet: Fleet) -> bool:
    """Store which clusters answer, with an event when one stops or begins to."""
    changed = False
    known = {each.value.cluster: each for each in desk.ledger.select(CLUSTER_HEALTH)}
    for cluster in fleet.clusters:
        stored = known.get(cluster.name)
        if stored is not None and stored.value.reachable == cluster.reachable:
            continue
        health = ClusterHealth(
            cluster=cluster.name, reachable=cluster.reachable, since=desk.clock.now()
        )
        writes: list[Write] = [Put(CLUSTER_HEALTH, health, stored.version if stored else 0)]
        if stored is not None or not cluster.reachable:
            writes.append(Put(EVENTS, news.cluster_changed(health)))
        changed |= desk.commit(f"dispatch.cluster:{cluster.name}", *writes)
    return changed


def observe(desk: Desk, fleet: Fleet, live: Live) -> bool:
    """Take in what every executor sees; return whether anything changed."""
    changed = False
    group = Group(desk)
    for known in desk.unseen.keys() - live.keys():
        del desk.unseen[known]
    for name, executor in desk.executors.items():
        try:
            seen = {each.attempt_id: each for each in executor.observe()}
        except RetryableError as error:
            _LOG.warning("executor %s did not answer: %s", name, error.message)
            continue
        for attempt, observation in seen.items():
            stored = live.get(attempt)
            if stored is not None:
                changed |= _take_in(desk, stored, observation, fleet, group)
            elif not observation.state.is_terminal:
                _stop_if_over(desk, attempt)
        group.flush()
        changed |= _missing(desk, name, live, seen, fleet)
    return changed | group.changed


def lose(desk: Desk, fleet: Fleet, live: Live) -> bool:
    """Give up attempts whose cluster has not answered for longer than its grace period.

    The period counts from when this engine first saw the cluster gone, while it goes on seeing
    that: until its end an attempt may be alive, and must not have a successor. It is counted by a
    clock that nobody can set, so that a jump of the wall clock ends no attempt.
    """
    changed = False
    now, elapsed = desk.clock.now(), desk.clock.monotonic()
    used = {stored.value.cluster for stored in live.values()}
    gone = {name for name in used if cluster_of(fleet, name) is None}
    for name in desk.gone.keys() - gone:
        del desk.gone[name]
    for stored in live.values():
        attempt = stored.value
        if attempt.cluster not in gone:
            continue
        gone_seconds = elapsed - desk.gone.setdefault(attempt.cluster, elapsed)
        grace_seconds = _grace_seconds(fleet, attempt.cluster)
        if min(gone_seconds, now - attempt.intended_at) >= grace_seconds:
            changed |= outcomes.settle(desk, stored, _lost(attempt, now), fleet)
    return changed


def is_given_up(desk: Desk, attempt: Attempt, fleet: Fleet) -> bool:
    """Note that an executor has no news of an attempt; return whether its grace has passed."""
    now = desk.clock.monotonic()
    since = desk.unseen.setdefault(attempt.attempt_id, now)
    return now - since >= _grace_seconds(fleet, attempt.cluster)


def is_wanted(desk: Desk, attempt: Attempt) -> bool:
    """Return whether anybody waits for an attempt: its task, or those whom it serves."""
    task = desk.task_run(attempt.run_id, attempt.task)
    if task is not None and outcomes.is_current(task.value, attempt):
        return True
    deployment = desk.ledger.get(DEPLOYMENTS, attempt.pipeline)
    return deployment is not None and deployment.value.attempt_id == attempt.attempt_id


def stop_unwanted(desk: Desk, fleet: Fleet, live: Live) -> bool:
    """Stop attempts that nobody waits for: of cancelled runs, or servers without a model.

    Stopping is repeated until the executor shows the end. One that was only intended is not
    seen by its executor, which never starts what was stopped, so it ends here.
    """
    changed = False
    wanted = _wanted(desk) if live else frozenset()
    for known, stored in live.items():
        attempt = stored.value
        if known in wanted or is_wanted(desk, attempt) or not _stopped(desk, attempt):
            continue
        if attempt.state is AttemptState.INTENDED:
            stop = replace(_lost(attempt, desk.clock.now()), state=AttemptState.STOPPED)
            seen = replace(stop, reason=Reason.CANCELLED, message="it was never started")
            changed |= outcomes.settle(desk, stored, seen, fleet)
    return changed


def _wanted(desk: Desk) -> frozenset[AttemptId]:
    """Return the attempts that tasks and deployments wait for, by one look at all of them."""
    where = {"state": TaskState.RUNNING.value}
    tasks = [each.value for each in desk.ledger.select(TASK_RUNS, where=where, limit=_TASKS_MOST)]
    servers = (each.value.attempt_id for each in desk.ledger.select(DEPLOYMENTS))
    return frozenset(
        [
            *(attempt_id(each.run_id, each.task, each.attempt) for each in tasks),
            *(each for each in servers if each is not None),
        ]
    )


def _take_in(
    desk: Desk, stored: Stored[Attempt], seen: Observation, fleet: Fleet, group: Group
) -> bool:
    """Store the end of an attempt, or leave to the group what else is new of it."""
    attempt = stored.value
    desk.unseen.pop(attempt.attempt_id, None)
    if seen.state.is_terminal:
        killed = seen.reason in {Reason.KILLED, Reason.CLUSTER_DOWN}
        if killed and cluster_of(fleet, attempt.cluster) is None:
            # Its cluster went down with it, which is no failure of the task.
            seen = replace(seen, state=AttemptState.LOST, reason=Reason.CLUSTER_DOWN)
        return outcomes.settle(desk, stored, seen, fleet)
    if seen.state is AttemptState.SUSPENDED:
        return suspending.take_in(desk, stored)
    if attempt.state is AttemptState.SUSPENDED:
        write = Put(ATTEMPTS, suspending.again(attempt), stored.version)
        group.add(f"dispatch.suspend:{attempt.task}", write)
        return False
    if attempt.state is AttemptState.SUSPENDING:
        return False
    shown = replace(
        attempt,
        state=AttemptState.RUNNING,
        handle=seen.handle or attempt.handle,
        endpoint=seen.endpoint or attempt.endpoint,
        started_at=seen.started_at or attempt.started_at,
    )
    # A name alone is stored with what is new next, most often that it started: one write less.
    if replace(shown, handle=attempt.handle) != attempt:
        group.add(f"dispatch.seen:{attempt.task}", Put(ATTEMPTS, shown, stored.version))
    return False


def _missing(
    desk: Desk, executor: str, live: Live, seen: Mapping[AttemptId, Observation], fleet: Fleet
) -> bool:
    """Give up attempts that run as far as is known, but that their executor does not show."""
    changed = False
    now = desk.clock.now()
    for known, stored in live.items():
        attempt = stored.value
        begun = attempt.state is not AttemptState.INTENDED and attempt.executor == executor
        if not begun or known in seen:
            continue
        if is_given_up(desk, attempt, fleet):
            message = f"executor {executor} does not know it any more"
            lost = replace(_lost(attempt, now), message=message)
            changed |= outcomes.settle(desk, stored, lost, fleet)
    return changed


def _stop_if_over(desk: Desk, attempt: AttemptId) -> None:
    """Stop what came back with a cluster that was given up; leave alone what is not ours."""
    stored = desk.ledger.get(ATTEMPTS, attempt)
    if stored is not None and stored.value.state.is_terminal:
        _LOG.info("stopping %s, which was given up before", attempt)
        _stopped(desk, stored.value)


def _stopped(desk: Desk, attempt: Attempt) -> bool:
    try:
        desk.executors[attempt.executor].stop(attempt.attempt_id)
    except RetryableError as error:
        _LOG.warning("%s could not be stopped: %s", attempt.attempt_id, error.message)
        return False
    return True


def _lost(attempt: Attempt, now: float) -> Observation:
    return Observation(
        attempt_id=attempt.attempt_id,
        state=AttemptState.LOST,
        ended_at=now,
        reason=Reason.CLUSTER_DOWN,
        message=f"cluster {attempt.cluster} does not answer",
    )


def _grace_seconds(fleet: Fleet, name: str) -> float:
    known: dict[str, Cluster] = {cluster.name: cluster for cluster in fleet.clusters}
    return known[name].grace_seconds if name in known else _GRACE_SECONDS
