"""What runs now, as plans need it: reservations, tasks that stay, the fleet, and past runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from engine.model.dispatches import Attempt, AttemptState, TaskRun, TaskState
from engine.model.fleet import Fleet
from engine.model.plans import Assignment, Plan, Reservation, task_key
from engine.model.profiles import RunRecord
from engine.model.records import (
    ATTEMPTS,
    CLUSTER_HEALTH,
    DEPLOYMENTS,
    PIPELINES,
    PLANS,
    RUN_RECORDS,
    RUNS,
    TASK_RUNS,
)
from engine.model.resources import Resources
from engine.model.specs import PipelineSpec, TaskKind
from engine.ports import FleetSource, Ledger

HISTORY_LENGTH_MAX = 20_000
"""Newest run records that profiles are learned from."""

OTHERS = "other work"
"""Who holds what is not this engine's."""
_LIVE = tuple(state.value for state in AttemptState if state.holds_room)
_UNDECIDED = (TaskState.WAITING.value, TaskState.RUNNING.value)


def history(ledger: Ledger) -> tuple[RunRecord, ...]:
    """Return the newest run records, oldest first: what every plan of this store learns from."""
    newest = ledger.select(
        RUN_RECORDS, order_by="ended_at", descending=True, limit=HISTORY_LENGTH_MAX
    )
    return tuple(stored.value for stored in reversed(newest))


def current_fleet(ledger: Ledger, source: FleetSource) -> Fleet:
    """Return the fleet as it is now; a cluster is reachable when source and store agree."""
    down = {
        stored.value.cluster
        for stored in ledger.select(CLUSTER_HEALTH)
        if not stored.value.reachable
    }
    return Fleet(
        clusters=tuple(
            replace(cluster, reachable=cluster.reachable and cluster.name not in down)
            for cluster in source.fleet().clusters
        )
    )


def live_attempts(ledger: Ledger) -> tuple[Attempt, ...]:
    """Return the attempts that hold capacity now."""
    found = ledger.select(ATTEMPTS, where={"state": _LIVE}, order_by="intended_at")
    return tuple(stored.value for stored in found)


def attempts_by_task(ledger: Ledger) -> dict[tuple[str, str], Attempt]:
    """Return the attempt that works for each task now, by run and task.

    A server is the attempt of the run that started it, but works for the run whose package is
    wanted.
    """
    attempts = live_attempts(ledger)
    live = {attempt.attempt_id: attempt for attempt in attempts}
    found: dict[tuple[str, str], Attempt] = {(a.run_id, a.task): a for a in attempts}
    for stored in ledger.select(DEPLOYMENTS):
        deployment = stored.value
        server = live.get(deployment.attempt_id) if deployment.attempt_id else None
        if server is not None:
            found[(deployment.run_id, deployment.task)] = server
    return found


def undecided_tasks(ledger: Ledger) -> tuple[TaskRun, ...]:
    """Return the tasks of all runs that wait or run, those of serving included."""
    found = ledger.select(TASK_RUNS, where={"state": _UNDECIDED})
    return tuple(stored.value for stored in found)


def plan_of_run(ledger: Ledger, run_id: str) -> Plan | None:
    """Return the plan in force of a run, None when the run or its plan is not stored."""
    run = ledger.get(RUNS, run_id)
    plan = ledger.get(PLANS, run.value.plan_id) if run else None
    return plan.value if plan else None


def spec_of(ledger: Ledger, pipeline: str) -> PipelineSpec | None:
    """Return a pipeline as it was last submitted, None when nobody submitted it."""
    stored = ledger.get(PIPELINES, pipeline)
    return None if stored is None else stored.value


def running_reservations(
    ledger: Ledger,
    now: float,
    *,
    fleet: Fleet | None = None,
    without_runs: Collection[str] = (),
    serving_planned: Collection[str] = (),
) -> tuple[Reservation, ...]:
    """Return what running plans hold from `now` on: live attempts, and tasks still to come.

    fleet: as it is now; what work that is not this engine's holds of its pools is added.
    without_runs: runs that are planned anew and hold nothing beside the new plan.
    serving_planned: pipelines whose server is part of the new plan (`standing_servers`), so
        that it is not counted twice.
    """
    attempts = attempts_by_task(ledger)
    plans: dict[str, Plan | None] = {}
    found: list[Reservation] = []
    for task in undecided_tasks(ledger):
        if task.run_id in without_runs:
            continue
        if task.kind is TaskKind.SERVE and task.pipeline in serving_planned:
            continue
        if task.run_id not in plans:
            plans[task.run_id] = plan_of_run(ledger, task.run_id)
        plan = plans[task.run_id]
        assignment = plan.assignment(task.pipeline, task.task) if plan else None
        attempt = attempts.get((task.run_id, task.task))
        if attempt is not None:
            held = _of_attempt(attempt, assignment, now)
        elif assignment is not None:
            held = _of_assignment(assignment, now)
        else:
            continue
        found.append(replace(held, labels=_labels(plan, task)))
    found.extend(_of_others(fleet, now) if fleet is not None else ())
    return tuple(sorted(found, key=lambda item: (item.cluster, item.pool, item.holder)))


