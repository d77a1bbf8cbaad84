"""What an executor is asked to start, and what is learned from what it did. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from engine.dispatching.bounds import replica_bounds
from engine.dispatching.desk import RunView
from engine.dispatching.looping import with_value
from engine.dispatching.readiness import ancestors
from engine.model import documents
from engine.model.dispatches import Attempt, AttemptOrder, AttemptState, Run, TaskRun, TaskState
from engine.model.identifiers import Digest
from engine.model.plans import Plan, task_key
from engine.model.profiles import Profile, Quantiles, RunRecord, Told
from engine.model.resources import Resource
from engine.model.specs import Scalar, TaskKind, TaskSpec
from engine.model.trainings import alone_of

_LEAST_TIME_LIMIT_SECONDS = 600.0
_TIME_LIMIT_FACTOR = 10.0
# A limit on every task, wide enough that only one that hangs meets it.

_LEARNED_UPSTREAM = ("rows", "columns")


def order_for(view: RunView, attempt: Attempt) -> AttemptOrder:
    """Return the order for an attempt; the same store gives the same order."""
    task, begins = view.spec.task(attempt.task), attempt.begins
    if task.turn is not None:
        task = with_value(task, {name: stored.value for name, stored in view.tasks.items()})
    return AttemptOrder(
        attempt_id=attempt.attempt_id,
        run_id=attempt.run_id,
        pipeline=attempt.pipeline,
        task=attempt.task,
        kind=task.kind,
        cluster=attempt.cluster,
        pool=attempt.pool,
        command=task.command,
        folder=view.spec.folder,
        inputs=inputs_of(view, task) | ({} if begins is None else {task.name: begins}),
        parameters={
            "task": documents.plain(task),
            "pipeline": view.spec.name,
            "seed": view.spec.seed,
            "overrides": overrides(view.run, task.name) | _remedied(attempt),
            "upstream": outputs_before(view, task),
            **_replicas(view, attempt, task),
        },
        limits=attempt.held.times(1.0 / attempt.nodes),
        nodes=attempt.nodes,
        workers=attempt.workers,
        time_limit_seconds=_time_limit(view, attempt, task),
    )


def _replicas(view: RunView, attempt: Attempt, task: TaskSpec) -> dict[str, list[int]]:
    """Return the bounds within which a server may be scaled when it starts."""
    if task.kind is not TaskKind.SERVE:
        return {}
    profile = view.plan.profiles.get(task_key(attempt.pipeline, task.name))
    return {"replicas": list(replica_bounds(profile, attempt.intended_at))}


def _remedied(attempt: Attempt) -> dict[str, Scalar]:
    """Return the parameters that a remedy changed."""
    changed = attempt.configuration
    if changed is None or changed.batch_size is None:
        return {}
    return {"batch_size": changed.batch_size}


def _time_limit(view: RunView, attempt: Attempt, task: TaskSpec) -> float | None:
    """Return how long an attempt may take, longer where a remedy says so."""
    seconds = time_limit_seconds(view.plan, attempt.pipeline, task)
    factor = 1.0 if attempt.configuration is None else attempt.configuration.time_factor
    return None if seconds is None else seconds * factor


def inputs_of(view: RunView, task: TaskSpec) -> dict[str, Digest]:
    """Return the output folders of the tasks right before it that succeeded."""
    upstream = (view.tasks[name].value for name in task.after)
    return {
        run.task: run.artifact
        for run in upstream
        if run.state is TaskState.SUCCEEDED and run.artifact is not None
    }


def package_digest(package: TaskRun) -> Digest | None:
    """Return the digest of the image that a package task made.

    A command of one's own that does not write the output `digest` is known by its artefact.
    """
    named = package.outputs.get("digest")
    return Digest(named) if isinstance(named, str) else package.artifact


def overrides(run: Run, task: str) -> dict[str, Scalar]:
    """Return the run's parameters that are meant for one task: `etl.unit.chol` as `unit.chol`."""
    prefix = f"{task}."
    return {
        name.removeprefix(prefix): value
        for name, value in run.parameters.items()
        if name.startswith(prefix)
    }


