"""Collections of the store: which values are kept, under which key, found by which columns.

A collection is one table: key, version (counted up by every write), a few columns to find
records by, and the value itself as canonical JSON. `version` makes compare-and-set possible: a
write whose `expected` is not the stored version fails the whole batch with `ConflictError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from engine.model.alarms import Action, Alarm, Event, SuperAlarm
from engine.model.capacity import CapacityReport
from engine.model.dispatches import Attempt, Deployment, Run, TaskRun
from engine.model.feedback import CheckFeedback, Feedback, Folding, Silence
from engine.model.intake import Delivery, Firing, Sender
from engine.model.messages import Message
from engine.model.plans import Plan
from engine.model.profiles import RunRecord
from engine.model.signals import Season, Signal
from engine.model.sizing import ServiceSize
from engine.model.specs import PipelineSpec

T = TypeVar("T")
Column = str | float | None

ABSENT = 0
"""The `expected` version of a record that must not exist yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterHealth:
    """What the engine last knew of a cluster; `reachable` false keeps placement away."""

    cluster: str
    reachable: bool
    since: float
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """Which engine may write: `number` goes up with every start and is the fence of attempts."""

    number: int
    started_at: float
    process: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Which of several engines leads: the one whose `renewals` go on going up.

    holder: that engine, "" when it gave the lease back. seconds: how long others wait, each on a
    clock of its own, after they last saw a renewal, before one of them takes over. It holds no
    instant, so that clocks that differ or jump do no harm.
    """

    holder: str
    seconds: float
    renewals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far a signal source was read; `position` is the source's own word for it."""

    source: str
    position: str


