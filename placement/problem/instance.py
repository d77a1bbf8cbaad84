"""The placement problem as the search sees it: integers, indices, nothing to look up.

Times are whole milliseconds after `as_of`, amounts are thousandths of a resource's unit, money is
micro-dollars. Tasks become jobs; a pool of a cluster that may run a job becomes an option of it.
Nothing is rounded to slots: runs of seconds and runs of days stand in the same problem, and the
solver's intervals cost the same whatever their length. Slots remain where they say something:
in profiles (needs by slot) and in the calendar of serve tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.model.fleet import Cluster, Pool
from engine.model.identifiers import MicroDollars
from engine.model.plans import Assignment, Refusal
from engine.model.profiles import Profile, Quantiles
from engine.model.resources import Resource, Resources
from engine.model.specs import PipelineSpec, TaskSpec, Within

COUNTED = (Resource.CPU, Resource.MEMORY, Resource.GPU, Resource.DISK, Resource.NETWORK)
"""Resources that add up over a pool, in the order of every `Amounts`."""

Amounts = tuple[int, ...]
"""Thousandths of a unit of each of `COUNTED`."""

MILLISECONDS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What all tasks of a problem share.

    serving_end_ms: until when services are looked at; they start a horizon earlier at the latest.
    shares: by pool, the lambda of each resource in mean + lambda (high - mean).
    """

    as_of: float
    end_ms: int
    horizon_ms: int
    serving_end_ms: int
    serving_hours: int
    shares: Mapping[int, tuple[float, ...]]

    def share(self, pool_index: int) -> tuple[float, ...]:
        """Return the lambdas of a pool; 1 (every task at its own high need) unless set."""
        return self.shares.get(pool_index, (1.0,) * len(COUNTED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of constant need.

    start_ms: after the start of a job that ends; after `as_of` for a serve job, whose spans
        follow the calendar and are cut off before the job starts.
    """

    start_ms: int
    end_ms: int
    amounts: Amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One pool that may run one job.

    pool_index: position of the pool in the fleet; buckets: what the job draws on there.
    duration_ms: at the level the plan is made for; 0 for a serve job.
    duration: the run's quantiles there, in seconds; None for a serve job.
    held: what is reserved on each of `node_count` nodes.
    spans: what is taken of the pool over time; node_spans: of each of the nodes. peak, node_peak:
        the largest need of any span, resource by resource.
    cost: expected for the run, of an hour for a serve job; objective: what it adds to the
        objective (a serve job counts for the horizon).
    """

    pool_index: int
    cluster: Cluster
    pool: Pool
    buckets: tuple[int, ...]
    node_count: int
    held: Resources
    duration_ms: int
    duration: Quantiles | None
    spans: tuple[Span, ...]
    node_spans: tuple[Span, ...]
    peak: Amounts
    node_peak: Amounts
    cost: MicroDollars
    cost_p95: MicroDollars
    objective: MicroDollars
    latency_ms: float | None = None
    availability: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """Data that move from one job to another when they stand in different regions.

    origin: where data lie that no job of the problem makes; `source` is -1 then.
    """

    source: int
    target: int
    volume_gib: float
    probability: float
    origin: Cluster | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bond:
    """What a job must share, or must not share, with another job when both have a place.

    reach: the zones (`placement.problem.bonds.zone`) in which the other has an option.
    """

    other: int
    within: Within
    apart: bool
    reach: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A task to be placed.

    upstream: jobs that must end first; release_ms: end of upstream tasks that run already.
    latest_ms: when it must have ended (a serve job: have started).
    tail_ms: least time from its end to the end of the last job that waits for it.
    seat: jobs of one seat never run in the same run, so that they share what they reserve;
        -1 for a job with a seat of its own.
    options: cheapest first; refusals: limits by pool index for the pools that are ruled out
        whatever the rest of the plan looks like. bonds: the other end has the same.
    moved_from: `CLUSTER/POOL` that it costs something to leave; "" for a job that is new.
    """

    index: int
    key: str
    line: int
    spec: TaskSpec
    profile: Profile
    upstream: tuple[int, ...]
    descendants: tuple[int, ...]
    release_ms: int
    latest_ms: int
    tail_ms: int
    serve: bool
    weight: int
    probability: float
    seat: int
    options: tuple[Option, ...]
    refusals: Mapping[int, tuple[Refusal, ...]]
    bonds: tuple[Bond, ...] = ()
    moved_from: str = ""

    def option(self, pool_index: int) -> Option | None:
        """Return the option on that pool, or None where it is ruled out."""
        return next((o for o in self.options if o.pool_index == pool_index), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A pipeline: its jobs and its money.

    budget: what its jobs may cost (`serving`: its serve jobs per hour, else its other jobs).
    spent: what its running tasks cost already, out of the same budget.
    late_price: micro-dollars for an hour after the deadline; 0 where it must be kept.
    slack_ms: how long after the deadline its jobs may end at their levels, since they seldom all
        take so long in one run.
    """

    spec: PipelineSpec
    jobs: tuple[int, ...]
    deadline_ms: int | None
    level: float
    budget: int | None
    budget_is_serving: bool
    spent: int
    late_price: int = 0
    slack_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Something limited that jobs draw on: a pool, or an owner's quota of a cluster.

    base: what is taken by reservations and running tasks; base_nodes: on how many nodes each of
        them stands, 0 where nobody knows.
    node, node_count: capacity of one node, and how many there are; a quota is one node.
    """

    name: str
    capacity: Amounts
    base: tuple[Span, ...]
    base_nodes: tuple[int, ...]
    node: Amounts
    node_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One placement problem.

    pools: (cluster, pool) in the fleet's order; buckets: one per pool in the same order, then
        the quotas. quotas: by owner, then by pool, the bucket of the owner's quota there.
    job_edges: by job the edges at either end of it; line_edges: by line.
    whole: a pipeline is placed with all its jobs or not at all. budget: of all jobs together.
    """

    frame: Frame
    quotas: Mapping[str, Mapping[int, int]]
    jobs: tuple[Job, ...]
    lines: tuple[Line, ...]
    pools: tuple[tuple[Cluster, Pool], ...]
    buckets: tuple[Bucket, ...]
    edges: tuple[Edge, ...]
    job_edges: tuple[tuple[int, ...], ...]
    line_edges: tuple[tuple[int, ...], ...]
    fixed: tuple[Assignment, ...]
    whole: bool = False
    budget: int | None = None
    transfers: dict[tuple[int, str, str], int] = field(
        default_factory=dict, compare=False, repr=False
    )
    """What moves of data cost, by edge and clusters, as far as anybody has asked."""

    @property
    def as_of(self) -> float:
        """The instant at which the plan is made."""
        return self.frame.as_of

    @property
    def end_ms(self) -> int:
        """End of the time that is looked at."""
        return self.frame.end_ms

    @property
    def serving_hours(self) -> int:
        """Hours that a serve job counts for in the objective."""
        return self.frame.serving_hours

    def bonded(self, line: int) -> set[int]:
        """Return the other pipelines of which a job must, or must not, stand near one of this."""
        jobs = (self.jobs[index] for index in self.lines[line].jobs)
        return {self.jobs[bond.other].line for job in jobs for bond in job.bonds} - {line}

    def instant(self, milliseconds: int) -> float:
        """Return milliseconds after `as_of` as an instant."""
        return self.as_of + milliseconds / MILLISECONDS
