"""What a task is expected to need, with the evidence for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from engine.model.identifiers import PipelineName, TaskName
from engine.model.resources import Resource
from engine.model.specs import Scalar, TaskKind

QUANTILE_LEVELS = (0.50, 0.80, 0.90, 0.95, 0.99)
"""Levels at which every profile is stated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """Marginal quantiles of one quantity; they never cross."""

    p50: float
    p80: float
    p90: float
    p95: float
    p99: float

    def __post_init__(self) -> None:
        """Refuse quantiles that cross or are negative."""
        values = self.values
        if any(low > high for low, high in pairwise(values)):
            raise ValueError(f"quantiles cross: {values!r}")
        if values[0] < 0:
            raise ValueError(f"a quantile is negative: {values!r}")

    @property
    def values(self) -> tuple[float, float, float, float, float]:
        """The five values in the order of `QUANTILE_LEVELS`."""
        return (self.p50, self.p80, self.p90, self.p95, self.p99)

    @property
    def least(self) -> float:
        """A guess of the smallest value: as far below P50 as P99 is above, at least half of P50.

        So a quantity that is known has no spread at all.
        """
        return max(self.p50 / 2, 2 * self.p50 - self.p99)

    def at(self, level: float) -> float:
        """Return the quantile at `level` in (0, 1), linear between stated levels.

        Below P50 the line starts at `least` at level 0; above P99 the value of P99 stands.
        """
        levels = (0.0, *QUANTILE_LEVELS)
        values = (self.least, *self.values)
        for index in range(1, len(levels)):
            if level <= levels[index]:
                share = (level - levels[index - 1]) / (levels[index] - levels[index - 1])
                return values[index - 1] + share * (values[index] - values[index - 1])
        return self.p99

    @property
    def mean(self) -> float:
        """The mean of the piecewise linear distribution that `at` describes."""
        levels = (0.0, *QUANTILE_LEVELS, 1.0)
        values = (self.least, *self.values, self.p99)
        return sum(
            (levels[i] - levels[i - 1]) * (values[i] + values[i - 1]) / 2
            for i in range(1, len(levels))
        )

    def times(self, factor: float) -> Quantiles:
        """Return all values multiplied by a factor that is not negative."""
        return Quantiles(
            p50=self.p50 * factor,
            p80=self.p80 * factor,
            p90=self.p90 * factor,
            p95=self.p95 * factor,
            p99=self.p99 * factor,
        )

    @staticmethod
    def constant(value: float) -> Quantiles:
        """Return the quantiles of a quantity that is known."""
        return Quantiles(p50=value, p80=value, p90=value, p95=value, p99=value)


class StorageKind(StrEnum):
    """Where a task's data should live while it runs."""

    MEMORY = "memory"
    LOCAL_DISK = "local disk"
    OBJECT_STORE = "object store"
    WAREHOUSE = "warehouse"