@dataclass(frozen=True, slots=True)
class Collection(Generic[T]):
    """One kind of record. `columns` compute the values by which `select` can filter and order."""

    name: str
    type: type[T]
    key: Callable[[T], str]
    columns: Mapping[str, Callable[[T], Column]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stored(Generic[T]):
    """A record as it was read."""

    value: T
    version: int


@dataclass(frozen=True, slots=True)
class Put(Generic[T]):
    """Write a value; `expected` None overwrites whatever is there, `ABSENT` only creates."""

    collection: Collection[T]
    value: T
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Check(Generic[T]):
    """Let the batch pass only while the record still has this version."""

    collection: Collection[T]
    key: str
    version: int


@dataclass(frozen=True, slots=True)
class Delete(Generic[T]):
    """Remove a record; removing one that is not there is no error."""

    collection: Collection[T]
    key: str


Write = Put[Any] | Check[Any] | Delete[Any]
"""One part of an atomic batch."""


def task_run_key(run: str, task: str) -> str:
    """Return the key of a task run."""
    return f"{run}/{task}"


PIPELINES: Collection[PipelineSpec] = Collection(
    "pipelines", PipelineSpec, lambda v: v.name, {"owner": lambda v: v.owner}
)
PLANS: Collection[Plan] = Collection(
    "plans", Plan, lambda v: v.plan_id, {"as_of": lambda v: v.request.as_of}
)
RUNS: Collection[Run] = Collection(
    "runs",
    Run,
    lambda v: v.run_id,
    {
        "pipeline": lambda v: v.pipeline,
        "state": lambda v: v.state.value,
        "created_at": lambda v: v.created_at,
    },
)
TASK_RUNS: Collection[TaskRun] = Collection(
    "task_runs",
    TaskRun,
    lambda v: task_run_key(v.run_id, v.task),
    {
        "run_id": lambda v: v.run_id,
        "pipeline": lambda v: v.pipeline,
        "state": lambda v: v.state.value,
    },
)
ATTEMPTS: Collection[Attempt] = Collection(
    "attempts",
    Attempt,
    lambda v: v.attempt_id,
    {
        "run_id": lambda v: v.run_id,
        "state": lambda v: v.state.value,
        "cluster": lambda v: v.cluster,
        "intended_at": lambda v: v.intended_at,
    },
)
DEPLOYMENTS: Collection[Deployment] = Collection(
    "deployments", Deployment, lambda v: v.pipeline, {"endpoint": lambda v: v.endpoint}
)
SIGNALS: Collection[Signal] = Collection(
    "signals",
    Signal,
    lambda v: f"{v.series}@{v.at!r}",
    {"series": lambda v: v.series, "at": lambda v: v.at, "layer": lambda v: v.layer.value},
)
ALARMS: Collection[Alarm] = Collection(
    "alarms",
    Alarm,
    lambda v: v.alarm_id,
    {"series": lambda v: v.series, "at": lambda v: v.known_at},
)
SUPER_ALARMS: Collection[SuperAlarm] = Collection(
    "super_alarms",
    SuperAlarm,
    lambda v: v.super_alarm_id,
    {"state": lambda v: v.state.value, "updated_at": lambda v: v.updated_at},
)
ACTIONS: Collection[Action] = Collection(
    "actions",
    Action,
    lambda v: v.action_id,
    {
        "kind": lambda v: v.kind.value,
        "state": lambda v: v.state.value,
        "pipeline": lambda v: v.pipeline,
        "wanted_at": lambda v: v.wanted_at,
    },
)
EVENTS: Collection[Event] = Collection(
    "events",
    Event,
    lambda v: v.event_id,
    {"at": lambda v: v.at, "kind": lambda v: v.kind},
)
RUN_RECORDS: Collection[RunRecord] = Collection(
    "run_records",
    RunRecord,
    lambda v: f"{v.pipeline}/{v.task}@{v.ended_at!r}",
    {"kind": lambda v: v.kind.value, "ended_at": lambda v: v.ended_at},
)
CLUSTER_HEALTH: Collection[ClusterHealth] = Collection(
    "cluster_health", ClusterHealth, lambda v: v.cluster
)
CAPACITY_REPORTS: Collection[CapacityReport] = Collection(
    "capacity_reports", CapacityReport, lambda v: v.report_id, {"as_of": lambda v: v.as_of}
)
TERMS: Collection[Term] = Collection("terms", Term, lambda _: "engine")
LEASES: Collection[Lease] = Collection("leases", Lease, lambda _: "engine")
CURSORS: Collection[Cursor] = Collection("cursors", Cursor, lambda v: v.source)
FIRINGS: Collection[Firing] = Collection(
    "firings",
    Firing,
    lambda v: v.firing_id,
    {
        "sender": lambda v: v.sender,
        "state": lambda v: v.state.value,
        "received_at": lambda v: v.received_at,
    },
)
DELIVERIES: Collection[Delivery] = Collection(
    "deliveries",
    Delivery,
    lambda v: f"{v.received_at:017.6f}/{v.sender}",
    {"sender": lambda v: v.sender, "received_at": lambda v: v.received_at},
)
SENDERS: Collection[Sender] = Collection("senders", Sender, lambda v: v.name)
SILENCES: Collection[Silence] = Collection(
    "silences", Silence, lambda v: v.silence_id, {"ends_at": lambda v: v.until}
)
FOLDINGS: Collection[Folding] = Collection(
    "foldings",
    Folding,
    lambda v: v.alarm.alarm_id,
    {"silence_id": lambda v: v.silence_id, "at": lambda v: v.at},
)
FEEDBACK: Collection[Feedback] = Collection(
    "feedback", Feedback, lambda v: v.key, {"at": lambda v: v.at}
)
CHECK_FEEDBACK: Collection[CheckFeedback] = Collection(
    "check_feedback",
    CheckFeedback,
    lambda v: v.key,
    {"at": lambda v: v.at, "super_alarm_id": lambda v: v.super_alarm_id},
)
MESSAGES: Collection[Message] = Collection(
    "messages",
    Message,
    lambda v: v.message_id,
    {
        "channel": lambda v: v.channel,
        "state": lambda v: v.state.value,
        "due_at": lambda v: v.due_at,
    },
)
SERVICE_SIZES: Collection[ServiceSize] = Collection(
    "service_sizes", ServiceSize, lambda v: v.pipeline, {"at": lambda v: v.at}
)
SEASONS: Collection[Season] = Collection(
    "seasons",
    Season,
    lambda v: f"{v.series}@{v.number}",
    {"expires_at": lambda v: v.expires_at},
)

COLLECTIONS: tuple[Collection[Any], ...] = (
    PIPELINES,
    PLANS,
    RUNS,
    TASK_RUNS,
    ATTEMPTS,
    DEPLOYMENTS,
    SIGNALS,
    ALARMS,
    SUPER_ALARMS,
    ACTIONS,
    EVENTS,
    RUN_RECORDS,
    CLUSTER_HEALTH,
    CAPACITY_REPORTS,
    TERMS,
    LEASES,
    CURSORS,
    FIRINGS,
    DELIVERIES,
    SENDERS,
    SILENCES,
    FOLDINGS,
    FEEDBACK,
    CHECK_FEEDBACK,
    MESSAGES,
    SERVICE_SIZES,
    SEASONS,
)
"""Every collection, in the order of the loop."""
