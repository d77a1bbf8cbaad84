"""What a capacity report says to add, as infrastructure code: Terraform variables, NodePools.

Berth buys nothing: it writes files that a person reads and applies. Of each pool that runs short,
the cheapest answer that adds nodes is written; a pool whose cheapest answer adds none (moving load
to other hours) is left out, and so is one that nothing helps.

JSON is used for all of them: Terraform reads `*.tf.json` and `*.tfvars.json`, and `kubectl apply`
reads it as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from api.report import phrases
from engine.model.capacity import CapacityOption, CapacityReport, PoolOutlook
from engine.model.fleet import Fleet, NodeShape

_MICRO = 1_000_000
_PURCHASES = {"reserve": "reserved", "buy": "owned"}
_NAME_MOST = 40
_HASH_LIKE = re.compile(r"[^a-z0-9]+")
_VARIABLE = "berth_capacity"
_TYPE = (
    "map(object({machine = string, node_count = number, purchase = string, pool = string, "
    "short_from = string, cost_usd_per_month = number}))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeClass:
    """The cloud's settings of nodes that NodePools point to, which people make themselves."""

    group: str = "karpenter.k8s.aws"
    kind: str = "EC2NodeClass"
    name: str = "default"


def terraform(report: CapacityReport) -> dict[str, str]:
    """Return the files of a Terraform folder by name: the variable's declaration, and its value."""
    declared = {
        "variable": {
            _VARIABLE: {
                "description": "Nodes that Berth's capacity report says to add, by pool.",
                "type": _TYPE,
                "default": {},
            }
        }
    }
    value = {
        _slug(pool.pool): {
            "pool": pool.pool,
            "machine": pool.machine,
            "node_count": option.node_count,
            "purchase": _purchase(option),
            "short_from": phrases.iso(pool.short_from or report.as_of),
            "cost_usd_per_month": option.cost_micro_dollars_per_month / _MICRO,
        }
        for pool, option in additions(report)
    }
    return {
        "berth_variables.tf.json": _json(declared),
        "berth.auto.tfvars.json": _json({_VARIABLE: value}),
    }


def node_pools(report: CapacityReport, fleet: Fleet, node_class: NodeClass) -> dict[str, str]:
    """Return one NodePool a file (`karpenter.sh/v1`), limited to the nodes that are to be added.

    Machines that are bought come by no NodePool.

    fleet: where the shape of a machine is looked up; one that it does not know is limited by its
        number of nodes' GPUs alone.
    """
    shapes = {pool.shape.machine: pool.shape for each in fleet.clusters for pool in each.pools}
    return {
        f"nodepool-{_slug(pool.pool)}.json": _json(
            _node_pool(report, pool, option, shapes.get(pool.machine), node_class)
        )
        for pool, option in additions(report)
        if _purchase(option) != "owned"
    }


def additions(report: CapacityReport) -> tuple[tuple[PoolOutlook, CapacityOption], ...]:
    """Return the pools that need nodes, each with the cheapest answer that adds them."""
    return tuple(
        (pool, pool.answer)
        for pool in report.pools
        if pool.answer is not None and pool.answer.node_count and pool.machine
    )


def _node_pool(
    report: CapacityReport,
    pool: PoolOutlook,
    option: CapacityOption,
    shape: NodeShape | None,
    node_class: NodeClass,
) -> dict[str, object]:
    requirements = [
        _requirement("node.kubernetes.io/instance-type", pool.machine),
        _requirement("karpenter.sh/capacity-type", _purchase(option)),
        _requirement("kubernetes.io/os", "linux"),
    ]
    labels = {"berth.dev/pool": f"berth-{_slug(pool.pool)}"}
    reference = {"group": node_class.group, "kind": node_class.kind, "name": node_class.name}
    spec: dict[str, object] = {"requirements": requirements, "nodeClassRef": reference}
    if shape is not None and shape.gpu_count:
        taint = {"key": "nvidia.com/gpu", "effect": "NoSchedule"}
        spec["taints"] = [taint]
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {
            "name": f"berth-{_slug(pool.pool)}",
            "labels": {"app.kubernetes.io/managed-by": "berth"},
            "annotations": {
                "berth.dev/capacity-report": report.report_id,
                "berth.dev/answer": option.description,
            },
        },
        "spec": {
            "template": {"metadata": {"labels": labels}, "spec": spec},
            "disruption": {
                "consolidationPolicy": "WhenEmptyOrUnderutilized",
                "consolidateAfter": "10m",
            },
            "limits": _limits(option.node_count, shape),
        },
    }


def _limits(count: int, shape: NodeShape | None) -> dict[str, str]:
    """Return what all nodes of a NodePool may have together."""
    if shape is None:
        return {"nodes": str(count)}
    found = {
        "cpu": f"{round(1_000 * shape.cpu_cores * count)}m",
        "memory": f"{round(1_024 * shape.memory_gib * count)}Mi",
    }
    gpus = {"nvidia.com/gpu": str(shape.gpu_count * count)} if shape.gpu_count else {}
    return {**found, **gpus}


def _requirement(key: str, value: str) -> dict[str, object]:
    return {"key": key, "operator": "In", "values": [value]}


def _purchase(option: CapacityOption) -> str:
    return _PURCHASES.get(option.name, "on-demand")


def _slug(name: str) -> str:
    """Return a name that both Kubernetes and Terraform take."""
    return _HASH_LIKE.sub("-", name.lower()).strip("-")[:_NAME_MOST].strip("-") or "pool"


def _json(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
