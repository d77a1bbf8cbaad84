"""Runs of pipelines, runs of tasks, attempts, and what executors are asked and answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from engine.model import tenures
from engine.model.identifiers import (
    AttemptId,
    ClusterName,
    Digest,
    PipelineName,
    PlanId,
    PoolName,
    RunId,
    TaskName,
)
from engine.model.remedies import Configuration, Remedy
from engine.model.resources import Resources
from engine.model.specs import Scalar, TaskKind
from engine.model.tenures import Tenure


class RunState(StrEnum):
    """State of one execution of a pipeline."""

    ACTIVE = "active"
    SUCCEEDED = "succeeded"
    """Every task but serving is terminal without failure, and serving is live."""
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunCause(StrEnum):
    """Why a run exists."""

    SUBMITTED = "submitted"
    RETRAIN = "retrain"


class TaskState(StrEnum):
    """State of a task in a run."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing changes any more."""
        return self not in {TaskState.WAITING, TaskState.RUNNING}


class AttemptState(StrEnum):
    """State of one attempt; `INTENDED` is stored before the executor is called."""

    INTENDED = "intended"
    RUNNING = "running"
    SUSPENDING = "suspending"
    """It is to leave its machine for a more important task, and holds its room until it has."""
    SUSPENDED = "suspended"
    """It is off its machine and holds nothing; its task waits for room to go on."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"
    """Its cluster went away; it counts as dead after the cluster's grace period."""
    STOPPED = "stopped"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing changes any more."""
        return self not in _LIVE

    @property
    def holds_room(self) -> bool:
        """Whether it holds capacity of its cluster."""
        return self in _LIVE and self is not AttemptState.SUSPENDED


_LIVE = frozenset(
    {
        AttemptState.INTENDED,
        AttemptState.RUNNING,
        AttemptState.SUSPENDING,
        AttemptState.SUSPENDED,
    }
)


class Reason(StrEnum):
    """Machine-readable reason of a state."""

    NONE = ""
    UPSTREAM = "waits for upstream tasks"
    CAPACITY = "waits for capacity"
    LOOP = "waits for others of its loop"
    NOT_BEFORE = "waits for its planned start"
    NO_PLACE = "no cluster may run it"
    CLUSTER_DOWN = "its cluster does not answer"
    COMPLETED = "completed"
    EXIT_CODE = "the command failed"
    OUT_OF_MEMORY = "out of memory"
    TIMED_OUT = "ran past its time limit"
    KILLED = "killed from outside"
    GATE = "a gate refused the model"
    BAD_INPUT = "its input is not what it should be"
    BAD_OUTPUT = "its outputs are missing or damaged"
    CONDITION_FALSE = "its condition is false"
    NO_VALUE = "its loop has fewer values"
    CONDITION_ERROR = "its condition could not be evaluated"
    UPSTREAM_SKIPPED = "an upstream task was skipped"
    UPSTREAM_FAILED = "an upstream task failed"
    CANCELLED = "cancelled"
    REPLACED = "replaced by a newer one"
    ROLLED_BACK = "rolled back to an earlier one"
    NO_ANSWER = "its server does not answer"
    EVICTED = "evicted from its node"
    NODE_LOST = "its node was lost"
    PREEMPTED = "preempted by something more urgent"
    INFRASTRUCTURE = "its cluster could not run it"
    IMAGE = "its image cannot be had"
    ADMISSION = "refused by its cluster"
    RESIZED = "starts again with another size"
    ALARM = "stopped because of an alarm"


INFRASTRUCTURE_REASONS = frozenset(
    {Reason.EVICTED, Reason.NODE_LOST, Reason.PREEMPTED, Reason.INFRASTRUCTURE}
)
"""Failures of the cluster, which are no failures of the task: they use up none of its retries."""

RETRYABLE_REASONS = INFRASTRUCTURE_REASONS | {
    Reason.OUT_OF_MEMORY,
    Reason.TIMED_OUT,
    Reason.KILLED,
    Reason.EXIT_CODE,
    Reason.CLUSTER_DOWN,
    Reason.IMAGE,
}
"""Failures after which another attempt may succeed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a pipeline under a plan.

    plan_id: the plan in force; a re-plan replaces it.
    owner: whose pipeline it is, among whom clusters are shared; "" when nobody wrote it down.
    parameters: `TASK.NAME` to value, overriding parameters of tasks (a remedy, for example).
    reason: why a retrain run was started (the super-alarm's id) or a run failed.
    """

    run_id: RunId
    pipeline: PipelineName
    plan_id: PlanId
    cause: RunCause
    state: RunState
    created_at: float
    owner: str = ""
    ended_at: float | None = None
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRun:
    """One task in one run.

    attempt: number of the newest attempt, 0 before the first. A result counts only when it is
        of this attempt.
    outputs: small values from `outputs.json`; artifacts: output name to digest.
    waiting_for: names of what it waits for (tasks, a cluster, a pool), for people.
    not_before: instant before which no further attempt starts, after one that failed.
    """

    run_id: RunId
    pipeline: PipelineName
    task: TaskName
    kind: TaskKind
    state: TaskState
    reason: Reason = Reason.NONE
    message: str = ""
    attempt: int = 0
    cluster: ClusterName | None = None
    pool: PoolName | None = None
    outputs: Mapping[str, Scalar] = field(default_factory=dict)
    artifact: Digest | None = None
    """The task's output folder as one artefact."""
    waiting_for: tuple[str, ...] = ()
    not_before: float | None = None
    started_at: float | None = None
    ended_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What an attempt was measured to use."""

    duration_seconds: float
    cpu_seconds: float
    memory_gib_peak: float
    disk_gib: float = 0.0


_NO_RUN, _NO_TASK = RunId(""), TaskName("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """That an attempt gave way to a more important task, and what that cost it so far.

    run_id, task: whom it gave way to last; "" for nobody that is known.
    since: instant at which it was asked to; None while it goes on.
    count: how often it left its machine. seconds: how long it waited in earlier suspensions.
    lost_seconds: how long it had run each time, which is run again.
    """

    run_id: RunId = _NO_RUN
    task: TaskName = _NO_TASK
    since: float | None = None
    count: int = 0
    seconds: float = 0.0
    lost_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One start of a task, anywhere. The row is written before the executor is called."""

    attempt_id: AttemptId
    run_id: RunId
    pipeline: PipelineName
    task: TaskName
    number: int
    executor: str
    cluster: ClusterName
    pool: PoolName
    held: Resources
    state: AttemptState
    intended_at: float
    fence: int
    """Term of the engine that wrote the intent."""
    owner: str = ""
    """Whose pipeline it is for."""
    handle: str = ""
    """The executor's own name for it; "" before the start was confirmed."""
    endpoint: str = ""
    """Base URL of a serve task that is up."""
    started_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    reason: Reason = Reason.NONE
    message: str = ""
    usage: Usage | None = None
    configuration: Configuration | None = None
    """What a remedy changed for it; None for an attempt as planned."""
    remedy: Remedy | None = None
    """What follows it, once it failed."""
    suspension: Suspension | None = None
    """That it is to give way, gives way or did; None for one that never did."""
    nodes: int = 1
    """How many nodes run its command together."""
    workers: int = 0
    """How many workers train together on all of them; 0 for a command that starts once."""
    begins: Digest | None = None
    """What an earlier attempt of the training left, from which this one goes on."""
    left: Digest | None = None
    """What it had written when it failed, where that could be kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOrder:
    """What an executor is asked to start; a second start of the same attempt changes nothing.

    inputs: upstream task to the digest of its output folder, laid out below `$BERTH_INPUTS`; under
        the task's own name what an earlier attempt left.
    parameters: what the built-in command reads from `$BERTH_PARAMETERS` (a JSON file): the
        task's spec fields it needs, merged with the run's overrides.
    limits: memory is enforced; cpu sets affinity and thread variables. Those of each node.
    nodes: how many run the command together, each told which it is and where all meet; the first
        hands on the outputs, and one that fails ends them all. workers: that the command is to
        start on all of them together, see `workers_of_nodes`; 0 where it starts none.
    time_limit_seconds: None for serving.
    """

    attempt_id: AttemptId
    run_id: RunId
    pipeline: PipelineName
    task: TaskName
    kind: TaskKind
    cluster: ClusterName
    pool: PoolName
    command: tuple[str, ...]
    """Empty for the built-in command of the kind."""
    folder: str
    """Where relative paths of `reads` start."""
    inputs: Mapping[str, Digest]
    parameters: Mapping[str, object]
    limits: Resources
    nodes: int = 1
    workers: int = 0
    time_limit_seconds: float | None = None

    @property
    def workers_of_nodes(self) -> tuple[int, ...]:
        """How many workers each node starts, in the order of the nodes: as even as can be."""
        share, more = divmod(self.workers, self.nodes)
        return tuple(share + (node < more) for node in range(self.nodes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What an executor sees of an attempt. Terminal ones carry outputs and an exit reason.

    artifact: what it wrote; of one that failed only where workers trained, and it could be kept.

    last_lines: of what a command that failed wrote, oldest first; causes are read from them.
    """

    attempt_id: AttemptId
    state: AttemptState
    handle: str = ""
    endpoint: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    reason: Reason = Reason.NONE
    message: str = ""
    outputs: Mapping[str, Scalar] = field(default_factory=dict)
    artifact: Digest | None = None
    usage: Usage | None = None
    last_lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The model that a pipeline serves: level-triggered, wanted against serving.

    wanted: digest of the packaged image that should serve; serving: the one that does.
    swapped_at: when `serving` last changed; swaps: how often it did.
    served: which models served when, oldest first.
    run_id: run whose package is wanted.
    unanswered: swaps in a row that the server did not answer; next_swap_at: instant before which
        it is not asked again.
    """

    pipeline: PipelineName
    task: TaskName
    run_id: RunId
    wanted: Digest
    serving: Digest | None = None
    previous: Digest | None = None
    attempt_id: AttemptId | None = None
    endpoint: str = ""
    swapped_at: float | None = None
    swaps: int = 0
    unanswered: int = 0
    next_swap_at: float | None = None
    served: tuple[Tenure, ...] = ()

    @property
    def former(self) -> tuple[Tenure, ...]:
        """Models that served before the present one, newest first.

        Of one from before a record was kept it is not known since when it served.
        """
        present = self.serving or self.wanted
        if self.served:
            return tuple(one for one in reversed(self.served) if one.digest != present)
        if self.previous is None:
            return ()
        return (Tenure(digest=self.previous, since=-math.inf, until=self.swapped_at),)

    def swapped(self, digest: Digest, at: float) -> Deployment:
        """Return it as it is when a model serves from an instant on."""
        known = self.served
        if not known and self.serving is not None and self.swapped_at is not None:
            known = (Tenure(digest=self.serving, since=self.swapped_at),)
        return replace(
            self,
            serving=digest,
            previous=self.serving if self.serving not in {None, digest} else self.previous,
            swapped_at=at,
            swaps=self.swaps + 1,
            served=tenures.handed_over(known, digest, at),
        )
