"""What follows a failed attempt: rules name the cause, a chooser what to change. One remedy each.

Failures of the cluster are repeated as they are and use up none of the task's retries; user
errors, missing inputs and hopeless ones are not repeated; for all others the chooser weighs what
could be changed against what it costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.dispatching import diagnosing, orders, retrying
from engine.dispatching.desk import Desk, RunView
from engine.model.dispatches import Attempt, AttemptState
from engine.model.failures import Failure, Place
from engine.model.fleet import Fleet, Pool
from engine.model.identifiers import MicroDollars
from engine.model.plans import Assignment, task_key
from engine.model.profiles import RunRecord
from engine.model.records import ATTEMPTS, RUN_RECORDS
from engine.model.remedies import (
    NEVER_AGAIN,
    Configuration,
    Diagnosis,
    FailureCause,
    Remedy,
    RemedyStep,
    Retry,
)
from engine.model.resources import Resource, Resources
from engine.model.specs import TaskKind, TaskSpec
from engine.ports import Ledger

_RUNS_READ = 2_000
_ATTEMPTS_READ = 2_000
_RETRIES_KEPT = 5_000
_ENDED = (AttemptState.SUCCEEDED.value, AttemptState.FAILED.value)
_FALLBACK_SECONDS = 600.0
_BATCH_SIZE = "batch_size"


def remedied(
    desk: Desk,
    view: RunView,
    attempts: Sequence[Attempt],
    last_lines: Sequence[str],
    fleet: Fleet,
) -> Remedy:
    """Return what follows the last of `attempts`, which failed or was lost.

    attempts: of one task of the run, oldest first, as they ended.
    """
    spec = view.spec.task(attempts[-1].task)
    assignment = view.plan.assignment(view.spec.name, spec.name)
    near = places(spec, assignment, attempts[-1], fleet) if assignment else ()
    most = max((place.room.memory_gib for place in near), default=0.0)
    now = desk.clock.now()
    recent = retrying.counted(spec, attempts, now)
    diagnosis = diagnosing.diagnose(recent, last_lines, memory_gib_most=most)
    decided = by_rule(spec, attempts, diagnosis, now)
    if decided is not None:
        return decided
    if spec.kind is TaskKind.SERVE or assignment is None or not near:
        return Remedy(diagnosis=diagnosis, step=RemedyStep.SAME, why="it may pass")
    return desk.remedies.choose(_failure(desk, view, attempts, diagnosis, assignment, near))


def by_rule(
    task: TaskSpec, attempts: Sequence[Attempt], diagnosis: Diagnosis, now: float
) -> Remedy | None:
    """Return the remedy where rules decide alone, None where options are to be weighed. Pure."""
    if diagnosis.cause in NEVER_AGAIN:
        why = "another attempt would end alike"
        return Remedy(diagnosis=diagnosis, step=RemedyStep.NONE, why=why)
    if diagnosis.cause is FailureCause.INFRASTRUCTURE:
        if len(retrying.counted(task, attempts, now)) >= retrying.MOST_ATTEMPTS:
            why = f"{retrying.MOST_ATTEMPTS} attempts are the most that a task gets"
            return Remedy(diagnosis=diagnosis, step=RemedyStep.NONE, why=why)
        why = "no fault of the task: it uses up none of its retries"
        return Remedy(
            diagnosis=diagnosis, step=RemedyStep.SAME, why=why, configuration=configured(attempts)
        )
    if not retrying.may_retry(task, attempts, now):
        why = f"its {task.retries} retries are used up" if task.retries else "it has no retries"
        return Remedy(diagnosis=diagnosis, step=RemedyStep.NONE, why=why)
    return None


def configured(attempts: Sequence[Attempt]) -> Configuration | None:
    """Return what the next attempt gets: what the newest remedy of this run says. Pure."""
    for attempt in reversed(attempts):
        if attempt.remedy is not None and attempt.remedy.configuration is not None:
            return attempt.remedy.configuration
    return None


def places(
    task: TaskSpec, assignment: Assignment, attempt: Attempt, fleet: Fleet
) -> tuple[Place, ...]:
    """Return where the next attempt may run: where this one did, and pools beside it. Pure.

    Other clusters would move data and change what the plan promises, so they are left to a new
    plan. A task that stands beside others stays.
    """
    found: list[Place] = []
    for cluster in fleet.clusters:
        if cluster.name != attempt.cluster:
            continue
        here = [pool for pool in cluster.pools if pool.name == attempt.pool]
        beside = () if task.beside or task.apart_from else cluster.pools
        others = [p for p in beside if p.name != attempt.pool and _may_take(task, assignment, p)]
        found += [_place(cluster.name, pool, assignment.node_count) for pool in (*here, *others)]
    return tuple(found)


def placed(
    assignment: Assignment | None, configuration: Configuration | None, fleet: Fleet
) -> Assignment | None:
    """Return an assignment where a remedy puts it; where that is gone, as the plan has it. Pure."""
    if assignment is None or configuration is None or not configuration.pool:
        return assignment
    if assignment.cluster != configuration.cluster:
        return assignment  # a newer plan moved it, which counts more
    for cluster in fleet.clusters:
        for pool in cluster.pools if cluster.name == configuration.cluster else ():
            if pool.name == configuration.pool:
                return replace(assignment, pool=pool.name, machine=pool.shape.machine)
    return assignment


def _may_take(task: TaskSpec, assignment: Assignment, pool: Pool) -> bool:
    """Return whether a pool beside the planned one would do."""
    if pool.node_count < assignment.node_count or set(pool.taints) - set(task.tolerates):
        return False
    if pool.interruptions_per_hour > 0 and not task.interruptible:
        return False
    gpu_model = task.wishes.gpu_model
    if gpu_model is not None and pool.shape.gpu_model != gpu_model:
        return False
    has, needs = pool.shape.resources, assignment.held
    grows = {Resource.MEMORY, Resource.DISK}
    return all(has.of(each) >= needs.of(each) for each in Resource if each not in grows)


def _place(cluster: str, pool: Pool, nodes: int) -> Place:
    return Place(
        cluster=cluster,
        pool=pool.name,
        room=pool.shape.resources.times(nodes),
        price_micro_dollars_per_hour=MicroDollars(pool.price_micro_dollars_per_hour * nodes),
        speed=pool.speed,
    )


def _failure(
    desk: Desk,
    view: RunView,
    attempts: Sequence[Attempt],
    diagnosis: Diagnosis,
    assignment: Assignment,
    near: tuple[Place, ...],
) -> Failure:
    spec = view.spec.task(attempts[-1].task)
    profile = view.plan.profiles.get(task_key(view.spec.name, spec.name))
    duration = profile.duration_seconds if profile else None
    ran_out = diagnosis.cause is FailureCause.OUT_OF_MEMORY
    return Failure(
        pipeline=view.spec.name,
        task=spec,
        diagnosis=diagnosis,
        attempts=tuple(attempts),
        planned=assignment.held.times(assignment.node_count),
        places=near,
        attributes=orders.attributes_before(view, spec),
        seconds=duration.p50 if duration else _FALLBACK_SECONDS,
        retries_left=1 + spec.retries - retrying.failures(spec, attempts, desk.clock.now()),
        batch_size=_batch_size(view, spec, attempts[-1]),
        profile=profile,
        runs=_own_runs(desk.ledger, attempts[-1], spec) if ran_out else (),
        retries=tuple(known_retries(desk)),
    )


def _batch_size(view: RunView, task: TaskSpec, attempt: Attempt) -> int | None:
    """Return the batch size of an attempt, None where it has none that can be halved."""
    if attempt.configuration is not None and attempt.configuration.batch_size is not None:
        return attempt.configuration.batch_size
    given = orders.overrides(view.run, task.name).get(_BATCH_SIZE, task.parameters.get(_BATCH_SIZE))
    return given if isinstance(given, int) and not isinstance(given, bool) and given > 1 else None


def _own_runs(ledger: Ledger, attempt: Attempt, task: TaskSpec) -> tuple[RunRecord, ...]:
    """Return past runs of an attempt's task, oldest first, with the memory of as many workers."""
    found = ledger.select(
        RUN_RECORDS,
        where={"kind": task.kind.value},
        order_by="ended_at",
        descending=True,
        limit=_RUNS_READ,
    )
    mine = [s.value for s in found if (s.value.pipeline, s.value.task) == _task_of(attempt)]
    workers = max(attempt.workers, 1)
    return tuple(replace(r, memory_gib_peak=r.memory_gib_peak * workers) for r in reversed(mine))


