"""What there is to run on: clusters of pools of nodes, at prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from engine.model.identifiers import ClusterName, MicroDollars, PoolName
from engine.model.resources import Resource, Resources


class Provider(StrEnum):
    """Who owns the machines."""

    AWS = "aws"
    AZURE = "azure"
    GCP = "gcp"
    ON_PREMISES = "on-premises"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeShape:
    """One kind of machine. GPU memory is per GPU; `gpu_model` is "" without GPUs."""

    machine: str
    cpu_cores: float
    memory_gib: float
    disk_gib: float = 100.0
    network_mbps: float = 1_000.0
    gpu_model: str = ""
    gpu_count: int = 0
    gpu_memory_gib: float = 0.0

    @property
    def resources(self) -> Resources:
        """Everything one node has."""
        return Resources(
            cpu_cores=self.cpu_cores,
            memory_gib=self.memory_gib,
            gpu_count=float(self.gpu_count),
            gpu_memory_gib=self.gpu_memory_gib,
            disk_gib=self.disk_gib,
            network_mbps=self.network_mbps,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Nodes of one shape in one cluster.

    price_micro_dollars_per_hour: of a whole node, on demand; time is billed by the second.
    spot_micro_dollars_per_hour: the same when it may be interrupted; None where not offered.
    speed: how many reference seconds (this project's measured local seconds) pass in one
        second of this machine; 2.0 ends a task in half of the time.
    gpu_speed: the same for tasks that use its GPUs; None where it is `speed` for all.
    interruptions_per_hour: how often, on average, a node is taken away from who runs on it; above
        0 the price is that of such machines.
    zones: availability zones in which its nodes are, where that is known.
    taken: what work that is not this engine's holds on all nodes together; None where nobody says.
    """

    name: PoolName
    shape: NodeShape
    node_count: int
    price_micro_dollars_per_hour: MicroDollars
    spot_micro_dollars_per_hour: MicroDollars | None = None
    speed: float = 1.0
    gpu_speed: float | None = None
    taints: tuple[str, ...] = ()
    interruptions_per_hour: float = 0.0
    zones: tuple[str, ...] = ()
    taken: Resources | None = None

    def speed_of(self, gpu_count: float) -> float:
        """Return how many reference seconds of a task with so many GPUs pass in a second."""
        return self.speed if gpu_count <= 0 or self.gpu_speed is None else self.gpu_speed


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster, reached by one executor.

    executor: registered name of the executor that runs its tasks (`local`, `containers`,
        `kubernetes`).
    availability: fraction of 30 days in which it answers.
    latency_ms: round trip between its callers and its servers, added to serving latency.
    reachable: false when it refuses or does not answer; nothing is placed there.
    serves: whether its executor can run services.
    joins_nodes: whether its executor can run a task on several nodes.
    reads_outside: whether its tasks may read files that lie outside of their pipeline's folder.
    grace_seconds: longest time in which a stopped process may still be alive.
    transfer_micro_dollars_per_gib: price of moving data out, by region of the receiver.
    quota: most of a resource that one owner may hold, by owner, then by resource.
    """

    name: ClusterName
    provider: Provider
    region: str
    continent: str
    pools: tuple[Pool, ...]
    executor: str = "local"
    availability: float = 0.999
    latency_ms: float = 10.0
    reachable: bool = True
    serves: bool = True
    joins_nodes: bool = True
    reads_outside: bool = True
    grace_seconds: float = 10.0
    transfer_micro_dollars_per_gib: Mapping[str, MicroDollars] = field(default_factory=dict)
    quota: Mapping[str, Mapping[Resource, float]] = field(default_factory=dict)

    def pool(self, name: str) -> Pool:
        """Return the pool of that name; `KeyError` when there is none."""
        for pool in self.pools:
            if pool.name == name:
                return pool
        raise KeyError(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """All clusters, in the order of the file."""

    clusters: tuple[Cluster, ...]

    def cluster(self, name: str) -> Cluster:
        """Return the cluster of that name; `KeyError` when there is none."""
        for cluster in self.clusters:
            if cluster.name == name:
                return cluster
        raise KeyError(name)
