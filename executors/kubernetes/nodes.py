"""From nodes to pools: what is read of a node, and which nodes are alike. Pure.

Nodes of one node group are a pool, where a cloud or an autoscaler names the group; otherwise those
of one instance type. GPUs are read from the labels of NVIDIA's GPU feature discovery.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.model.fleet import NodeShape, Pool, Provider
from engine.model.identifiers import FREE, MicroDollars, PoolName
from engine.model.resources import Resources
from executors.kubernetes.api import Document
from executors.kubernetes.jobs import GPU, Place

GROUPS = (
    "berth.dev/pool",
    "eks.amazonaws.com/nodegroup",
    "cloud.google.com/gke-nodepool",
    "kubernetes.azure.com/agentpool",
    "karpenter.sh/nodepool",
)
TYPE = "node.kubernetes.io/instance-type"
REGION = "topology.kubernetes.io/region"
ZONE = "topology.kubernetes.io/zone"
_READ = frozenset(
    {
        *GROUPS,
        TYPE,
        REGION,
        ZONE,
        "nvidia.com/gpu.product",
        "nvidia.com/gpu.memory",
        "eks.amazonaws.com/capacityType",
        "karpenter.sh/capacity-type",
        "cloud.google.com/gke-spot",
    }
)
_SPOT = (
    ("eks.amazonaws.com/capacityType", "SPOT"),
    ("karpenter.sh/capacity-type", "spot"),
    ("cloud.google.com/gke-spot", "true"),
)
_PROVIDERS = (("aws", Provider.AWS), ("azure", Provider.AZURE), ("gce", Provider.GCP))
_CONTINENTS = {
    "eu": "eu",
    "europe": "eu",
    "us": "us",
    "ca": "us",
    "northamerica": "us",
    "ap": "asia",
    "asia": "asia",
    "sa": "south-america",
    "southamerica": "south-america",
    "af": "africa",
    "africa": "africa",
    "me": "middle-east",
}
CONDITIONS: Mapping[str, tuple[str, str]] = {
    "Ready": ("node_not_ready", "False"),
    "MemoryPressure": ("node_memory_pressure", "True"),
    "DiskPressure": ("node_disk_pressure", "True"),
    "PIDPressure": ("node_pid_pressure", "True"),
    "NetworkUnavailable": ("node_network_unavailable", "True"),
    # As node-problem-detector tells them:
    "KernelDeadlock": ("node_kernel_deadlock", "True"),
    "ReadonlyFilesystem": ("node_disk_readonly", "True"),
}
"""Conditions that are read: the signal of each, and the status that is trouble.

