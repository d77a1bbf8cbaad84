"""Where and when each task runs, what it costs, and why: a document that never changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from engine.model.fleet import Fleet
from engine.model.identifiers import (
    ClusterName,
    MicroDollars,
    PipelineName,
    PlanId,
    PoolName,
    TaskName,
)
from engine.model.profiles import Profile
from engine.model.resources import Resources
from engine.model.specs import PipelineSpec


class Mode(StrEnum):
    """What is fixed and what is optimised."""

    MOST_SLA = "most-sla"
    """Least unplaced SLA weight within the budget, then least money."""
    LEAST_COST = "least-cost"
    """Every SLA kept, then least money."""


class Limit(StrEnum):
    """Why a candidate is refused. The first that is violated, in this order, is the binding one.

    From `SLOT_CAPACITY` on they depend on the rest of the plan; among those the one with the
    largest relative shortage binds.
    """

    UNREACHABLE = "unreachable"
    REGION = "region"
    PROVIDER = "provider"
    TAINT = "taint"
    AFFINITY = "affinity"
    UNKNOWN_SHAPE = "unknown shape"
    GPU_KIND = "gpu kind"
    GPU_MEMORY = "gpu memory"
    MEMORY = "memory"
    CPU = "cpu"
    DISK = "disk"
    NETWORK = "network"
    COUNT = "count"
    NODE_FIT = "node fit"
    QUOTA = "quota"
    SLOT_CAPACITY = "slot capacity"
    EARLIEST_START = "earliest start"
    DEADLINE = "deadline"
    AVAILABILITY = "availability"
    LATENCY = "latency"
    BUDGET = "budget"


class Ruling(StrEnum):
    """What became of a candidate."""

    CHOSEN = "chosen"
    POSSIBLE = "possible"
    REFUSED = "ruled out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One limit that rules a candidate out: what it needs, what there is, in which unit.

    `needs` and `has` are numbers where the limit is one, else the words in question.
    """

    limit: Limit
    needs: float | str
    has: float | str
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One pool of one cluster as a candidate for one task.

    delta_micro_dollars: cost against the plan when only this task moves here; never negative
        in a plan that is shown; None for a refused candidate.
    start_seconds, end_seconds_p95: in the scenarios of the promises with only this task moved:
        the start at P50, and the end at P95, as of the chosen candidate.
    binding: the one limit that rules it out; `also` holds the others.
    """

    cluster: ClusterName
    pool: PoolName
    machine: str
    ruling: Ruling
    start_seconds: float | None = None
    end_seconds_p95: float | None = None
    cost_micro_dollars: MicroDollars | None = None
    delta_micro_dollars: MicroDollars | None = None
    binding: Refusal | None = None
    also: tuple[Refusal, ...] = ()


class Turning(StrEnum):
    """What a break-even value is a value of."""

    PRICE = "price"
    DEADLINE = "deadline"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """The task would move to `cluster`/`pool` if the turning quantity passed `value`.

    price: of that pool, micro-dollars per node and hour, below which it would move.
    deadline: instant before which the deadline would have to be.
    memory: GiB under which the task's need would have to be.
    """

    turning: Turning
    cluster: ClusterName
    pool: PoolName
    value: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything considered for one task: every pool of every cluster appears once."""

    pipeline: PipelineName
    task: TaskName
    verdicts: tuple[Verdict, ...]
    break_evens: tuple[BreakEven, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Where and when one task runs.

    held: what is reserved on each node; node_count nodes of the pool's shape are used.
    end_seconds_p50, end_seconds_p95, slack_seconds: None for a serve task.
    cost_micro_dollars: expected, for the run; for a serve task the cost of one hour.
    probability: chance that the task runs at all (below 1 behind a `when` condition).
    workers: that train together, on all nodes; 0 for a command that starts once.
    why: one short reason a person can read.
    """

    pipeline: PipelineName
    task: TaskName
    cluster: ClusterName
    pool: PoolName
    machine: str
    node_count: int
    held: Resources
    start_seconds: float
    end_seconds_p50: float | None
    end_seconds_p95: float | None
    slack_seconds: float | None
    cost_micro_dollars: MicroDollars
    cost_micro_dollars_p95: MicroDollars
    probability: float = 1.0
    workers: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersOption:
    """What a plan would be with so many workers of one task, all else as in the plan.

    seconds_p50, cost_micro_dollars: of the task; None where it has no place.
    total_micro_dollars: objective of the whole plan. late_seconds, keep_forecast: of its pipeline.
    against: why there is no such plan, or none that places as much; "" where nothing is.
    """

    workers: int
    speed_up: float
    seconds_p50: float | None = None
    cost_micro_dollars: MicroDollars | None = None
    total_micro_dollars: MicroDollars | None = None
    keep_forecast: float | None = None
    late_seconds: float = 0.0
    against: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersChoice:
    """How many workers a task gets of those it may have. why: in words, for people."""

    pipeline: PipelineName
    task: TaskName
    workers: int
    options: tuple[WorkersOption, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """A task that no cluster can run, with what every candidate lacks."""

    pipeline: PipelineName
    task: TaskName
    refusal: Refusal
    """Of the candidate that came nearest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """Tasks that use the same nodes of a pool at different hours.

    nodes_alone: nodes needed when each task holds its peak alone for the whole horizon.
    nodes_shared: nodes that are needed in the plan's busiest slot.
    """

    cluster: ClusterName
    pool: PoolName
    tasks: tuple[str, ...]
    """As `PIPELINE/TASK`."""
    nodes_alone: int
    nodes_shared: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What a pipeline asked for, and what this plan gives it.

    late_seconds, late_micro_dollars: how long after its deadline it ends at the level it is planned
        at, and what it said that this costs; None where the deadline must be kept.
    """

    pipeline: PipelineName
    deadline_seconds: float | None
    keep_asked: float
    keep_forecast: float | None
    """None without a deadline."""
    run_cost_micro_dollars: MicroDollars
    run_cost_micro_dollars_p95: MicroDollars
    serving_micro_dollars_per_hour: MicroDollars
    latency_ms_p99: float | None = None
    availability: float | None = None
    late_seconds: float = 0.0
    late_micro_dollars: MicroDollars | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Capacity of a pool that is held by something else, so many nodes' worth per slot.

    held: total amount over the pool; from and to are instants, to is None for no end.
    holder: `PIPELINE/TASK`, or a name such as `other teams`. labels: of that task.
    """

    cluster: ClusterName
    pool: PoolName
    holder: str
    held: Resources
    from_seconds: float
    to_seconds: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """Everything a plan follows from: the same request gives the same bytes.

    fixed: tasks that run already and stay where they are (assignments of a running plan).
    moved_from: `PIPELINE/TASK` to the `CLUSTER/POOL` where the plan before this one had it; going
        elsewhere costs what the pipeline's limits say of a move.
    work_limit: deterministic work units the solver may spend (about a second each).
    whole: a pipeline is placed with all its tasks or not at all, and weighs what its SLA does.
    budget_micro_dollars: most that the tasks placed by this plan may cost together, services for
        the horizon; it binds in `MOST_SLA` mode.
    """

    pipelines: tuple[PipelineSpec, ...]
    fleet: Fleet
    as_of: float
    mode: Mode = Mode.LEAST_COST
    seed: int = 0
    horizon_hours: int = 24
    slot_seconds: float = 900.0
    reservations: tuple[Reservation, ...] = ()
    fixed: tuple[Assignment, ...] = ()
    done: Mapping[PipelineName, tuple[TaskName, ...]] = field(default_factory=dict)
    """Tasks that ended already and need no place."""
    work_limit: float = 4.0
    moved_from: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False
    budget_micro_dollars: MicroDollars | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementProblem:
    """A plan request with the forecast profile of each task, by `PIPELINE/TASK`."""

    request: PlanRequest
    profiles: Mapping[str, Profile]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A placer's answer. Objectives are micro-dollars in the mode's second place.

    bound: best value that any plan could have; gap: (objective - bound) / objective.
    """

    assignments: tuple[Assignment, ...]
    unplaced: tuple[Unplaced, ...]
    explanations: tuple[Explanation, ...]
    sharing: tuple[Sharing, ...]
    promises: tuple[Promise, ...]
    objective_micro_dollars: MicroDollars
    bound_micro_dollars: MicroDollars
    gap: float
    optimal: bool
    notes: tuple[str, ...] = ()
    """What went wrong on the way, such as a solver that could not be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incumbent:
    """The best plan so far while a search goes on; no part of any document.

    unplaced_weight: SLA weight that has no place in it; micro-dollars: what it costs, and the
    best bound so far on plans that leave no more out.
    """

    unplaced_weight: float
    objective_micro_dollars: int
    bound_micro_dollars: int

    @property
    def gap(self) -> float:
        """How far above the bound it may be, as a share of its cost."""
        objective, bound = self.objective_micro_dollars, self.bound_micro_dollars
        return (objective - bound) / objective if objective > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan as it is stored, shown and applied. `plan_id` is a hash of all other fields."""

    plan_id: PlanId
    version: str
    """Of Berth."""
    request: PlanRequest
    profiles: Mapping[str, Profile]
    placement: Placement
    workers: tuple[WorkersChoice, ...] = ()

    def assignment(self, pipeline: str, task: str) -> Assignment | None:
        """Return where a task runs, or None when it was not placed."""
        for assignment in self.placement.assignments:
            if assignment.pipeline == pipeline and assignment.task == task:
                return assignment
        return None

    def promise(self, pipeline: str) -> Promise | None:
        """Return what a pipeline is given, or None when the plan says nothing of it."""
        promises = self.placement.promises
        return next((each for each in promises if each.pipeline == pipeline), None)


def task_key(pipeline: str, task: str) -> str:
    """Return `PIPELINE/TASK`, the key of profiles, sharing and reservations."""
    return f"{pipeline}/{task}"
