"""What people ask for: pipelines of tasks with an SLA and limits.

These are the values behind the YAML file, the Python client and `POST /v1/plans`; the
readers in `engine.documents` turn each of those into the same `PipelineSpec`.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TypeGuard

from engine.model.identifiers import MicroDollars, PipelineName, TaskName

Scalar = str | int | float | bool
"""A small value: a parameter of a task or an entry of its `outputs.json`."""
WHOLE_MAX = 10**300
"""Beyond it a whole number is infinite, as a number with a point beyond its range is."""
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""What neither commands nor files can hold."""


def is_scalar(value: object) -> TypeGuard[Scalar]:
    """Whether a value is one that every command, file and table takes."""
    if isinstance(value, str):
        return _NO_TEXT.search(value) is None
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and abs(value) <= WHOLE_MAX


class TaskKind(StrEnum):
    """What a task does; each kind has a built-in command that `command` may override."""

    ETL = "etl"
    FEATURES = "features"
    TRAIN = "train"
    EVALUATE = "evaluate"
    PACKAGE = "package"
    SERVE = "serve"


class Join(StrEnum):
    """When a task with several upstream tasks may start."""

    ALL = "all"
    """Every upstream task succeeded; one that was skipped skips this one too."""
    ANY = "any"
    """All upstream tasks are terminal and at least one of them succeeded."""
    DONE = "done"
    """All upstream tasks are terminal, however they ended; `when` may read how (`a.state`)."""


class Within(StrEnum):
    """How near is near: what tasks that stand beside each other share."""

    NODE = "node"
    """The same machine: for tasks of several nodes, all nodes of the one that has fewer."""
    CLUSTER = "cluster"
    REGION = "region"


class BudgetPeriod(StrEnum):
    """What a budget is counted over."""

    RUN = "run"
    """Binds the expected cost of the tasks that end."""
    MONTH = "month"
    """Binds serving, at 30 days."""