def _task_of(attempt: Attempt) -> tuple[str, str]:
    return attempt.pipeline, attempt.task


def known_retries(desk: Desk) -> list[Retry]:
    """Return past retries, oldest first: read once, and from then on as they come."""
    if not desk.retries:
        found = desk.ledger.select(
            ATTEMPTS,
            where={"state": _ENDED},
            order_by="intended_at",
            descending=True,
            limit=_ATTEMPTS_READ,
        )
        by_task: dict[tuple[str, str], list[Attempt]] = {}
        for stored in reversed(found):
            attempt = stored.value
            by_task.setdefault((attempt.run_id, attempt.task), []).append(attempt)
        desk.retries.append(
            sorted(
                (
                    retry
                    for attempts in by_task.values()
                    for count in range(2, len(attempts) + 1)
                    if (retry := retry_of(attempts[:count], _kind(desk, attempts[0]))) is not None
                ),
                key=lambda retry: retry.ended_at,
            )
        )
    return desk.retries[0]


def note(desk: Desk, attempts: Sequence[Attempt], kind: TaskKind) -> None:
    """Learn what came of a retry, at once."""
    if not desk.retries:
        return  # it is in the store, from where all are read when the first is asked for
    retry = retry_of(attempts, kind)
    if retry is not None:
        desk.retries[0].append(retry)
        del desk.retries[0][:-_RETRIES_KEPT]