class Method(StrEnum):
    """How a profile was made."""

    OWN_RUNS = "own runs"
    LIKE_RUNS = "like runs"
    RECENT_RUNS = "last runs"
    OWN_TREND = "trend of own runs"
    SIZER = "memory sizer"
    POOLED = "pooled over tasks"
    REGRESSION = "regression"
    TREES = "trees"
    TIMED = "trees over last runs"
    ANALYTIC = "analytic terms"
    PRESET = "preset"
    STATED = "stated by the user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the plan of a run said of it before it began, in the units of its record.

    version: of the learned models that were asked, 0 for none.
    """

    plan: str
    method: Method
    version: int
    duration_seconds: Quantiles | None
    cpu_cores: Quantiles
    memory_gib: Quantiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """How many times faster than one worker several are, and how that is known.

    points: numbers of workers above one with their speed-up, rising in the number.
    """

    points: tuple[tuple[int, float], ...]
    method: Method = Method.PRESET

    def speed_up(self, workers: int) -> float:
        """Return it for a number of workers: linear between points, and flat after the last.

        >>> Scaling(points=((2, 1.8), (4, 3.0))).speed_up(3)
        2.4
        """
        before, value = 1, 1.0
        for count, factor in self.points:
            if workers < count:
                return value + (factor - value) * (workers - before) / (count - before)
            before, value = count, factor
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One finished run of a task as it was measured: what profiles are learned from.

    attributes: what was known before it ran (rows, columns, model, trials, volume_gib, ...).
    duration_seconds: reference seconds, that is measured seconds times the pool's speed and the
        speed-up. workers: that ran it together; cores, memory and GPUs are those of each. speed_up:
        how many times faster than one worker they were taken to be.
    succeeded: false for runs that failed; only their memory is learned from.
    told: what was forecast for it; None for runs that were not planned here.
    """

    pipeline: PipelineName
    task: TaskName
    kind: TaskKind
    attributes: Mapping[str, Scalar]
    ended_at: float
    duration_seconds: float
    cpu_cores_mean: float
    memory_gib_peak: float
    disk_gib: float = 0.0
    network_mbps_mean: float = 0.0
    gpu_count: float = 0.0
    gpu_memory_gib_peak: float = 0.0
    succeeded: bool = True
    told: Told | None = None
    workers: int = 1
    speed_up: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LikeRun:
    """A past run that speaks for a profile; distance 0 is the same task, attributes equal."""

    name: str
    distance: float
    duration_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """Why one quantity of a profile is believed.

    quantity: `duration` or the name of a resource. tested: held-out runs of the back-test; error:
        mean absolute percentage error of the median there; coverage: level (`0.95`) to the share
        of them at or under that quantile; losses: mean loss of each method that could be tested,
        the least first (pinball of the quantiles over the truth; for memory what was wasted over
        what was needed). why: the choice in words.
    """

    quantity: str
    method: Method
    why: str
    tested: int = 0
    error: float | None = None
    coverage: Mapping[str, float] = field(default_factory=dict)
    losses: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Why a profile is believed.

    backtest_error: mean absolute percentage error of the median of duration on held-out own
        or like runs; None when there was nothing to test on.
    coverage_p95: share of those runs whose duration lay at or under the P95 forecast for them.
    grounds: of each quantity that was forecast; version: of the learned models that were asked,
        0 for none.
    """

    method: Method
    like_run_count: int = 0
    like_runs: tuple[LikeRun, ...] = ()
    """The nearest ones, at most three."""
    backtest_error: float | None = None
    coverage_p95: float | None = None
    note: str = ""
    grounds: tuple[Grounds, ...] = ()
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFit:
    """One kind of machine that fits a task, with what the median run takes and costs there."""

    machine: str
    cluster: str
    pool: str
    duration_seconds_p50: float | None
    cost_micro_dollars: int
    """Of the median run; of one hour for a serve task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Forecast needs of one task.

    duration_seconds: in reference seconds; None for a task that runs until it is replaced.
    use: for each resource its quantiles by slot, of the whole task: all replicas together (GPU
        memory per GPU). Batch slots count from the task's start (one
        entry means the same for the whole run); serving slots are calendar hours of the day in
        UTC (24 entries, or one). Memory, disk and GPU memory are maxima, the others means.
    gpu_models: models that would do, best first; empty when no GPU is needed.
    replicas: processes of a serve task at its peak, or workers of a training; `use` is their sum.
    scaling: what more workers would bring; None for a task that none train together.
    service_ms_p99: time in which a serve task answers, in reference milliseconds, without the
        network; None when nothing is known of it.
    machines: kinds that fit, cheapest median run first.
    memory_retries_gib: what to hold after so many tries ran out of memory, rising; empty where
        nothing is known of it.
    """

    task: TaskName
    kind: TaskKind
    duration_seconds: Quantiles | None
    use: Mapping[Resource, tuple[Quantiles, ...]]
    slot_seconds: float = 900.0
    gpu_models: tuple[str, ...] = ()
    storage: StorageKind = StorageKind.LOCAL_DISK
    replicas: int = 1
    machines: tuple[MachineFit, ...] = ()
    evidence: Evidence = field(default_factory=lambda: Evidence(method=Method.PRESET))
    service_ms_p99: float | None = None
    memory_retries_gib: tuple[float, ...] = ()
    scaling: Scaling | None = None

    def peak(self, resource: Resource, level: float = 0.95) -> float:
        """Return the largest slot's quantile at `level`; 0 for a resource that is not used."""
        return max((slot.at(level) for slot in self.use.get(resource, ())), default=0.0)