class RetrainTrigger(StrEnum):
    """What may start a retraining."""

    DRIFT = "drift"
    QUALITY = "quality"
    SCHEDULE = "schedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """When the last task but serving must have ended. Exactly one of the three forms is set.

    at_seconds: an instant, in seconds since 1970 in UTC.
    within_seconds: counted from the plan's `as_of`.
    daily_at: `HH:MM` in the zone `zone` (IANA name); the next one after `as_of` binds.
    """

    at_seconds: float | None = None
    within_seconds: float | None = None
    daily_at: str | None = None
    zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sla:
    """What a pipeline promises.

    keep: joint probability, per run, that all tasks but serve end by the deadline.
    earliest_start: no task starts before this instant, which has the same forms.
    weight: worth of this pipeline against others when not all can be placed.
    late_micro_dollars_per_hour: what an hour after the deadline costs; None where it must be kept.
    """

    deadline: Deadline | None = None
    keep: float = 0.95
    weight: float = 1.0
    earliest_start: Deadline | None = None
    late_micro_dollars_per_hour: MicroDollars | None = None

    @property
    def has_hard_deadline(self) -> bool:
        """Whether a plan must keep the deadline, rather than pay for every hour after it."""
        return self.deadline is not None and self.late_micro_dollars_per_hour is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a pipeline may cost and where it may run; empty tuples allow everything.

    move_micro_dollars: what it is worth, on a re-plan, to leave a task on the pool where the last
        plan had it.
    """

    budget_micro_dollars: MicroDollars | None = None
    budget_period: BudgetPeriod = BudgetPeriod.RUN
    regions: tuple[str, ...] = ()
    """Region names, or continents (`eu`, `us`, ...) that stand for their regions."""
    providers: tuple[str, ...] = ()
    move_micro_dollars: MicroDollars | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """Resources a person insists on; what is None is forecast. GPU memory is per GPU."""

    cpu_cores: float | None = None
    memory_gib: float | None = None
    disk_gib: float | None = None
    network_mbps: float | None = None
    gpu_model: str | None = None
    gpu_count: int | None = None
    gpu_memory_gib: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What a serve task promises to its callers, per 30 days."""

    requests_per_second_peak: float = 1.0
    latency_ms_p99: float | None = None
    availability: float | None = None
    """A fraction: 99.9 % is 0.999."""
    load_by_hour: tuple[float, ...] = ()
    """24 shares of the peak by hour of day in UTC; empty means the peak at every hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """How many workers may train a model together; plans choose a number from a range.

    speed_ups: numbers of workers with how many times faster than one they are, where a person says
        so, in the order of the numbers.
    """

    least: int
    most: int
    speed_ups: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """What an evaluate task checks before it lets a model pass."""

    quality_at_least: float | None = None
    quality_drop_at_most: float | None = None
    """Largest loss of quality against the model in service, where one is."""
    loss_must_fall: bool = True
    forbid_nan: bool = True
    outputs: tuple[str, ...] = ()
    """Outputs that every judged model must have written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Affinity:
    """Tasks that one is to stand beside or apart from, and what they then share or do not.

    Both ways round, whatever the hours: a machine, cluster or region is shared by all that have a
    place there in the plan. Tasks without a place bind nobody, and no task binds itself.

    tasks: of the same pipeline. labels: of any pipeline, those that carry all of these.
    """

    within: Within = Within.CLUSTER
    tasks: tuple[TaskName, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


NETWORK_TERMS = ("network_parameters", "network_activations", "network_inputs", "batch_size")
"""Parameters of a task that say how large a network it trains: weights, values that all layers put
out and that one sample holds, and samples in a batch. Memory on a GPU follows from them."""
NETWORK_LAYERS = "network_layers"
"""Parameter that names every layer of it (`engine.model.networks`), which says more than sums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Which value of a list that a task writes is that of another task, in a loop over that list.

    task, output: where the list stands, as JSON. parameter: what its values are called. number:
    which of them, from 1; a turn beyond the list is skipped. most: how many there may be.
    """

    task: TaskName
    output: str
    parameter: str
    number: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """One task. Only `kind` is needed: all else is forecast or has the default shown.

    when: a CEL expression over outputs of upstream tasks and parameters of any; false skips it.
    reads: path or URI of the data; relative paths start at the pipeline's `folder`, and are not
        kept in it: a task may read what its command may.
    model: families to train (`knn`, `tree`, `forest`, `svm`, `boosting`, `logistic`), or one of
        the models of operations (`arima`, `transformer`, `graph`), trained on what the task reads.
    trials: configurations tried for each family.
    workers: that train together, on one node or several; None for a command that starts once. What
        it wishes is then for each worker.
    retries: new attempts after a failure that may pass.
    loop: the loop that it is one of, and at_once: how many of that may run at the same time.
    turn: its value where the loop goes over a list that a task writes; None for any other.
    data_in: cluster in which the `volume_gib` that it reads lie; other clusters pay to move them.
    output_gib: what it hands on to those that wait for it; None to go by `volume_gib`.
    interruptible: whether it may run where machines are taken away, and then starts again from its
        beginning; a service never does.
    tolerates: taints of pools that do not keep it out.
    labels: by which affinities of other tasks may name it.
    beside, apart_from: tasks with which it must, or must not, share a machine, cluster or region.
    """

    name: TaskName
    kind: TaskKind
    after: tuple[TaskName, ...] = ()
    when: str | None = None
    join: Join = Join.ALL
    command: tuple[str, ...] = ()
    image: str | None = None
    reads: str | None = None
    writes: str | None = None
    volume_gib: float | None = None
    data_in: str | None = None
    output_gib: float | None = None
    rows: int | None = None
    target: str | None = None
    """Name of the column to predict."""
    schema: Mapping[str, str] = field(default_factory=dict)
    """Column name to unit (`chol: mg/dL`), as the task expects it to arrive."""
    model: tuple[str, ...] = ()
    trials: int | None = None
    workers: Workers | None = None
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    wishes: Wishes = field(default_factory=Wishes)
    serving: Serving | None = None
    gates: Gates | None = None
    retries: int = 2
    loop: TaskName | None = None
    at_once: int | None = None
    turn: Turn | None = None
    interruptible: bool = True
    tolerates: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[Affinity, ...] = ()
    apart_from: tuple[Affinity, ...] = ()

    @property
    def attributes(self) -> dict[str, Scalar]:
        """What is known of the task before it runs, in the words of run records.

        Parameters are among it. Who writes a record adds what only the run knew (`rows`, `columns`
        of its input).
        """
        known: dict[str, Scalar] = dict(self.parameters)
        if self.rows is not None:
            known["rows"] = self.rows
        if self.volume_gib is not None:
            known["volume_gib"] = self.volume_gib
        if self.trials is not None:
            known["trials"] = self.trials
        if self.model:
            known["model"] = "+".join(self.model)
        if self.command:
            known["command"] = " ".join(self.command)
        if self.serving is not None:
            known["requests"] = self.serving.requests_per_second_peak
        return known


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainPolicy:
    """When a pipeline may be run again by itself, and the guards that bound it."""

    triggers: tuple[RetrainTrigger, ...] = ()
    quality_below: float | None = None
    every_seconds: float | None = None
    times_per_day: int = 2
    budget_per_day_micro_dollars: MicroDollars | None = None
    cool_down_seconds: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSpec:
    """A pipeline: tasks in the order they were written, an SLA, limits and a retrain policy.

    folder: where relative paths of `reads` start; an absolute path, or "" for the engine's own.
    """

    name: PipelineName
    tasks: tuple[TaskSpec, ...]
    owner: str = "unknown"
    folder: str = ""
    sla: Sla = field(default_factory=Sla)
    limits: Limits = field(default_factory=Limits)
    retrain: RetrainPolicy | None = None
    seed: int = 0

    def task(self, name: str) -> TaskSpec:
        """Return the task of that name; `KeyError` when there is none."""
        for task in self.tasks:
            if task.name == name:
                return task
        raise KeyError(name)

    def reads_outside(self, task: TaskSpec) -> bool:
        """Whether a task reads what, by its path alone, is no file of the folder; a URI is none."""
        if not task.reads or "://" in task.reads:
            return False
        if not self.folder:
            return True
        whole = posixpath.normpath(posixpath.join(self.folder, task.reads))
        return not PurePosixPath(whole).is_relative_to(posixpath.normpath(self.folder))
