"""What machines have and tasks need."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Resource(StrEnum):
    """A dimension of capacity; the value is the name used in documents and refusals."""

    CPU = "cpu"
    MEMORY = "memory"
    GPU = "gpu"
    GPU_MEMORY = "gpu memory"
    DISK = "disk"
    NETWORK = "network"

    @property
    def unit(self) -> str:
        """The unit in which this resource is counted."""
        return _UNITS[self]


_UNITS = {
    Resource.CPU: "cores",
    Resource.MEMORY: "GiB",
    Resource.GPU: "GPUs",
    Resource.GPU_MEMORY: "GiB per GPU",
    Resource.DISK: "GiB",
    Resource.NETWORK: "Mbit/s",
}

_FIELDS = {
    Resource.CPU: "cpu_cores",
    Resource.MEMORY: "memory_gib",
    Resource.GPU: "gpu_count",
    Resource.GPU_MEMORY: "gpu_memory_gib",
    Resource.DISK: "disk_gib",
    Resource.NETWORK: "network_mbps",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """An amount of every resource. `gpu_memory_gib` is per GPU, all others are totals."""

    cpu_cores: float = 0.0
    memory_gib: float = 0.0
    gpu_count: float = 0.0
    gpu_memory_gib: float = 0.0
    disk_gib: float = 0.0
    network_mbps: float = 0.0

    def of(self, resource: Resource) -> float:
        """Return the amount of one resource in its unit."""
        return float(getattr(self, _FIELDS[resource]))

    def plus(self, other: Resources) -> Resources:
        """Return the sum; GPU memory, being per GPU, is the larger of the two."""
        return Resources(
            cpu_cores=self.cpu_cores + other.cpu_cores,
            memory_gib=self.memory_gib + other.memory_gib,
            gpu_count=self.gpu_count + other.gpu_count,
            gpu_memory_gib=max(self.gpu_memory_gib, other.gpu_memory_gib),
            disk_gib=self.disk_gib + other.disk_gib,
            network_mbps=self.network_mbps + other.network_mbps,
        )

    def times(self, factor: float) -> Resources:
        """Return every total multiplied by `factor`; GPU memory, being per GPU, stays."""
        return Resources(
            cpu_cores=self.cpu_cores * factor,
            memory_gib=self.memory_gib * factor,
            gpu_count=self.gpu_count * factor,
            gpu_memory_gib=self.gpu_memory_gib,
            disk_gib=self.disk_gib * factor,
            network_mbps=self.network_mbps * factor,
        )
