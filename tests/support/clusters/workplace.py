"""An executor on a namespace of a real control plane, and orders for it."""

from __future__ import annotations

import types
from collections.abc import Mapping
from pathlib import Path

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
from engine.testing.executor_suite import Behaviour
from executors.kubernetes.clusters import KubernetesClusters
from executors.kubernetes.executor import KubernetesExecutor
from executors.kubernetes.fleet import KubernetesFleetSource
from executors.kubernetes.settings import ClusterSettings, KubernetesSettings
from executors.kubernetes.wire import Wire
from executors.local import FolderArtifacts
from tests.support.clusters.fixtures import Place
from tests.support.clusters.process_kubelet import ProcessKubelet
from tests.support.local_cluster import LASTS, WRITES

POOL = PoolName("m5-2xlarge")
PROGRAMS = {
    Behaviour.SUCCEEDS: WRITES,
    Behaviour.FAILS: "raise SystemExit(3)",
    Behaviour.LASTS: LASTS,
}


class Workplace:
    """An engine's parts for one cluster, `east`, whose pods are processes.

    asks_for: settings of the cluster that ask for optional kinds.
    """

    def __init__(
        self,
        place: Place,
        home: Path,
        *,
        kubeconfig: Path | None = None,
        connections: int = 4,
        writes_per_second: float = 0.0,
        inactivity_seconds: float = 50.0,
        asks_for: Mapping[str, str] = types.MappingProxyType({}),
    ) -> None:
        self.place = place
        self.home = home
        self.artifacts = FolderArtifacts(home / "artifacts")
        self._inactivity_seconds = inactivity_seconds
        self.settings = KubernetesSettings(
            kubeconfig=kubeconfig or place.kubeconfig,
            clusters=(
                ClusterSettings(
                    name="east",
                    context=place.context,
                    namespace=place.namespace,
                    connections=connections,
                    writes_per_second=writes_per_second,
                    **asks_for,
                ),
            ),
            listen="127.0.0.1:0",
            stop_seconds=6.0,
        )
        self._made: list[KubernetesExecutor] = []
        self.executor = self.reopened()

    def reopened(self) -> KubernetesExecutor:
        """Return the executor of the next engine."""
        self.clusters = KubernetesClusters(
            self.settings, self.place.namespace, inactivity_seconds=self._inactivity_seconds
        )
        self.source = KubernetesFleetSource(self.clusters)
        self.source.fleet()
        for link in self.clusters.links().values():
            link.watch_work()
            for each in (link.jobs, link.pods):
                assert each is not None
                assert each.wait_synced(30.0)
        executor = KubernetesExecutor(self.home, self.clusters, self.artifacts, SystemClock())
        self._made.append(executor)
        return executor

    def order(self, program: str, attempt: AttemptId) -> AttemptOrder:
        """Return an order to run a Python program."""
        return AttemptOrder(
            attempt_id=attempt,
            run_id=RunId("r-1"),
            pipeline=PipelineName("heart"),
            task=TaskName("task"),
            kind=TaskKind.ETL,
            cluster=ClusterName("east"),
            pool=POOL,
            command=("python", "-c", program),
            folder="",
            inputs={},
            parameters={"place": self.place.namespace},
            limits=Resources(cpu_cores=0.1, memory_gib=0.25),
        )

    def starts(self, node: ProcessKubelet, attempt: AttemptId) -> int:
        """Return how many pods of an attempt in this namespace were really run."""
        path = f"/api/v1/namespaces/{self.place.namespace}/pods"
        found = self.place.admin.call("GET", path)["items"]
        here = {each["metadata"]["uid"] for each in found}
        logs = [node.folder / uid / "attempt" / "work" for uid in here]
        return sum(log.exists() for log in logs) if node.starts(attempt) else 0

    def cut_off(self) -> None:
        """Let nothing reach the cluster any more."""
        for link in self.clusters.links().values():
            assert link.api is not None
            settings = link.api._client.configuration
            settings.host = "https://127.0.0.1:1"
            link.api._wire = Wire(settings, 1)

    def close(self) -> None:
        """End what this test started."""
        for executor in self._made:
            executor.close()
