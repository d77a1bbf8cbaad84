"""The clusters of an installation: a guarded connection and caches each, made when first asked.

What goes wrong with one cluster (its kubeconfig, its certificate, its server) is kept with it and
harms no other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

from engine.model.errors import BerthError
from executors.kubernetes import access, jobs, kueue
from executors.kubernetes.api import Api, Document
from executors.kubernetes.gate import Gate
from executors.kubernetes.nodes import keep_node
from executors.kubernetes.reflector import INACTIVITY_SECONDS, Reflector
from executors.kubernetes.settings import ClusterSettings, KubernetesSettings

SILENT_SECONDS = 100.0
"""A server that said nothing for so long, although a watch is open, does not answer."""
TROUBLED_SECONDS = 15.0
"""One whose last request failed is given so long: a single failure is no outage."""


class ClusterLink:
    """One cluster: its API, and caches of its Jobs, pods and nodes.

    trouble: why it cannot be used at all; "" when only its server decides.
    """

    def __init__(
        self,
        given: ClusterSettings,
        settings: KubernetesSettings,
        installation: str,
        inactivity_seconds: float = INACTIVITY_SECONDS,
    ) -> None:
        self.given = given
        self.settings = settings
        self.installation = installation
        self.trouble: BerthError | None = None
        self.api: Api | None = None
        self.namespace = given.namespace
        self.jobs: Reflector | None = None
        self.pods: Reflector | None = None
        self.nodes: Reflector | None = None
        self.workloads: Reflector | None = None
        self.queues: kueue.Queues | None = None
        self.workers: dict[str, ClusterLink] = {}
        """The clusters that this one's MultiKueue sends Jobs to, by its name for them."""
        self._asked_for_queues = False
        self._inactivity_seconds = inactivity_seconds
        try:
            self._connect()
        except BerthError as error:
            self.trouble = error

    def _connect(self) -> None:
        path, given = self.settings.kubeconfig, self.given
        client = access.connect(
            path,
            given.context,
            exec_allowed=self.settings.exec_allowed,
            connections=given.connections,
        )
        if not self.namespace:
            known = {each.name: each.namespace for each in access.contexts(path)}
            self.namespace = known[given.context]
        self.api = Api(given.name, client, Gate(given.name, given.writes_per_second))
        ours = jobs.selector(self.installation)
        here = f"/namespaces/{self.namespace}"
        self.jobs = self._reflector(f"/apis/batch/v1{here}/jobs", jobs.keep_job, ours)
        self.pods = self._reflector(f"/api/v1{here}/pods", jobs.keep_pod, ours)
        self.nodes = self._reflector("/api/v1/nodes", keep_node, "")

    def _reflector(self, path: str, keep: object, selector: str) -> Reflector:
        assert self.api is not None  # noqa: S101 - made just before
        return Reflector(
            self.api,
            path,
            keep,  # type: ignore[arg-type]  # each is a function from document to document
            selector=selector,
            inactivity_seconds=self._inactivity_seconds,
        )

    def watch_work(self) -> None:
        """Begin to watch Jobs and pods."""
        for each in (self.jobs, self.pods):
            if each is not None:
                each.start()

    @property
    def has_queues(self) -> bool:
        """Whether Jobs wait in a queue of Kueue here; watches the workloads once that is known.

        Raises:
            RetryableError: when the cluster was not asked yet and does not answer.
        """
        if self.given.queue and self.api is not None and not self._asked_for_queues:
            spoken = kueue.version(self.api)
            self._asked_for_queues = True
            if spoken:
                self.queues = kueue.Queues(self.api, self.namespace, spoken)
                self.workloads = self._reflector(self.queues.path, kueue.keep_workload, "")
                self.workloads.start()
        return self.queues is not None

    def tend_queues(self) -> list[tuple[Document, str]]:
        """Nominate and take back what is to be; return the Jobs to be ended, each with the reason.

        Raises:
            RetryableError: when the cluster does not answer.
        """
        if not self.has_queues or self.jobs is None or self.queues is None:
            return []
        ours = {each["name"]: each for each in self.jobs.objects() if not each["origin"]}
        return list(self.queues.tend(ours, self._workloads()))

    def _workloads(self) -> dict[str, Document]:
        """Return the workloads by the name of their Job."""
        known = self.workloads.objects() if self.workloads is not None else []
        return {each["job"]: each for each in known if each["job"]}

    def watch_nodes(self) -> None:
        """Begin to watch nodes."""
        if self.nodes is not None:
            self.nodes.start()

    @property
    def is_reachable(self) -> bool:
        """Whether its server answered lately."""
        if self.api is None or self.nodes is None or not self.nodes.is_synced:
            return False
        watched = (each for each in (self.nodes, self.jobs, self.pods) if each is not None)
        newest = max(self.api.gate.succeeded_at, *(each.contact_at for each in watched))
        patience = max(SILENT_SECONDS, 1.5 * self._inactivity_seconds)
        if self.api.gate.trouble:
            patience = TROUBLED_SECONDS
        return time.monotonic() - newest <= patience

    def works(self) -> Iterator[tuple[Document, Document | None]]:
        """Yield every Job of ours with its newest pod, wherever that runs.

        Copies that another cluster's MultiKueue made are left to the one it made them from.
        """
        if self.jobs is None or self.pods is None:
            return
        newest: dict[str, Document] = {}
        where: dict[str, ClusterLink] = {}
        for link in (*self.workers.values(), self):
            for pod in link.pods.objects() if link.pods is not None else ():
                newest[pod["job"]] = pod
                where[pod["job"]] = link
        workloads = self._workloads()
        for job in self.jobs.objects():
            if not job["attempt"] or job["origin"]:
                continue
            pod, workload = newest.get(job["name"]), workloads.get(job["name"])
            if workload is not None:
                link = where.get(job["name"], self)
                job = kueue.judged(job, workload, pod, reachable=link.is_reachable)  # noqa: PLW2901
            yield job, pod

    def stop(self) -> None:
        """End every watch."""
        for each in (self.jobs, self.pods, self.nodes, self.workloads):
            if each is not None:
                each.stop()


