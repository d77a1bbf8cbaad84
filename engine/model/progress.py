"""How far runs are and when they will end: what `berth status` and the pages show."""

from __future__ import annotations

from dataclasses import dataclass

from engine.model.dispatches import Reason, Run, TaskState
from engine.model.identifiers import ClusterName, PoolName, TaskName
from engine.model.remedies import Remedy
from engine.model.specs import TaskKind


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStatus:
    """One task of a run now. Instants that are forecast carry their quantile in the name.

    reason, message, waiting_for: why it is in this state; what it waits for, by name.
    cluster, pool: where it runs or ran, else where the plan puts it.
    attempt: number of the newest attempt, 0 before the first.
    remedy: what followed, or follows, its last failed attempt; None where none failed.
    start_seconds_p50, start_seconds_p95: forecast start of a waiting task, else None.
    end_seconds_p50, end_seconds_p95: forecast end of a waiting or running task, else None;
        also None for a serve task and behind a task whose end nobody can tell.
    """

    task: TaskName
    kind: TaskKind
    state: TaskState
    reason: Reason = Reason.NONE
    message: str = ""
    waiting_for: tuple[str, ...] = ()
    attempt: int = 0
    cluster: ClusterName | None = None
    pool: PoolName | None = None
    started_at: float | None = None
    ended_at: float | None = None
    start_seconds_p50: float | None = None
    start_seconds_p95: float | None = None
    end_seconds_p50: float | None = None
    end_seconds_p95: float | None = None
    remedy: Remedy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """One run now, its tasks in the order of the spec.

    end_seconds_p50, end_seconds_p95: forecast end of all tasks but serving; None for a run
        that ended, or whose end nobody can tell.
    deadline_seconds: the instant promised by the plan in force.
    endpoint: base URL of the model that its pipeline serves; "" while none does.
    """

    run: Run
    tasks: tuple[TaskStatus, ...]
    end_seconds_p50: float | None = None
    end_seconds_p95: float | None = None
    deadline_seconds: float | None = None
    endpoint: str = ""
