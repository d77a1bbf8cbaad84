"""What others run on the nodes of a cluster."""

from __future__ import annotations

from typing import Any

from engine.model.resources import Resources
from executors.kubernetes import nodes, occupancy
from tests.support.kubernetes_documents import node

LARGE = {nodes.TYPE: "m5.2xlarge"}


def pod(on: str, *containers: dict[str, Any], **spec: object) -> dict[str, Any]:
    made = {"nodeName": on, "containers": list(containers), **spec}
    return occupancy.keep_request({"metadata": {"name": "p"}, "spec": made})


def asks(**requests: str) -> dict[str, Any]:
    named = {key.replace("gpus", "nvidia.com/gpu"): value for key, value in requests.items()}
    return {"name": "c", "resources": {"requests": named}}


def test_containers_of_a_pod_add_up() -> None:
    found = occupancy.taken([pod("a", asks(cpu="500m", memory="1Gi"), asks(cpu="1", gpus="2"))])
    assert found == {"a": Resources(cpu_cores=1.5, memory_gib=1.0, gpu_count=2.0)}


def test_the_largest_initial_container_counts_where_it_asks_for_more() -> None:
    starting = [asks(cpu="4", memory="1Gi"), asks(cpu="2", memory="2Gi")]
    found = occupancy.taken([pod("a", asks(cpu="1", memory="3Gi"), initContainers=starting)])
    assert found == {"a": Resources(cpu_cores=4.0, memory_gib=3.0)}


def test_sidecars_and_overhead_are_added() -> None:
    sidecar = {**asks(cpu="250m"), "restartPolicy": "Always"}
    found = occupancy.taken(
        [pod("a", asks(cpu="1"), initContainers=[sidecar], overhead={"cpu": "250m"})]
    )
    assert found == {"a": Resources(cpu_cores=1.5)}


def test_a_pod_without_requests_holds_nothing() -> None:
    assert occupancy.taken([pod("a", {"name": "c"})]) == {"a": Resources()}


def test_a_pool_holds_what_its_nodes_hold() -> None:
    kept = [nodes.keep_node(node(name, LARGE)) for name in ("a", "b")]
    held = occupancy.taken([pod("a", asks(cpu="1")), pod("b", asks(cpu="2")), pod("z", asks())])
    (pool,) = nodes.pools(kept, {}, held)
    assert pool.pool.taken == Resources(cpu_cores=3.0)


def test_where_pods_may_not_be_seen_nothing_is_claimed() -> None:
    (pool,) = nodes.pools([nodes.keep_node(node("a", LARGE))], {})
    assert pool.pool.taken is None
