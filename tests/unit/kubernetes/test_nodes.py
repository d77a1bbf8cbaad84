"""Pools out of nodes."""

from __future__ import annotations

from typing import Any

import pytest

from engine.model.fleet import Provider
from engine.model.identifiers import MicroDollars
from executors.kubernetes import nodes
from tests.support.kubernetes_documents import node

LARGE = {nodes.TYPE: "m5.2xlarge"}


def kept(*found: dict[str, Any]) -> list[dict[str, Any]]:
    return [nodes.keep_node(each) for each in found]


@pytest.mark.parametrize(
    ("text", "number"), [("1500m", 1.5), ("4", 4.0), ("2Gi", 2.0**31), ("1e", 0.0), ("", 0.0)]
)
def test_quantities_are_read_as_the_server_writes_them(text: str, number: float) -> None:
    assert nodes.amount(text) == number


def test_nodes_of_one_type_are_a_pool_at_the_price_of_the_type() -> None:
    found = kept(node("a", LARGE), node("b", LARGE), node("c", {nodes.TYPE: "m5.large"}))
    pools = nodes.pools(found, {"m5.2xlarge": MicroDollars(384_000)})
    assert [(each.pool.name, each.pool.node_count) for each in pools] == [
        ("m5-2xlarge", 2),
        ("m5-large", 1),
    ]
    assert pools[0].pool.price_micro_dollars_per_hour == 384_000
    assert pools[0].pool.shape.cpu_cores == 7.91
    assert pools[0].place.selector == LARGE


def test_a_node_group_wins_over_the_type() -> None:
    labels = {**LARGE, "karpenter.sh/nodepool": "Batch.1"}
    (pool,) = nodes.pools(kept(node("a", labels)), {})
    assert pool.pool.name == "batch-1"
    assert pool.place.selector == {"karpenter.sh/nodepool": "Batch.1"}


def test_where_nodes_differ_the_least_counts() -> None:
    small = node("b", LARGE)
    small["status"]["allocatable"]["cpu"] = "4"
    (pool,) = nodes.pools(kept(node("a", LARGE), small), {})
    assert pool.pool.shape.cpu_cores == 4.0


def test_gpus_are_read_from_the_labels_of_their_discovery() -> None:
    labels = {**LARGE, "nvidia.com/gpu.product": "Tesla-T4", "nvidia.com/gpu.memory": "15360"}
    gpu = node("a", labels)
    gpu["status"]["allocatable"]["nvidia.com/gpu"] = "4"
    (pool,) = nodes.pools(kept(gpu), {})
    shape = pool.pool.shape
    assert (shape.gpu_model, shape.gpu_count, shape.gpu_memory_gib) == ("Tesla-T4", 4, 15.0)


def test_nodes_that_take_no_pods_are_left_out() -> None:
    taint = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    broken = node("c")
    broken["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    found = kept(node("a", unschedulable=True), node("b", taints=[taint]), broken)
    assert nodes.pools(found, {}) == ()


def test_a_taint_is_shown_and_tolerated() -> None:
    taint = {"key": "team", "value": "vision", "effect": "NoSchedule"}
    (pool,) = nodes.pools(kept(node("a", taints=[taint])), {})
    assert pool.pool.taints == ("team",)
    assert pool.place.tolerations == ({**taint, "operator": "Equal"},)


def test_provider_and_continent_are_read_off() -> None:
    found = kept(node("a", {nodes.REGION: "europe-west4"}, providerID="gce://p/z/n"))
    assert nodes.provider(found, Provider.ON_PREMISES) is Provider.GCP
    assert nodes.region(found) == "europe-west4"
    assert [nodes.continent(each) for each in ("europe-west4", "us-east-1", "eu-west-1")] == [
        "eu",
        "us",
        "eu",
    ]
    assert nodes.continent("our-hall") == "our-hall"
