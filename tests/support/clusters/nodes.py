"""Nodes of test clusters: played by kwok, by the thousand."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.support.clusters import building, plane, programs

READY = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
KUBELET = "kubelet"
"""A real node; see `kubelet.py` beside this."""


def kwok_count(wanted: str) -> int:
    """Return how many nodes `kwok:COUNT` asks for; 0 for `none` and for `kubelet`.

    Raises:
        ValueError: when it is neither.
    """
    kind, _, count = wanted.partition(":")
    if wanted in {"none", KUBELET}:
        return 0
    if kind == "kwok" and count.isdigit():
        return int(count)
    raise ValueError(f"--nodes is {wanted!r}; give `none`, `kubelet` or `kwok:COUNT`")


def node(
    name: str,
    *,
    cpu: str = "8",
    memory: str = "32Gi",
    gpus: int = 0,
    labels: dict[str, str] | None = None,
    taints: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Return a node that is ready, as its kubelet would describe it."""
    has = {"cpu": cpu, "memory": memory, "pods": "110", "ephemeral-storage": "100Gi"}
    if gpus:
        has["nvidia.com/gpu"] = str(gpus)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "node.kubernetes.io/instance-type": "m5.2xlarge",
                "topology.kubernetes.io/region": "eu-west-1",
                "topology.kubernetes.io/zone": "eu-west-1a",
                **(labels or {}),
            },
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "spec": {"taints": taints or []},
        "status": {"capacity": has, "allocatable": has, "conditions": [READY]},
    }


def start_kwok(made: plane.ControlPlane, count: int) -> None:
    """Play so many nodes on a control plane; returns when all are known."""
    building.build(["kwok", "kubectl"])
    command = [
        str(building.path("kwok")),
        f"--kubeconfig={made.kubeconfig}",
        "--manage-all-nodes=false",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        f"--server-address=127.0.0.1:{programs.free_port()}",
    ]
    made.running["kwok"] = programs.start("kwok", command, made.folder / "kwok.log")
    made.save()
    listed = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [node(f"node-{number}") for number in range(count)],
    }
    subprocess.run(
        [str(building.path("kubectl")), f"--kubeconfig={made.kubeconfig}", "create", "-f", "-"],
        input=json.dumps(listed),
        text=True,
        check=True,
        capture_output=True,
    )
