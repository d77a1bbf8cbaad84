"""What a task needs by slot, from its profile and the wishes of its author."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from engine.model.profiles import Profile, Quantiles
from engine.model.resources import Resource, Resources
from engine.model.specs import TaskSpec
from placement.problem.instance import COUNTED

OVERFLOW = 0.01
"""Largest probability with which a pool may need more than it has, in any slot."""

HARD_LEVEL = 1.0 - OVERFLOW
"""Level at which memory, disk and GPUs are held: a task that needs more of them is killed."""

SOFT_LEVEL = 0.80
"""Level at which CPU and network are held: a task that needs more of them runs slower. What lies
above is left to chance, and is what tasks share: see `placement.search.multiplexing`."""

SOFT = frozenset({Resource.CPU, Resource.NETWORK})

_LEVELS_KEPT = 4_096
"""Slots of a resource that are kept with their levels: a service has many, looked at again and
again while it is explained."""

_WISHED = {
    Resource.CPU: "cpu_cores",
    Resource.MEMORY: "memory_gib",
    Resource.GPU: "gpu_count",
    Resource.DISK: "disk_gib",
    Resource.NETWORK: "network_mbps",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Need in one slot, in units of `COUNTED`: its mean, what is held, and at `HARD_LEVEL`."""

    mean: tuple[float, ...]
    held: tuple[float, ...]
    high: tuple[float, ...]

    def between(self, shares: Sequence[float], most: Sequence[float]) -> tuple[float, ...]:
        """Return mean + share x (high - mean), resource by resource, and no less than is held.

        most: what the task could use at all, since it stands on nodes of a size.
        """
        return tuple(
            min(max(held, mean + share * (min(high, top) - mean)), top)
            for mean, held, high, share, top in zip(
                self.mean, self.held, self.high, shares, most, strict=True
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Everything a task asks of a machine. `slots` are totals over all its replicas."""

    slots: tuple[Slot, ...]
    gpu_memory_gib: float
    gpu_models: tuple[str, ...]
    replicas: int

    @property
    def peak(self) -> tuple[float, ...]:
        """What is held in the largest slot, resource by resource."""
        return tuple(max(values) for values in zip(*(s.held for s in self.slots), strict=True))

    def per_node(self, node_count: int) -> Resources:
        """Return what each of so many nodes must have; replicas are whole."""
        share = math.ceil(self.replicas / node_count) / self.replicas
        cpu, memory, gpu, disk, network = (value * share for value in self.peak)
        return Resources(
            cpu_cores=cpu,
            memory_gib=memory,
            gpu_count=float(math.ceil(gpu - 1e-9)),
            gpu_memory_gib=self.gpu_memory_gib,
            disk_gib=disk,
            network_mbps=network,
        )


def uses_of(task: TaskSpec, profile: Profile) -> dict[Resource, tuple[Quantiles, ...]]:
    """Return the quantiles by slot of what a task needs of each of `COUNTED`."""
    return {resource: _use(profile, task, resource) for resource in COUNTED}


def need_of(task: TaskSpec, profile: Profile) -> Need:
    """Return what a task needs: what its author insists on, and the forecast for the rest."""
    wishes = task.wishes
    use = uses_of(task, profile)
    length = max(len(slots) for slots in use.values())
    slots = []
    for index in range(length):
        mean, held, high = zip(*(_levels(r, _at(use[r], index)) for r in COUNTED), strict=True)
        slots.append(Slot(mean=mean, held=held, high=high))
    gpu_memory = wishes.gpu_memory_gib
    return Need(
        slots=tuple(slots),
        gpu_memory_gib=(
            profile.peak(Resource.GPU_MEMORY, HARD_LEVEL) if gpu_memory is None else gpu_memory
        ),
        gpu_models=profile.gpu_models if wishes.gpu_model is None else (wishes.gpu_model,),
        replicas=max(profile.replicas, 1),
    )


def _use(profile: Profile, task: TaskSpec, resource: Resource) -> tuple[Quantiles, ...]:
    wished = getattr(task.wishes, _WISHED[resource])
    if wished is not None:
        # A training wishes for each worker, a service for all of its replicas together.
        copies = 1 if task.workers is None else profile.replicas
        return (Quantiles.constant(float(wished) * copies),)
    return profile.use.get(resource) or (Quantiles.constant(0.0),)


def _at(slots: tuple[Quantiles, ...], index: int) -> Quantiles:
    return slots[min(index, len(slots) - 1)]


@lru_cache(maxsize=_LEVELS_KEPT)
def _levels(resource: Resource, slot: Quantiles) -> tuple[float, float, float]:
    """Return the mean, what is held and the high need of one slot."""
    return _mean(resource, slot), _held(resource, slot), _high(resource, slot)


def _mean(resource: Resource, slot: Quantiles) -> float:
    # A GPU is given away whole, so that its mean is what it is at its highest.
    return (
        _high(resource, slot) if resource is Resource.GPU else min(slot.mean, _high(resource, slot))
    )


def _held(resource: Resource, slot: Quantiles) -> float:
    return slot.at(SOFT_LEVEL) if resource in SOFT else _high(resource, slot)


def _high(resource: Resource, slot: Quantiles) -> float:
    value = slot.at(HARD_LEVEL)
    return float(math.ceil(value - 1e-9)) if resource is Resource.GPU else value
