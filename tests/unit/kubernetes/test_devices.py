"""GPUs by claim: what is made of a pod, and what ResourceSlices say of nodes."""

from __future__ import annotations

import pytest

from executors.kubernetes import nodes
from executors.kubernetes.api import Document
from executors.kubernetes.jobs import GPU
from executors.kubernetes.kinds import devices
from tests.support.kubernetes_documents import node

CLASS = "gpu.nvidia.com"


def pod(gpus: int = 0) -> Document:
    limits = {"cpu": "1", **({GPU: str(gpus)} if gpus else {})}
    resources = {"requests": dict(limits), "limits": limits}
    return {"containers": [{"name": "task", "resources": resources}]}


def resource_slice(
    name: str,
    *kinds: str,
    node_name: str = "a",
    generation: int = 1,
    driver: str = CLASS,
    memory: str = "80Gi",
) -> Document:
    """Return a ResourceSlice as an API server shows it, with a device of each type."""
    made = [
        {
            "name": f"{name}-{number}",
            "attributes": {"type": {"string": kind}, "productName": {"string": "NVIDIA H100"}},
            "capacity": {"memory": {"value": memory}},
        }
        for number, kind in enumerate(kinds)
    ]
    pool = {"name": f"pool-{node_name}", "generation": generation, "resourceSliceCount": 1}
    spec = {"driver": driver, "nodeName": node_name, "pool": pool, "devices": made}
    return {"metadata": {"name": name, "resourceVersion": "1"}, "spec": spec}


def pools(*slices: Document) -> list[tuple[int, str, float]]:
    """Return count, model and memory of the GPUs of each pool of one node."""
    seen = [nodes.keep_node(node("a"))]
    found = devices.on_nodes(seen, [devices.keep_slice(each) for each in slices], CLASS)
    shapes = [each.pool.shape for each in nodes.pools(found, {})]
    return [(each.gpu_count, each.gpu_model, each.gpu_memory_gib) for each in shapes]


def test_a_pod_claims_its_gpus_and_asks_for_none_by_number() -> None:
    made = devices.claiming(pod(2), CLASS)
    template = devices.template(2, CLASS, namespace="ml", installation="abc")
    (claim,) = made["resourceClaims"]
    assert claim["resourceClaimTemplateName"] == template["metadata"]["name"]
    resources = made["containers"][0]["resources"]
    assert resources == {
        "requests": {"cpu": "1"},
        "limits": {"cpu": "1"},
        "claims": [{"name": claim["name"]}],
    }
    (request,) = template["spec"]["spec"]["devices"]["requests"]
    assert request["exactly"]["count"] == 2


def test_a_pod_without_gpus_stays_as_it_is() -> None:
    assert devices.claiming(pod(), CLASS) == pod()
    assert devices.count_of(pod()) == 0


def test_templates_of_other_numbers_have_other_names() -> None:
    made = [devices.template(n, CLASS, namespace="ml", installation="abc") for n in (1, 2)]
    assert len({each["metadata"]["name"] for each in made}) == 2


def test_slices_tell_how_many_gpus_a_node_has() -> None:
    assert pools(resource_slice("a", "gpu", "gpu")) == [(2, "NVIDIA-H100", 80.0)]


@pytest.mark.parametrize("memory", ["80Gi", "81920Mi", "85899345920"])
def test_their_memory_is_read_as_any_quantity_is_written(memory: str) -> None:
    assert pools(resource_slice("a", "gpu", memory=memory)) == [(1, "NVIDIA-H100", 80.0)]


def test_parts_of_gpus_and_devices_of_other_drivers_do_not_count() -> None:
    found = [resource_slice("a", "mig"), resource_slice("b", "gpu", driver="net.example.com")]
    assert pools(*found) == [(0, "", 0.0)]


def test_slices_of_another_node_say_nothing_of_this_one() -> None:
    assert pools(resource_slice("b", "gpu", node_name="b")) == [(0, "", 0.0)]


def test_slices_of_an_older_generation_are_out_of_date() -> None:
    old = resource_slice("a", "gpu", "gpu")
    assert pools(old, resource_slice("b", "gpu", generation=2)) == [(1, "NVIDIA-H100", 80.0)]


def test_a_device_that_says_nothing_of_itself_is_one_all_the_same() -> None:
    found = resource_slice("a", "gpu")
    found["spec"]["devices"] = [{"name": "plain"}]
    assert pools(found) == [(1, "gpu", 0.0)]