def _of_others(fleet: Fleet, now: float) -> Iterator[Reservation]:
    """Yield what others hold; nobody says for how long, so without an end."""
    for cluster in fleet.clusters:
        for pool in cluster.pools:
            if pool.taken is not None and pool.taken != Resources():
                yield Reservation(
                    cluster=cluster.name,
                    pool=pool.name,
                    holder=OTHERS,
                    held=pool.taken,
                    from_seconds=now,
                )


def _labels(plan: Plan | None, task: TaskRun) -> Mapping[str, str]:
    """Return the labels of a task, by which others may ask to stand near it or apart."""
    specs = plan.request.pipelines if plan else ()
    named = (t for p in specs if p.name == task.pipeline for t in p.tasks if t.name == task.task)
    spec = next(named, None)
    return {} if spec is None else spec.labels


def _of_attempt(attempt: Attempt, assignment: Assignment | None, now: float) -> Reservation:
    """Hold what runs until its planned duration is over, and never shorter than to `now`."""
    ends: float | None = None
    if assignment is not None and assignment.end_seconds_p95 is not None:
        began = attempt.started_at or attempt.intended_at
        ends = max(now, began + assignment.end_seconds_p95 - assignment.start_seconds)
    return Reservation(
        cluster=attempt.cluster,
        pool=attempt.pool,
        holder=task_key(attempt.pipeline, attempt.task),
        held=attempt.held,
        from_seconds=min(now, attempt.started_at or attempt.intended_at),
        to_seconds=ends,
    )


def _of_assignment(assignment: Assignment, now: float) -> Reservation:
    """Hold what is still to come at its planned time, or from `now` on when that has passed."""
    starts = max(now, assignment.start_seconds)
    end = assignment.end_seconds_p95
    return Reservation(
        cluster=assignment.cluster,
        pool=assignment.pool,
        holder=task_key(assignment.pipeline, assignment.task),
        held=total(assignment),
        from_seconds=starts,
        to_seconds=None if end is None else starts + end - assignment.start_seconds,
    )


def total(assignment: Assignment) -> Resources:
    """Return what an assignment holds on all of its nodes together."""
    return assignment.held.times(assignment.node_count)


def standing_servers(
    ledger: Ledger, fleet: Fleet, pipelines: Collection[str]
) -> tuple[Assignment, ...]:
    """Return the places of servers that are up, for the `fixed` of a new plan.

    A new model of a pipeline is swapped into the server that runs, so a plan of the pipeline
    keeps the server where it is, as long as its cluster is reachable.
    """
    reachable = {cluster.name for cluster in fleet.clusters if cluster.reachable}
    live = {attempt.attempt_id: attempt for attempt in live_attempts(ledger)}
    found: list[Assignment] = []
    for stored in ledger.select(DEPLOYMENTS):
        deployment = stored.value
        attempt = live.get(deployment.attempt_id) if deployment.attempt_id else None
        if attempt is None or deployment.pipeline not in pipelines:
            continue
        plan = plan_of_run(ledger, attempt.run_id)
        assignment = plan.assignment(attempt.pipeline, attempt.task) if plan else None
        if assignment is not None and attempt.cluster in reachable:
            found.append(placed_at(assignment, attempt, fleet))
    return tuple(found)


def placed_at(assignment: Assignment, attempt: Attempt, fleet: Fleet) -> Assignment:
    """Return an assignment where the attempt really is, should the plan say another place."""
    machine = fleet.cluster(attempt.cluster).pool(attempt.pool).shape.machine
    return replace(assignment, cluster=attempt.cluster, pool=attempt.pool, machine=machine)


def running_assignments(
    ledger: Ledger, plan: Plan, fleet: Fleet, tasks: Sequence[TaskRun]
) -> tuple[Assignment, ...]:
    """Return where the running ones of some tasks are, leaving out clusters that do not answer."""
    reachable = {cluster.name for cluster in fleet.clusters if cluster.reachable}
    attempts = attempts_by_task(ledger)
    found: list[Assignment] = []
    for task in tasks:
        attempt = attempts.get((task.run_id, task.task))
        assignment = plan.assignment(task.pipeline, task.task)
        if attempt is None or assignment is None or attempt.cluster not in reachable:
            continue
        found.append(placed_at(assignment, attempt, fleet))
    return tuple(found)
