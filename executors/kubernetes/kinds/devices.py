"""GPUs by claim instead of by count: dynamic resource allocation (`resource.k8s.io/v1`). Pure.

A pod that asks for GPUs names a ResourceClaimTemplate, one for each number of them, which the
cluster makes a claim of when the pod comes. How many a node has stands in ResourceSlices: those of
the driver that is called as the device class, as NVIDIA's and the example driver's are.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

from executors.kubernetes.api import FIELD_MANAGER, Document
from executors.kubernetes.jobs import GPU, INSTALLATION
from executors.kubernetes.kinds.addresses import CLAIM_TEMPLATE, head
from executors.kubernetes.nodes import amount

SLICES = "/apis/resource.k8s.io/v1/resourceslices"
_CLAIM = "gpus"
_PRODUCT = "nvidia.com/gpu.product"
_MEMORY = "nvidia.com/gpu.memory"
_NAMED = ("type", "productName")


def count_of(pod: Document) -> int:
    """Return how many GPUs the container of a pod asks for."""
    return int(pod["containers"][0]["resources"]["limits"].get(GPU, 0))


def template(count: int, device_class: str, *, namespace: str, installation: str) -> Document:
    """Return the template of a claim of so many devices of a class."""
    exactly = {"deviceClassName": device_class, "allocationMode": "ExactCount", "count": count}
    return {
        **head(CLAIM_TEMPLATE),
        "metadata": {
            "name": _name(count, device_class),
            "namespace": namespace,
            "labels": {
                "app.kubernetes.io/managed-by": FIELD_MANAGER,
                INSTALLATION: installation,
            },
        },
        "spec": {"spec": {"devices": {"requests": [{"name": _CLAIM, "exactly": exactly}]}}},
    }


def _name(count: int, device_class: str) -> str:
    return f"berth-{device_class}-{count}"


def claiming(pod: Document, device_class: str) -> Document:
    """Return the specification of a pod that claims its GPUs; the same when it asks for none."""
    count = count_of(pod)
    if not count:
        return pod
    made = copy.deepcopy(pod)
    named = {"name": _CLAIM, "resourceClaimTemplateName": _name(count, device_class)}
    made["resourceClaims"] = [named]
    resources = made["containers"][0]["resources"]
    for limits in (resources["requests"], resources["limits"]):
        limits.pop(GPU, None)
    resources["claims"] = [{"name": _CLAIM}]
    return made


# ---------------------------------------------------------------------- reading


def keep_slice(item: Document) -> Document:
    """Return what is read of a ResourceSlice."""
    metadata, spec = item["metadata"], item["spec"]
    pool: Document = spec["pool"]
    return {
        "namespace": "",
        "name": metadata["name"],
        "version": metadata["resourceVersion"],
        "driver": spec["driver"],
        "node": spec.get("nodeName", ""),
        "pool": (pool["name"], int(pool["generation"])),
        "devices": [_device(each) for each in spec.get("devices") or ()],
    }


def _device(item: Document) -> tuple[str, str, float]:
    """Return type, product and memory in MiB of a device, "" and 0 where it does not say."""
    attributes: Document = item.get("attributes") or {}
    named = {name: next(iter(attributes.get(name, {"": ""}).values())) for name in _NAMED}
    held = str((item.get("capacity") or {}).get("memory", {}).get("value", ""))
    return str(named["type"]), str(named["productName"]), amount(held) / 2**20


def on_nodes(
    nodes: Iterable[Document], slices: Iterable[Document], device_class: str
) -> list[Document]:
    """Return nodes with the devices that slices tell of them, as device plug-ins would tell."""
    own = [each for each in slices if each["driver"] == device_class and each["node"]]
    newest: dict[str, int] = {}
    for each in own:
        pool, generation = each["pool"]
        newest[pool] = max(newest.get(pool, 0), generation)
    found: dict[str, list[tuple[str, str, float]]] = {}
    for each in own:
        pool, generation = each["pool"]
        if generation == newest[pool]:
            whole = [device for device in each["devices"] if device[0] in {"", "gpu"}]
            found.setdefault(each["node"], []).extend(whole)
    return [_with_devices(node, found.get(node["name"], [])) for node in nodes]


def _with_devices(node: Document, devices: list[tuple[str, str, float]]) -> Document:
    if not devices:
        return node
    _, product, memory = min(devices, key=lambda each: each[2])
    told: Mapping[str, str] = {_PRODUCT: product.replace(" ", "-"), _MEMORY: f"{memory:.0f}"}
    labels = {name: value for name, value in told.items() if value not in {"", "0"}}
    has = {**node["has"], GPU: str(len(devices))}
    return {**node, "has": has, "labels": {**labels, **node["labels"]}}
