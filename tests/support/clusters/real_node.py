"""A real node for tests: one a test process, and an executor whose pods are containers on it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.clocks import SystemClock
from engine.model.dispatches import AttemptOrder
from engine.model.identifiers import (
    AttemptId,
    ClusterName,
    PipelineName,
    PoolName,
    RunId,
    TaskName,
)
from engine.model.resources import Resources
from engine.model.specs import TaskKind
from executors.kubernetes.clusters import KubernetesClusters
from executors.kubernetes.executor import KubernetesExecutor
from executors.kubernetes.fleet import KubernetesFleetSource
from executors.kubernetes.rights import Right
from executors.kubernetes.settings import ClusterSettings, KubernetesSettings
from executors.local import FolderArtifacts
from tests.support.clusters import building, kubelet, own_image, plane
from tests.support.clusters.fixtures import Place, api_of, new_place
from tests.support.clusters.running import RUNNING

POOL = "nodes"
"""What a pool of nodes without an instance type is called."""


@dataclass(frozen=True)
class RealCluster:
    """A control plane with a real node, whose registry holds Berth's image."""

    plane: plane.ControlPlane
    node: kubelet.Node
    image: str

    def place(self, more: frozenset[Right] = frozenset()) -> Place:
        """Return a namespace of its own, and a user with Berth's rights, and perhaps more."""
        admin = api_of(self.plane.kubeconfig, self.plane.folder.name)
        return new_place(self.plane, admin, more=more)


def unavailable() -> str:
    """Return why this machine cannot run a real node; "" when it can."""
    unbuilt = building.missing(building.PLANE)
    if unbuilt:
        return f"{', '.join(unbuilt)} not built (scripts/cluster build)"
    return kubelet.missing() or own_image.missing()


def needed(*programs: str) -> None:
    """Skip a test of minutes outside CI (`CI=1` runs it), and in CI have what it needs built."""
    if not os.environ.get("CI"):
        pytest.skip("not run here, run in CI (CI=1)")
    building.build((*building.PLANE, *building.NODE, *programs))


def start(
    folder: Path, only: tuple[str, ...] | None, *, service_accounts: bool = False
) -> RealCluster:
    """Start everything; only: of Berth's libraries, what the image holds; None for all."""
    made = plane.create(folder, service_accounts=service_accounts)
    try:
        node = kubelet.create(made)
    except BaseException:
        made.stop()
        raise
    try:
        return RealCluster(made, node, own_image.push(node.registry, only))
    except BaseException:
        node.stop()
        made.stop()
        raise


def stop(cluster: RealCluster) -> None:
    """Stop everything."""
    cluster.node.stop()
    cluster.plane.stop()


@pytest.fixture(scope="session")
def real_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    """A real cluster for the tests of this process."""
    why = unavailable()
    if why and not os.environ.get("CI"):
        pytest.skip(f"not run: {why}")
    made = start(tmp_path_factory.mktemp("real") / "real", own_image.SERVING)
    RUNNING.callback(stop, made)
    yield made
    RUNNING.close()


class RealWorkplace:
    """An engine's parts for one real cluster, `east`; settings: more of what is said of it."""

    def __init__(
        self,
        cluster: RealCluster,
        home: Path,
        image: str = "",
        *,
        more: frozenset[Right] = frozenset(),
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.place = cluster.place(more)
        self.home = home
        self.artifacts = FolderArtifacts(home / "artifacts")
        given = ClusterSettings(
            name="east",
            context=self.place.context,
            namespace=self.place.namespace,
            writes_per_second=0.0,
            reached_by="pod",
            **(settings or {}),
        )
        told = KubernetesSettings(
            kubeconfig=self.place.kubeconfig,
            clusters=(given,),
            image=image or cluster.image,
            listen=f"{cluster.node.address}:0",
            stop_seconds=6.0,
        )
        self.clusters = KubernetesClusters(told, self.place.namespace)
        self.source = KubernetesFleetSource(self.clusters)
        self.source.fleet()
        self.executor = KubernetesExecutor(home, self.clusters, self.artifacts, SystemClock())

    def close(self) -> None:
        """End what was started here."""
        self.executor.close()


def order(name: str, program: str) -> AttemptOrder:
    """Return an order to run a Python program as a task of that name."""
    return AttemptOrder(
        attempt_id=AttemptId(f"r-1.{name}.1"),
        run_id=RunId("r-1"),
        pipeline=PipelineName("heart"),
        task=TaskName(name),
        kind=TaskKind.TRAIN,
        cluster=ClusterName("east"),
        pool=PoolName(POOL),
        command=("python", "-c", program),
        folder="",
        inputs={},
        parameters={},
        limits=Resources(cpu_cores=0.2, memory_gib=0.25),
    )
