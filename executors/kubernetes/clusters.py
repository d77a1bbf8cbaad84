"""The clusters of an installation: a guarded connection and caches each, made when first asked.

What goes wrong with one cluster (its kubeconfig, its certificate, its server) is kept with it and
harms no other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence

from engine.model.errors import BerthError
from executors.kubernetes import access, jobs, kept, rights
from executors.kubernetes.api import Api, Document
from executors.kubernetes.gate import Gate
from executors.kubernetes.nodes import keep_node
from executors.kubernetes.reflector import INACTIVITY_SECONDS, Reflector
from executors.kubernetes.settings import ClusterSettings, KubernetesSettings

_LOG = logging.getLogger(__name__)
RIGHTS_SECONDS = 60.0
"""How long until rights that were not enough are looked at again."""
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
        self.services: Reflector | None = None
        self.deployments: Reflector | None = None
        self._inactivity_seconds = inactivity_seconds
        self._serves = False
        self._asks_at = 0.0
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
        services, deployments = f"/api/v1{here}/services", f"/apis/apps/v1{here}/deployments"
        self.services = self._reflector(services, kept.keep_service, ours)
        self.deployments = self._reflector(deployments, kept.keep_deployment, ours)

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
        """Begin to watch Jobs and pods, and servers where those may be had."""
        for each in (self.jobs, self.pods):
            if each is not None:
                each.start()
        if self.serves:
            for each in (self.services, self.deployments):
                if each is not None:
                    each.start()

    @property
    def serves(self) -> bool:
        """Whether our rights there are enough for servers; asked now and then until they are."""
        if not self.given.serves or self.api is None:
            return False
        if not self._serves and time.monotonic() >= self._asks_at:
            self._asks_at = time.monotonic() + RIGHTS_SECONDS
            try:
                self._serves = rights.may_serve(self.api, self.namespace)
            except BerthError as error:
                _LOG.info("rights on %s: %s", self.given.name, error.message)
        return self._serves

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
        """Yield every Job of ours with its newest pod."""
        if self.jobs is None or self.pods is None:
            return
        newest: dict[str, Document] = {}
        for pod in self.pods.objects():
            newest[pod["job"]] = pod
        for job in self.jobs.objects():
            if job["attempt"]:
                yield job, newest.get(job["name"])

    def stop(self) -> None:
        """End every watch."""
        every = (self.jobs, self.pods, self.nodes, self.services, self.deployments)
        for each in every:
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
            return self._links

    def stop(self) -> None:
        """End every watch of every cluster."""
        with self._lock:
            for link in (self._links or {}).values():
                link.stop()