def retry_of(attempts: Sequence[Attempt], kind: TaskKind) -> Retry | None:
    """Return what the last of `attempts` tells of the remedy before it; None if nothing. Pure."""
    last = attempts[-1]
    before = [a for a in attempts[:-1] if a.state is AttemptState.FAILED and a.remedy is not None]
    ended = last.state in {AttemptState.SUCCEEDED, AttemptState.FAILED}
    if not before or not ended or last.ended_at is None:
        return None
    remedy = before[-1].remedy
    if remedy is None or not remedy.retries:
        return None
    by_others = last.remedy is not None and (
        last.remedy.diagnosis.cause is FailureCause.INFRASTRUCTURE
    )
    if by_others:
        return None
    cause = remedy.diagnosis.cause
    alike = sum(a.remedy is not None and a.remedy.diagnosis.cause is cause for a in before)
    return Retry(
        pipeline=last.pipeline,
        task=last.task,
        kind=kind,
        cause=cause,
        step=remedy.step,
        repeat=alike,
        succeeded=last.state is AttemptState.SUCCEEDED,
        ended_at=last.ended_at,
        words=diagnosing.plain(remedy.diagnosis.words),
    )


def _kind(desk: Desk, attempt: Attempt) -> TaskKind:
    task = desk.task_run(attempt.run_id, attempt.task)
    return task.value.kind if task is not None else TaskKind.TRAIN


def with_memory(needed: Resources, configuration: Configuration | None) -> Resources:
    """Return what an attempt holds under a configuration. Pure."""
    if configuration is None:
        return needed
    memory, disk = configuration.memory_gib, configuration.disk_gib
    return Resources(
        cpu_cores=needed.cpu_cores,
        memory_gib=needed.memory_gib if memory is None else memory,
        gpu_count=needed.gpu_count,
        gpu_memory_gib=needed.gpu_memory_gib,
        disk_gib=needed.disk_gib if disk is None else disk,
        network_mbps=needed.network_mbps,
    )
