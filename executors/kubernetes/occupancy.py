"""What runs on nodes already that is not this engine's: the requests of other pods. Pure.

The scheduler of a cluster counts requests, not use, so this does as well. A pod asks for what its
containers ask for together or for its largest initial container, whichever is more, and for its
overhead (Kubernetes, "Pod scheduling: effective requests").
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.model.resources import Resources
from executors.kubernetes.api import Document
from executors.kubernetes.jobs import GPU, INSTALLATION
from executors.kubernetes.nodes import amount

FIELDS = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"
"""Field selector of pods that hold something of a node."""

_GIB = 2.0**30
_READ = ("cpu", "memory", GPU)


def selector(installation: str) -> str:
    """Return the label selector of pods that an installation did not make."""
    return f"{INSTALLATION}!={installation}"


def keep_request(item: Document) -> Document:
    """Return what is read of a pod: its node, and what it asks for (cores, GiB, GPUs)."""
    spec: Document = item["spec"]
    running = _total(spec.get("containers") or ())
    starting = (0.0, 0.0, 0.0)
    for container in spec.get("initContainers") or ():
        own = _asked(container)
        if container.get("restartPolicy") == "Always":
            # A sidecar goes on beside the others.
            running = _plus(running, own)
        starting = (max(starting[0], own[0]), max(starting[1], own[1]), max(starting[2], own[2]))
    most = tuple(max(pair) for pair in zip(running, starting, strict=True))
    cpu, memory, gpus = _plus((most[0], most[1], most[2]), _amounts(spec.get("overhead") or {}))
    return {"node": spec.get("nodeName", ""), "asks": (cpu, memory / _GIB, gpus)}


def taken(pods: Iterable[Document]) -> dict[str, Resources]:
    """Return what pods hold, by node."""
    sums: dict[str, tuple[float, float, float]] = {}
    for pod in pods:
        sums[pod["node"]] = _plus(sums.get(pod["node"], (0.0, 0.0, 0.0)), pod["asks"])
    return {
        node: Resources(cpu_cores=round(cpu, 3), memory_gib=round(memory, 3), gpu_count=gpus)
        for node, (cpu, memory, gpus) in sums.items()
    }


_Amounts = tuple[float, float, float]


def _asked(container: Document) -> _Amounts:
    return _amounts((container.get("resources") or {}).get("requests") or {})


def _amounts(named: Document) -> _Amounts:
    cpu, memory, gpus = (amount(str(named.get(key, "0"))) for key in _READ)
    return cpu, memory, gpus


def _total(containers: Iterable[Document]) -> _Amounts:
    found = (0.0, 0.0, 0.0)
    for container in containers:
        found = _plus(found, _asked(container))
    return found


def _plus(first: _Amounts, second: _Amounts) -> _Amounts:
    return first[0] + second[0], first[1] + second[1], first[2] + second[2]
