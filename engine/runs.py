"""How a run comes into the store, the same for everybody who starts one.

A submission (`engine.dispatching`) and a retraining (`engine.planning`) write the same records,
and neither may import the other.
"""

from __future__ import annotations

from engine.model.alarms import Event
from engine.model.dispatches import Reason, Run, RunCause, TaskRun, TaskState
from engine.model.identifiers import RunId
from engine.model.records import ABSENT, EVENTS, RUNS, TASK_RUNS, Put, Write
from engine.model.specs import PipelineSpec, TaskSpec
from engine.ports import Ledger

_NEWEST = 100


def next_run_id(ledger: Ledger) -> RunId:
    """Return the lowest `r-N` above all runs.

    Two callers may get the same; `creation` makes the second fail with `ConflictError`, and it
    asks again.
    """
    newest = ledger.select(RUNS, order_by="created_at", descending=True, limit=_NEWEST)
    number = 1 + max((_number(stored.value.run_id) for stored in newest), default=0)
    # A clock that was set back hides newer numbers behind older times.
    while ledger.get(RUNS, f"r-{number}") is not None:
        number += 1
    return RunId(f"r-{number}")


def _number(run_id: RunId) -> int:
    return int(run_id.removeprefix("r-"))


def creation(run: Run, spec: PipelineSpec) -> tuple[Write, ...]:
    """Return the writes of one batch that create a run, every task of it waiting.

    The plan `run.plan_id` has to be stored before, or in the same batch. The batch fails with
    `ConflictError` when there is a run of this id.
    """
    tasks = (Put(TASK_RUNS, _waiting(run, task), ABSENT) for task in spec.tasks)
    return (Put(RUNS, run, ABSENT), *tasks, Put(EVENTS, started(run)))


def _waiting(run: Run, task: TaskSpec) -> TaskRun:
    return TaskRun(
        run_id=run.run_id,
        pipeline=run.pipeline,
        task=task.name,
        kind=task.kind,
        state=TaskState.WAITING,
        reason=Reason.UPSTREAM if task.after else Reason.NONE,
        waiting_for=task.after,
    )


def started(run: Run) -> Event:
    """Return the event of a new run; a retraining is told apart by its label `cause`."""
    what = "retraining" if run.cause is RunCause.RETRAIN else "run"
    why = f" because of {run.reason}" if run.reason else ""
    return Event(
        event_id=f"run-started:{run.run_id}",
        at=run.created_at,
        kind="run",
        subject=f"pipeline:{run.pipeline}",
        message=f"{what} {run.run_id} started under plan {run.plan_id}{why}",
        labels={
            "run": run.run_id,
            "plan": run.plan_id,
            "pipeline": run.pipeline,
            "cause": run.cause.value,
            "state": run.state.value,
        },
    )