A node whose kubelet says nothing is `Unknown`, which is trouble of `Ready` alone: what it said
last of the others is not known to hold.
"""
_CONTROL = "node-role.kubernetes.io/control-plane"
_FLEETING = ("node.kubernetes.io/",)
# Taints that come and go with the health of a node say nothing about who may use it.
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)([a-zA-Z]*)$")
_FACTORS = {
    "": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip
_GIB = 2.0**30


def keep_node(item: Document) -> Document:
    """Return what is read of a node."""
    metadata: Document = item["metadata"]
    spec: Document = item.get("spec") or {}
    status: Document = item.get("status") or {}
    # Without its version: a heartbeat changes nothing that is read.
    return {
        "name": metadata["name"],
        "labels": {k: v for k, v in (metadata.get("labels") or {}).items() if k in _READ},
        "taints": [
            (each["key"], each.get("value", ""), each["effect"])
            for each in spec.get("taints") or ()
            if not each["key"].startswith(_FLEETING)
        ],
        "trouble": _trouble(status),
        "usable": not spec.get("unschedulable") and _is_ready(status),
        "provider_id": spec.get("providerID", ""),
        "has": {
            key: value
            for key, value in (status.get("allocatable") or {}).items()
            if key in {"cpu", "memory", "ephemeral-storage", GPU}
        },
    }


def _is_ready(status: Document) -> bool:
    conditions = status.get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _trouble(status: Document) -> dict[str, str]:
    """Return the signals of conditions that are trouble, each with the reason that is given."""
    found: dict[str, str] = {}
    for each in status.get("conditions") or ():
        name, bad = CONDITIONS.get(each["type"], ("", ""))
        is_unknown = each["type"] == "Ready" and each["status"] == "Unknown"
        if name and (is_unknown or each["status"] == bad):
            found[name] = str(each.get("reason") or "")
    return found


def amount(text: str) -> float:
    """Return a quantity of Kubernetes as a number; 0 for what is none.

    >>> amount("1500m"), amount("2Gi"), amount("16")
    (1.5, 2147483648.0, 16.0)
    """
    found = _SIZE.match(text)
    return float(found[1]) * _FACTORS.get(found[2], 0.0) if found else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePool:
    """A pool, and how pods are sent to it."""

    pool: Pool
    place: Place


def pools(
    nodes: Iterable[Document],
    prices: Mapping[str, MicroDollars],
    taken: Mapping[str, Resources] | None = None,
) -> tuple[NodePool, ...]:
    """Return the pools of nodes that can be used, by name.

    prices: of a node by instance type; those that are not in it cost nothing.
    taken: what others hold of each node, by its name; None where that is not known.
    """
    groups: dict[str, list[Document]] = {}
    for node in nodes:
        control = any(key == _CONTROL for key, _, _ in node["taints"])
        if node["usable"] and not control:
            groups.setdefault(_name(node), []).append(node)
    return tuple(_pool(name, groups[name], prices, taken) for name in sorted(groups))


def provider(nodes: Iterable[Document], otherwise: Provider) -> Provider:
    """Return who owns the machines, as the first node that says so does."""
    for node in nodes:
        for scheme, found in _PROVIDERS:
            if node["provider_id"].startswith(f"{scheme}:"):
                return found
    return otherwise


def region(nodes: Iterable[Document]) -> str:
    """Return the region that the first node names, "" when none does."""
    return next((str(node["labels"][REGION]) for node in nodes if REGION in node["labels"]), "")


def continent(region_name: str) -> str:
    """Return the continent that the name of a region begins with, as clouds name regions."""
    return _CONTINENTS.get(re.split(r"[-\d]", region_name)[0], region_name)


def _group(node: Document) -> tuple[str, str]:
    """Return the label, with its value, that makes a node's pool."""
    labels: dict[str, str] = node["labels"]
    for key in (*GROUPS, TYPE):
        if labels.get(key):
            return key, labels[key]
    return "", ""


def _name(node: Document) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", _group(node)[1].lower()).strip("-") or "nodes"


def _pool(
    name: str,
    nodes: list[Document],
    prices: Mapping[str, MicroDollars],
    taken: Mapping[str, Resources] | None,
) -> NodePool:
    """Return the pool of alike nodes; where they differ, the least of them counts."""
    first = nodes[0]
    labels: dict[str, str] = first["labels"]
    machine = labels.get(TYPE, name)

    def least(resource: str) -> float:
        return min(amount(str(node["has"].get(resource, "0"))) for node in nodes)

    gpus = int(least(GPU))
    memory = amount(labels.get("nvidia.com/gpu.memory", "0")) / 1024
    shape = NodeShape(
        machine=machine,
        cpu_cores=least("cpu"),
        memory_gib=round(least("memory") / _GIB, 3),
        disk_gib=round(least("ephemeral-storage") / _GIB, 3),
        gpu_model=labels.get("nvidia.com/gpu.product", "gpu") if gpus else "",
        gpu_count=gpus,
        gpu_memory_gib=memory if gpus else 0.0,
    )
    taints = {taint for node in nodes for taint in node["taints"] if taint[2] != "PreferNoSchedule"}
    key, value = _group(first)
    spot = any(labels.get(label) == wanted for label, wanted in _SPOT)
    pool = Pool(
        name=PoolName(name),
        shape=shape,
        node_count=len(nodes),
        price_micro_dollars_per_hour=prices.get(machine, FREE),
        taints=tuple(sorted({key for key, _, _ in taints})),
        interruptions_per_hour=0.05 if spot else 0.0,
        zones=_zones(nodes),
        taken=_taken(nodes, taken),
    )
    tolerations = tuple(
        {"key": key, "operator": "Equal", "value": value, "effect": effect}
        for key, value, effect in sorted(taints)
    )
    place = Place(selector={key: value} if key else {}, tolerations=tolerations)
    return NodePool(pool=pool, place=place)


def _zones(nodes: Iterable[Document]) -> tuple[str, ...]:
    return tuple(sorted({str(node["labels"][ZONE]) for node in nodes if ZONE in node["labels"]}))


def _taken(nodes: Iterable[Document], taken: Mapping[str, Resources] | None) -> Resources | None:
    """Return what others hold on some nodes together; None where that is not known."""
    if taken is None:
        return None
    total = Resources()
    for node in nodes:
        total = total.plus(taken.get(node["name"], Resources()))
    return total