def outputs_before(view: RunView, task: TaskSpec) -> dict[str, Mapping[str, Scalar]]:
    """Return the outputs of every task before a task, empty for one that was skipped."""
    return {name: view.tasks[name].value.outputs for name in ancestors(view.spec, task)}


def condition_values(view: RunView, task: TaskSpec) -> dict[str, object]:
    """Return what the condition of a task may read, by task name.

    Of tasks before it the outputs, and how they ended under `state`; of every task its
    parameters, those of the run before those of the spec, under `parameters`. Of a loop before it
    the outputs of those tasks of it that succeeded, as a list.
    """
    outputs = outputs_before(view, task)
    values: dict[str, Mapping[str, object]] = {}
    loops: dict[str, list[Mapping[str, object]]] = {}
    for each in view.spec.tasks:
        state = view.tasks[each.name].value.state
        ended = {"state": state.value} if each.name in outputs else {}
        values[each.name] = {
            **outputs.get(each.name, {}),
            "parameters": {**each.parameters, **overrides(view.run, each.name)},
            **ended,
        }
        if each.loop is not None and each.name in outputs:
            found = loops.setdefault(each.loop, [])
            if state is TaskState.SUCCEEDED:
                found.append(values[each.name])
    return {**values, **loops}


def time_limit_seconds(plan: Plan, pipeline: str, task: TaskSpec) -> float | None:
    """Return how long an attempt may take: ten times its P99, at least ten minutes."""
    if task.kind is TaskKind.SERVE:
        return None
    profile = plan.profiles.get(task_key(pipeline, task.name))
    if profile is None or profile.duration_seconds is None:
        return _LEAST_TIME_LIMIT_SECONDS
    return max(_LEAST_TIME_LIMIT_SECONDS, _TIME_LIMIT_FACTOR * profile.duration_seconds.p99)


def run_record(view: RunView, attempt: Attempt, speed: float) -> RunRecord | None:
    """Return what an ended attempt teaches, or None when nothing was measured.

    speed: of its pool; turns measured seconds into reference seconds. What several workers did
    together is written down as one of them would have done it alone, by the plan's speed-up.
    """
    usage = attempt.usage
    if usage is None or attempt.ended_at is None:
        return None
    task = view.spec.task(attempt.task)
    profile = view.plan.profiles.get(task_key(view.spec.name, task.name))
    seconds, workers = max(usage.duration_seconds, 1e-6), max(attempt.workers, 1)
    faster = _speed_up(profile, workers)
    return RunRecord(
        pipeline=attempt.pipeline,
        task=attempt.task,
        kind=task.kind,
        attributes=attributes_before(view, task),
        ended_at=attempt.ended_at,
        duration_seconds=usage.duration_seconds * speed * faster,
        cpu_cores_mean=usage.cpu_seconds / seconds / workers,
        memory_gib_peak=usage.memory_gib_peak / workers,
        disk_gib=usage.disk_gib,
        gpu_count=attempt.held.gpu_count / workers,
        succeeded=attempt.state is AttemptState.SUCCEEDED,
        told=_told(view, profile),
        workers=workers,
        speed_up=faster,
    )


def _speed_up(profile: Profile | None, workers: int) -> float:
    """Return how many times faster than one worker so many were planned to be."""
    scaling = None if profile is None else profile.scaling
    return 1.0 if scaling is None else scaling.speed_up(workers)


def attributes_before(view: RunView, task: TaskSpec) -> dict[str, Scalar]:
    """Return what is known of a task before it runs: stated, and told by tasks before it."""
    learned = {
        name: value
        for outputs in outputs_before(view, task).values()
        for name, value in outputs.items()
        if name in _LEARNED_UPSTREAM
    }
    return {**learned, **task.attributes}


def _told(view: RunView, profile: Profile | None) -> Told | None:
    """Return what the plan said of a task, so that it can be held against what happened."""
    if profile is None:
        return None
    nothing = (Quantiles.constant(0.0),)
    # Of a training what it says of a single worker, as the record does.
    profile = alone_of(profile)
    return Told(
        plan=view.plan.plan_id,
        method=profile.evidence.method,
        version=profile.evidence.version,
        duration_seconds=profile.duration_seconds,
        cpu_cores=profile.use.get(Resource.CPU, nothing)[0],
        memory_gib=profile.use.get(Resource.MEMORY, nothing)[0],
    )
