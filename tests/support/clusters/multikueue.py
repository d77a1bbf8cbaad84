"""One manager and two workers of MultiKueue, all real, and an executor of Berth's on them.

Each has an API server, controllers and Kueue of its own. Workers have one node each, whose pods are
processes of this machine. Berth works with just the rights that its document lists.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.clocks import SystemClock
from engine.model.dispatches import AttemptOrder, Observation
from engine.model.identifiers import AttemptId, ClusterName, PipelineName, PoolName, RunId, TaskName
from engine.model.resources import Resources
from engine.model.specs import TaskKind
from executors.kubernetes import rights
from executors.kubernetes.api import Api, Document
from executors.kubernetes.clusters import KubernetesClusters
from executors.kubernetes.executor import KubernetesExecutor
from executors.kubernetes.fleet import KubernetesFleetSource
from executors.kubernetes.settings import ClusterSettings, KubernetesSettings
from executors.local import FolderArtifacts
from tests.support.clusters import certificates, fixtures, kueue, plane, programs
from tests.support.clusters.process_kubelet import ProcessKubelet

MANAGER = "hub"
WORKERS = ("east", "west")
WORKER_LOST_SECONDS = 4
POOL = PoolName("m5-2xlarge")
_PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager")


class Trio:
    """The clusters; `close` ends them.

    worker_lost_seconds: how long Kueue waits for a worker that it cannot reach.
    """

    def __init__(self, folder: Path, *, worker_lost_seconds: int = WORKER_LOST_SECONDS) -> None:
        self.folder = folder
        self._worker_lost_seconds = worker_lost_seconds
        self.namespace = f"berth-{os.getpid()}"
        self.planes: dict[str, plane.ControlPlane] = {}
        self.admins: dict[str, Api] = {}
        self.nodes: dict[str, ProcessKubelet] = {}
        self.executor: KubernetesExecutor | None = None
        kueue.available()
        try:
            with ThreadPoolExecutor(len(WORKERS) + 1) as at_once:
                list(at_once.map(self._start, (MANAGER, *WORKERS)))
            self._join()
        except BaseException:
            self.close()
            raise

    def _start(self, name: str) -> None:
        needed = _PROGRAMS if name == MANAGER else (*_PROGRAMS, "kube-scheduler")
        made = plane.create(self.folder / name, needed)
        self.planes[name] = made
        admin = self.admins[name] = fixtures.api_of(made.kubeconfig, name, name)
        kueue.start(made, admin, worker_lost_seconds=self._worker_lost_seconds)
        fixtures.new_place(made, admin, self.namespace, more=rights.KUEUE)
        if name != MANAGER:
            kueue.add_queue(admin, self.namespace)
            self.nodes[name] = ProcessKubelet(admin, f"node-{name}", self.folder / f"node-{name}")
            self.nodes[name].start()

    def _join(self) -> None:
        """Tell the manager of the workers."""
        hub = self.admins[MANAGER]
        found = {
            name: json.loads(self.planes[name].kubeconfig.read_text("utf-8")) for name in WORKERS
        }
        kueue.add_workers(hub, found)
        kueue.add_queue(hub, self.namespace, checks=("workers",))
        for name in WORKERS:
            connected = functools.partial(kueue.is_connected, hub, name)
            programs.wait_until(connected, f"the manager's connection to {name}")

    def open(self, home: Path) -> KubernetesExecutor:
        """Return an executor on the three clusters."""
        users = [self._user(name) for name in (MANAGER, *WORKERS)]
        kubeconfig = self.folder / "berth.kubeconfig"
        whole = merge_contents(users)
        certificates.write_kubeconfig(kubeconfig, whole)
        given = [ClusterSettings(name=MANAGER, context=MANAGER, queue=kueue.QUEUE)]
        given += [ClusterSettings(name=each, context=each, via=MANAGER) for each in WORKERS]
        settings = KubernetesSettings(
            kubeconfig=kubeconfig, clusters=tuple(given), listen="127.0.0.1:0", stop_seconds=6.0
        )
        clusters = KubernetesClusters(settings, self.namespace, inactivity_seconds=5.0)
        self.source = KubernetesFleetSource(clusters)
        self.source.fleet()
        self.executor = KubernetesExecutor(
            home, clusters, FolderArtifacts(home / "artifacts"), SystemClock()
        )
        return self.executor

    def _user(self, name: str) -> Document:
        path = self.planes[name].user(self.namespace, namespace=self.namespace)
        found: Document = json.loads(path.read_text("utf-8"))
        return found

    def order(self, program: str, attempt: AttemptId, cluster: str) -> AttemptOrder:
        """Return an order to run a Python program on a worker."""
        return AttemptOrder(
            attempt_id=attempt,
            run_id=RunId("r-1"),
            pipeline=PipelineName("heart"),
            task=TaskName("task"),
            kind=TaskKind.ETL,
            cluster=ClusterName(cluster),
            pool=POOL,
            command=("python", "-c", program),
            folder="",
            inputs={},
            parameters={},
            limits=Resources(cpu_cores=0.1, memory_gib=0.25),
        )

    def seen(self, attempt: AttemptId) -> Observation | None:
        """Return what is observed of an attempt now."""
        assert self.executor is not None
        found = {each.attempt_id: each for each in self.executor.observe()}
        return found.get(attempt)

    def wait(
        self, attempt: AttemptId, wanted: Callable[[Observation], bool], seconds: float = 300.0
    ) -> Observation:
        """Return the first observation of an attempt that is as wanted.

        Raises:
            TimeoutError: when none comes; with the last one.
        """
        end = time.monotonic() + seconds
        while True:
            seen = self.seen(attempt)
            if seen is not None and wanted(seen):
                return seen
            if time.monotonic() > end:
                raise TimeoutError(f"{attempt} did not become what was wanted: {seen}")
            time.sleep(0.1)

    def ran_on(self, attempt: AttemptId) -> list[str]:
        """Return the workers that started the command of an attempt, once for each start."""
        return [name for name in WORKERS for _ in range(self.nodes[name].starts(attempt))]

    def jobs(self, name: str) -> set[str]:
        """Return the attempts whose Jobs are on a cluster."""
        path = f"/apis/batch/v1/namespaces/{self.namespace}/jobs"
        self.admins[name].gate.succeeded()  # it may have been away
        found = self.admins[name].call("GET", path)["items"]
        return {each["metadata"]["annotations"]["berth.dev/attempt-id"] for each in found}

    def close(self) -> None:
        """End everything that was started."""
        if self.executor is not None:
            self.executor.close()
        for node in self.nodes.values():
            node.stop()
        for made in self.planes.values():
            made.stop()


def merge_contents(found: list[Document]) -> Document:
    """Return one kubeconfig with all contexts."""
    whole: Document = {"apiVersion": "v1", "kind": "Config"}
    for part in ("clusters", "users", "contexts"):
        whole[part] = [entry for each in found for entry in each[part]]
    return whole
