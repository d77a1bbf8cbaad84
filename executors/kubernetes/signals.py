"""Port `SignalSource`: whether clusters answer, and how much of them is held.

Without these the watch would not hear of a cluster that went silent, and nothing would be planned
around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.model.fleet import Cluster
from engine.model.signals import Layer, Signal
from engine.ports import Clock, FleetSource


class KubernetesSignals:
    """One look at each Kubernetes cluster per window. window_seconds: time between two looks."""

    name = "kubernetes"

    def __init__(self, source: FleetSource, clock: Clock, *, window_seconds: float = 1.0) -> None:
        self._source = source
        self._clock = clock
        self._window_seconds = window_seconds

    def read(self, position: str) -> tuple[Sequence[Signal], str]:
        """Return a look at every cluster when a window has passed; position: of the last look."""
        now = self._clock.now()
        if position and now - float(position) < self._window_seconds:
            return (), position
        found = self._source.fleet().clusters
        looked = [
            signal
            for cluster in found
            if cluster.executor == "kubernetes"
            for signal in _looked(cluster, now)
        ]
        return looked, repr(now)


def _looked(cluster: Cluster, now: float) -> Iterator[Signal]:
    values = {"reachable": (float(cluster.reachable), "")}
    known = [pool.taken for pool in cluster.pools if pool.taken is not None]
    if known:
        values["cpu_cores_taken"] = (sum(each.cpu_cores for each in known), "cores")
        values["memory_gib_taken"] = (sum(each.memory_gib for each in known), "GiB")
        values["gpus_taken"] = (sum(each.gpu_count for each in known), "GPUs")
    values["nodes"] = (float(sum(pool.node_count for pool in cluster.pools)), "nodes")
    labels = {
        "cluster": cluster.name,
        "provider": cluster.provider.value,
        "region": cluster.region,
    }
    for name, (value, unit) in values.items():
        yield Signal(
            name=name,
            layer=Layer.MACHINE,
            subject=f"cluster:{cluster.name}",
            at=now,
            value=value,
            unit=unit,
            labels=labels,
        )
