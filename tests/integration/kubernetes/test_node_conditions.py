"""A node without disk on a real API server: told, alarmed, and named as the cause."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from alarms import HypothesisTree
from alarms.detection.detector import StatisticalDetector
from engine.clocks import SystemClock
from engine.model.alarms import CauseKind
from engine.model.signals import Signal
from engine.testing.watch_suites import group
from executors.kubernetes import KubernetesClusters, KubernetesFleetSource, NodeSignals
from executors.kubernetes.api import Api
from executors.kubernetes.settings import ClusterSettings, KubernetesSettings
from tests.support.clusters import nodes
from tests.support.clusters.fixtures import Place

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]
NAME = f"full-{os.getpid()}"
PATIENCE_SECONDS = 240.0


def condition(api: Api, status: str, reason: str) -> None:
    """Let the node say how its disk stands, as its kubelet would."""
    said = {"type": "DiskPressure", "status": status, "reason": reason}
    body = {"status": {"conditions": [nodes.READY, said]}}
    patch = "application/strategic-merge-patch+json"
    api.call("PATCH", f"/api/v1/nodes/{NAME}/status", body=body, content_type=patch)


@pytest.fixture
def full(admin: Api) -> Iterator[Api]:
    """A node of its own; returns who may speak for it."""
    admin.call("POST", "/api/v1/nodes", body=nodes.node(NAME))
    yield admin
    admin.call("DELETE", f"/api/v1/nodes/{NAME}")


@pytest.fixture
def source(place: Place) -> Iterator[NodeSignals]:
    given = ClusterSettings(name="east", context=place.context, namespace=place.namespace)
    settings = KubernetesSettings(kubeconfig=place.kubeconfig, clusters=(given,))
    clusters = KubernetesClusters(settings, "i")
    yield NodeSignals(clusters, KubernetesFleetSource(clusters), SystemClock())
    clusters.stop()


def until(
    source: NodeSignals, wanted: Callable[[Sequence[Signal]], bool], told: list[Signal]
) -> None:
    """Read until what is wanted is told of the node."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        signals, _ = source.read("")
        # Of a node without a kubelet it is also told, after a while, that it is not ready.
        about = f"node:east/{NAME}|node_disk_pressure"
        mine = [each for each in signals if each.series == about]
        told += mine
        if wanted(mine):
            return
        time.sleep(0.2)
    pytest.fail(f"not told: {told[-3:]}")


def test_a_node_without_disk_is_an_infrastructure_fault(full: Api, source: NodeSignals) -> None:
    told: list[Signal] = []
    condition(full, "True", "KubeletHasDiskPressure")
    until(source, lambda mine: any(each.value == 1 for each in mine), told)
    alarms = StatisticalDetector().observe(told)
    (alarm,) = alarms
    assert alarm.labels["reason"] == "KubeletHasDiskPressure"
    cause = HypothesisTree().causes(group(*alarms), told, ())[0]
    assert (cause.kind, cause.subject) == (CauseKind.INFRASTRUCTURE, f"node:east/{NAME}")
    assert cause.title == f"node east/{NAME} runs out of disk"
    condition(full, "False", "KubeletHasNoDiskPressure")
    until(source, lambda mine: any(each.value == 0 for each in mine), told)
