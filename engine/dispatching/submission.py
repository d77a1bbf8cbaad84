"""Runs come in and are called off: each is one atomic commit, the dispatcher does the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from engine import runs
from engine.dispatching import news
from engine.dispatching.desk import spec_of, stored_plan
from engine.model import differing
from engine.model.dispatches import Reason, Run, RunCause, RunState, TaskState
from engine.model.errors import ConflictError, NotFoundError, RefusedError
from engine.model.identifiers import PipelineName, RunId
from engine.model.plans import Plan
from engine.model.records import (
    ABSENT,
    CURSORS,
    DEPLOYMENTS,
    EVENTS,
    PIPELINES,
    PLANS,
    RUNS,
    TASK_RUNS,
    Cursor,
    Put,
    Write,
)
from engine.model.specs import PipelineSpec, Scalar
from engine.ports import Clock, Ledger

_TRIES = 10


def submit(
    ledger: Ledger,
    clock: Clock,
    plan: Plan,
    pipeline: str,
    *,
    cause: RunCause = RunCause.SUBMITTED,
    parameters: Mapping[str, Scalar] | None = None,
    reason: str = "",
) -> Run:
    """Store a new run of a pipeline of a plan, all of its tasks waiting, and return it.

    One commit holds the pipeline, the plan, the run and its tasks.

    parameters: `TASK.NAME` to value, overriding parameters of tasks.

    Raises:
        NotFoundError: when the plan has no such pipeline.
        ConflictError: when others submitted at the same moment, ten times in a row.
    """
    run = Run(
        run_id=RunId(""),
        pipeline=PipelineName(pipeline),
        plan_id=plan.plan_id,
        cause=cause,
        state=RunState.ACTIVE,
        created_at=clock.now(),
        parameters=dict(parameters or {}),
        reason=reason,
    )
    return _stored(ledger, run, plan)


def submit_once(ledger: Ledger, clock: Clock, plan: Plan, pipeline: str, *, key: str) -> Run:
    """Submit as `submit` does, or return the run that this key submitted before.

    The key is stored with the run in one commit, so a caller who never saw the answer may
    repeat the call, also across a crash.

    Raises:
        NotFoundError: when the plan has no such pipeline.
    """
    source = f"submission:{key}"
    known = ledger.get(CURSORS, source)
    if known is None:
        run = Run(
            run_id=RunId(""),
            pipeline=PipelineName(pipeline),
            plan_id=plan.plan_id,
            cause=RunCause.SUBMITTED,
            state=RunState.ACTIVE,
            created_at=clock.now(),
        )
        return _stored(ledger, run, plan, source)
    return _run(ledger, known.value.position)


def cancel(ledger: Ledger, clock: Clock, run_id: str) -> Run:
    """Call off a run: what waits never starts, what runs is stopped by the next steps.

    A run that ended but whose model serves is withdrawn: its pipeline no longer serves. A model
    that another run serves goes on serving. A run that was cancelled before is returned as it is,
    so a caller who never saw the answer may repeat the call.

    Raises:
        NotFoundError: when there is no such run.
        RefusedError: when it has ended already, and no model of it serves.
        ConflictError: when it changed at the same moment, ten times in a row.
    """
    for _ in range(_TRIES):
        try:
            return _cancelled(ledger, clock.now(), run_id)
        except ConflictError:
            continue
    raise ConflictError(f"run {run_id!r} changed while it was cancelled", fix="try again")


def _stored(ledger: Ledger, run: Run, plan: Plan, source: str = "") -> Run:
    spec = _spec(plan, run.pipeline)
    for _ in range(_TRIES):
        numbered = replace(run, run_id=runs.next_run_id(ledger), owner=spec.owner)
        writes: list[Write] = [
            *_pipeline(ledger, spec, run.created_at),
            *runs.creation(numbered, spec),
        ]
        if ledger.get(PLANS, plan.plan_id) is None:
            writes.append(Put(PLANS, plan))
        if source:
            writes.append(Put(CURSORS, Cursor(source=source, position=numbered.run_id), ABSENT))
        try:
            ledger.commit(f"dispatch.submit:{run.pipeline}", writes)
        except ConflictError:
            # Another caller took the number, or submitted the same key.
            known = ledger.get(CURSORS, source) if source else None
            if known is not None:
                return _run(ledger, known.value.position)
            continue
        return numbered
    raise ConflictError(f"pipeline {run.pipeline!r} could not be submitted", fix="try again")


def _spec(plan: Plan, pipeline: str) -> PipelineSpec:
    try:
        return spec_of(plan, pipeline)
    except KeyError as error:
        has = ", ".join(spec.name for spec in plan.request.pipelines)
        message = f"plan {plan.plan_id!r} has no pipeline {pipeline!r}, only {has}"
        raise NotFoundError(message, fix=f"berth plan, then apply {pipeline!r}") from error


def _pipeline(ledger: Ledger, spec: PipelineSpec, at: float) -> list[Write]:
    """Return the writes for the spec, with an event when it differs from the stored one."""
    stored = ledger.get(PIPELINES, spec.name)
    if stored is None:
        return [Put(PIPELINES, spec)]
    if stored.value == spec:
        return []
    good = last_good(ledger, spec.name)
    known = {} if good is None else parameters_of(ledger, good)
    found = differing.differences(known, differing.parameters(spec)) if known else ()
    return [Put(PIPELINES, spec), Put(EVENTS, news.pipeline_changed(spec.name, at, found))]


def last_good(ledger: Ledger, pipeline: str) -> Run | None:
    """Return the newest run of a pipeline that succeeded."""
    where = {"pipeline": pipeline, "state": RunState.SUCCEEDED.value}
    found = ledger.select(RUNS, where=where, order_by="created_at", descending=True, limit=1)
    return found[0].value if found else None


def parameters_of(ledger: Ledger, run: Run) -> dict[str, Scalar]:
    """Return every parameter of a run as `TASK.NAME`."""
    return differing.parameters(spec_of(stored_plan(ledger, run), run.pipeline), run.parameters)


def _run(ledger: Ledger, run_id: str) -> Run:
    stored = ledger.get(RUNS, run_id)
    if stored is None:
        raise NotFoundError(f"there is no run {run_id!r}", fix="berth status lists the runs")
    return stored.value


def _cancelled(ledger: Ledger, now: float, run_id: str) -> Run:
    stored = ledger.get(RUNS, run_id)
    if stored is None:
        raise NotFoundError(f"there is no run {run_id!r}", fix="berth status lists the runs")
    if stored.value.state is RunState.CANCELLED:
        return stored.value
    tasks = [
        task
        for task in ledger.select(TASK_RUNS, where={"run_id": run_id})
        if not task.value.state.is_terminal
    ]
    withdrawn = stored.value.state is not RunState.ACTIVE
    if withdrawn and not tasks:
        raise _ended_before(ledger, stored.value)
    run = replace(stored.value, state=RunState.CANCELLED, ended_at=now)
    if withdrawn:
        run = replace(run, reason=f"{run.pipeline} no longer serves")
    writes: list[Write] = [
        Put(
            TASK_RUNS,
            replace(
                task.value,
                state=TaskState.CANCELLED,
                reason=Reason.CANCELLED,
                waiting_for=(),
                ended_at=now,
            ),
            task.version,
        )
        for task in tasks
    ]
    writes.append(Put(EVENTS, news.run_ended(run, now)))
    ledger.commit(f"dispatch.cancel:{run.pipeline}", [Put(RUNS, run, stored.version), *writes])
    return run


def _ended_before(ledger: Ledger, run: Run) -> RefusedError:
    """Return why a run cannot be called off, with the run that serves instead of it."""
    message = f"run {run.run_id!r} has ended already: {run.state.value}"
    deployment = ledger.get(DEPLOYMENTS, run.pipeline)
    if deployment is None:
        return RefusedError(f"{message}; {run.pipeline} does not serve")
    serves = deployment.value.run_id
    fix = f"berth cancel {serves} stops serving {run.pipeline}"
    return RefusedError(f"{message}; {run.pipeline} serves the model of run {serves}", fix=fix)
