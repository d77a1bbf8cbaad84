"""What running services hold against what they use: measured hours, and what they should hold.

A service is what a pipeline serves. Its use comes as signals of the names in `USE_SIGNALS`, of the
subject `use_subject`; they are kept for sizing and are not tested for alarms (the sum of a cluster
is).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.model.identifiers import ClusterName, PipelineName, PoolName, TaskName
from engine.model.profiles import Quantiles
from engine.model.resources import Resource, Resources
from engine.model.specs import Serving

USE_SIGNALS: Mapping[str, Resource] = {
    "service_cpu_cores": Resource.CPU,
    "service_memory_gib": Resource.MEMORY,
    "service_gpus": Resource.GPU,
    "service_gpu_memory_gib": Resource.GPU_MEMORY,
}
"""Names of signals with what a service used, to the resource that is sized by them."""


WHOLE_HOURS = frozenset({Resource.MEMORY, Resource.GPU_MEMORY})
"""Of these one sample too many ends the process, so an hour counts as a whole."""
_MOST_LATE = 0.01
"""Requests beyond P99, which is what is promised."""
_LEAST_SHORT = 1e-4
"""No test of some thousand hours can tell less from nothing."""


def use_subject(pipeline: str, task: str) -> str:
    """Return the subject of the signals with what a service used."""
    return f"service:{pipeline}/{task}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceUse:
    """A running service with what it used, in hours that end now, oldest first.

    used: for each resource (hours, samples an hour), NaN where nothing was measured; all
        services have the same number of hours and samples.
    requests: mean requests a second of each hour, NaN where nothing is known.
    stated: resources on which a person insists. promised: what it promises to its callers; None
        where nobody knows.
    """

    pipeline: PipelineName
    task: TaskName
    cluster: ClusterName
    pool: PoolName
    held: Resources
    used: Mapping[Resource, tuple[tuple[float, ...], ...]]
    requests: tuple[float, ...]
    stated: tuple[Resource, ...] = ()
    promised: Serving | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SizingPolicy:
    """How services are sized.

    memory_short, others_short: share of hours in which memory may be short of what is used, and of
        samples in which a processor may be, unless a promise asks for less. restart_hours: what a
        restart costs, as hours of what is held. stands_hours: for so long a new size must have been
        wanted, and stands.
    applies: whether a service is restarted with another size by itself, or people are told only.
    """

    memory_short: float = 0.01
    others_short: float = 0.05
    restart_hours: float = 6.0
    stands_hours: int = 24
    applies: bool = False

    def allowed(self, resource: Resource, promised: Serving | None) -> float:
        """Return the share of shortage of a resource with which a service keeps its promises.

        Where memory is short the server ends, so the share of such hours is no larger than that of
        the time in which it may be away. Where processors are short requests wait, so the share of
        such samples is no larger than that of the requests that may be late: one in a hundred.
        """
        if resource in WHOLE_HOURS:
            kept = None if promised is None else promised.availability
            away = self.memory_short if kept is None else 1.0 - kept
            return min(self.memory_short, max(away, _LEAST_SHORT))
        late = promised is not None and promised.latency_ms_p99 is not None
        return min(self.others_short, _MOST_LATE) if late else self.others_short


@dataclass(frozen=True, slots=True, kw_only=True)
class SizedAmount:
    """What a service should hold of one resource, and why.

    used_most: largest sample of all hours. short: share of other services' hours or samples in
        which the method held too little in its back-test, for `allowed`; held_over_used: what it
        held there over what was used. hours: known of this service; services: learned from.
    changes: whether it repays a restart.
    """

    resource: Resource
    held: float
    wanted: float
    used_most: float
    changes: bool
    method: str
    allowed: float
    short: float
    held_over_used: float
    hours: int
    services: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSize:
    """The newest recommendation for a service.

    ahead: cores that the requests of each coming hour will keep busy; empty where too little is
        known of requests. note: why there is no recommendation, and what of the measured use cannot
        be and was left out; "" where there is nothing to say.
    """

    pipeline: PipelineName
    task: TaskName
    at: float
    cluster: ClusterName
    pool: PoolName
    amounts: tuple[SizedAmount, ...] = ()
    ahead: tuple[Quantiles, ...] = ()
    note: str = ""

    @property
    def changes(self) -> tuple[SizedAmount, ...]:
        """The amounts that repay a restart."""
        return tuple(amount for amount in self.amounts if amount.changes)