class KubernetesClusters:
    """All clusters of the settings; links are made when they are first asked for.

    installation: tells Jobs of this engine's store from those of others on the same cluster.
    """

    def __init__(
        self,
        settings: KubernetesSettings,
        installation: str,
        *,
        inactivity_seconds: float = INACTIVITY_SECONDS,
    ) -> None:
        self.settings = settings
        self.installation = installation
        self._inactivity_seconds = inactivity_seconds
        self._links: dict[str, ClusterLink] | None = None
        self._lock = threading.Lock()

    def given(self) -> Sequence[ClusterSettings]:
        """Return the clusters of the settings, or one for each context of the kubeconfig.

        Raises:
            InvalidInputError: when the kubeconfig cannot be read.
        """
        if self.settings.clusters:
            return self.settings.clusters
        found = access.contexts(self.settings.kubeconfig)
        return [ClusterSettings(name=each.name, context=each.name) for each in found]

    def links(self) -> dict[str, ClusterLink]:
        """Return every cluster by name."""
        with self._lock:
            if self._links is None:
                self._links = {
                    each.name: ClusterLink(
                        each, self.settings, self.installation, self._inactivity_seconds
                    )
                    for each in self.given()
                }
                for link in self._links.values():
                    manager = self._links.get(link.given.via)
                    if manager is not None:
                        manager.workers[link.given.worker or link.given.name] = link
            return self._links

    def entry(self, name: str) -> str:
        """Return the cluster on which the Jobs of a cluster are made: itself, or its manager."""
        link = self.links().get(name)
        return link.given.via or name if link is not None else name

    def stop(self) -> None:
        """End every watch of every cluster."""
        with self._lock:
            for link in (self._links or {}).values():
                link.stop()
