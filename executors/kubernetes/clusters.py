"""The clusters of an installation: a guarded connection and caches each, made when first asked.

What goes wrong with one cluster (its kubeconfig, its certificate, its server) is kept with it and
harms no other. The kubeconfig is looked at again while the engine runs: new contexts are clusters
from then on, and changed credentials are used at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

from engine.model.errors import BerthError, UnreachableError
from executors.kubernetes import access, jobs, kept, kueue, nodes, occupancy, rights
from executors.kubernetes.api import Api, Document
from executors.kubernetes.gate import Gate
from executors.kubernetes.kinds import devices, gangs
from executors.kubernetes.kinds.spoken import Spoken
from executors.kubernetes.kinds.watches import Keep, Watches
from executors.kubernetes.reflector import INACTIVITY_SECONDS, Reflector
from executors.kubernetes.settings import ClusterSettings, KubernetesSettings

_LOG = logging.getLogger(__name__)
RIGHTS_SECONDS = 60.0
"""How long until rights that were not enough are looked at again."""
SILENT_SECONDS = 100.0
"""A server that said nothing for so long, although a watch is open, does not answer."""
TROUBLED_SECONDS = 15.0
"""One whose last request failed is given so long: a single failure is no outage."""
LOOK_SECONDS = 2.0
"""Time between two looks at the kubeconfig, and least time between two sums over all pods."""


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
        self.others: Reflector | None = None
        self.services: Reflector | None = None
        self.deployments: Reflector | None = None
        self.workloads: Reflector | None = None
        self.more: Watches | None = None
        """What it has beside the kinds of every cluster."""
        self.queues: kueue.Queues | None = None
        self.workers: dict[str, ClusterLink] = {}
        """The clusters that this one's MultiKueue sends Jobs to, by its name for them."""
        self._asked_for_queues = False
        self._inactivity_seconds = inactivity_seconds
        self._pools: tuple[tuple[int, int, bool], float, tuple[nodes.NodePool, ...]] | None = None
        self._serves = False
        self._asks_at = 0.0
        self.fingerprint = ""
        try:
            self._connect()
        except BerthError as error:
            self.trouble = error

    def _connect(self) -> None:
        path, given = self.settings.kubeconfig, self.given
        self.fingerprint = access.fingerprint(path, given.context)
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
        self.nodes = self._reflector("/api/v1/nodes", nodes.keep_node, "")
        self.others = self._reflector(
            "/api/v1/pods",
            occupancy.keep_request,
            occupancy.selector(self.installation),
            occupancy.FIELDS,
        )
        services, deployments = f"/api/v1{here}/services", f"/apis/apps/v1{here}/deployments"
        self.services = self._reflector(services, kept.keep_service, ours)
        self.deployments = self._reflector(deployments, kept.keep_deployment, ours)
        self.more = Watches(Spoken(self.api, given), self._reflector, self.namespace, ours)

    def _reflector(self, path: str, keep: Keep, selector: str, fields: str = "") -> Reflector:
        assert self.api is not None  # noqa: S101 - made just before
        return Reflector(
            self.api,
            path,
            keep,
            selector=selector,
            fields=fields,
            inactivity_seconds=self._inactivity_seconds,
        )

    def watch_work(self) -> None:
        """Begin to watch Jobs and pods, and servers where those may be had."""
        for each in (self.jobs, self.pods):
            if each is not None:
                each.start()
        if self.more is not None and not self._is_troubled:
            self.more.begin_work()
        if self.serves:
            if self.more is not None and not self._is_troubled:
                self.more.begin_serving()
            for each in (self.services, self.deployments):
                if each is not None:
                    each.start()

    @property
    def gangs_as(self) -> str:
        """Kind of the object of a task on several nodes.

        Raises:
            RetryableError: when the cluster was not asked yet and does not answer.
        """
        assert self.more is not None  # noqa: S101 - made with `api`
        return self.more.spoken.gangs

    @property
    def gangs(self) -> Reflector | None:
        """Cache of the gangs, None where those are Jobs."""
        return self.more.gangs if self.more is not None else None

    @property
    def claims_from(self) -> str:
        """Device class that GPUs are claimed from, "" where they are asked for by their number.

        Raises:
            RetryableError: when the cluster was not asked yet and does not answer.
        """
        assert self.more is not None  # noqa: S101 - made with `api`
        return self.given.device_class if self.more.spoken.claims else ""

    @property
    def serves(self) -> bool:
        """Whether our rights there are enough for servers; asked now and then until they are."""
        if not self.given.serves or self.api is None:
            return False
        if self.api.gate.trouble:
            # Whoever looks at the fleet does not wait for a cluster that does not answer.
            return self._serves
        if not self._serves and time.monotonic() >= self._asks_at:
            self._asks_at = time.monotonic() + RIGHTS_SECONDS
            try:
                self._serves = rights.may_serve(self.api, self.namespace)
            except BerthError as error:
                _LOG.info("rights on %s: %s", self.given.name, error.message)
        return self._serves

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
        """Begin to watch nodes, and what others run on them."""
        for each in (self.nodes, self.others):
            if each is not None:
                each.start()
        if self.more is not None and not self._is_troubled:
            self.more.begin_nodes()

    @property
    def _is_troubled(self) -> bool:
        """Whether its last request failed: whoever only looks does not wait for it."""
        return self.api is None or bool(self.api.gate.trouble)

    def pools(self) -> tuple[nodes.NodePool, ...]:
        """Return the pools as they are now, made anew only after a change of nodes or pods."""
        if self.nodes is None:
            return ()
        knows = self.others is not None and self.others.is_synced and not self.others.refusal
        slices = self.more.slices if self.more is not None else None
        seen = self.nodes.changes + (slices.changes if slices is not None else 0)
        counts = seen, self.others.changes if self.others else 0, knows
        now, last = time.monotonic(), self._pools
        if last is not None:
            # Pods come and go by the second on a large cluster; nodes do not.
            waits = now - last[1] < LOOK_SECONDS and (counts[0], knows) == (last[0][0], last[0][2])
            if counts == last[0] or waits:
                return last[2]
        held = occupancy.taken(self.others.objects()) if knows and self.others else None
        found = self.nodes.objects()
        if slices is not None:
            found = devices.on_nodes(found, slices.objects(), self.given.device_class)
        made = nodes.pools(found, self.settings.prices, held)
        self._pools = (counts, now, made)
        return made

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
        """Yield every Job of ours with the pod that tells how it stands, wherever that runs.

        Copies that another cluster's MultiKueue made are left to the one it made them from.
        """
        if self.jobs is None or self.pods is None:
            return
        pods: dict[str, list[Document]] = {}
        where: dict[str, ClusterLink] = {}
        for link in (*self.workers.values(), self):
            for each in link.pods.objects() if link.pods is not None else ():
                pods.setdefault(each["job"], []).append(each)
                where[each["job"]] = link
        workloads = self._workloads()
        for job in self._attempts():
            pod = jobs.telling(pods.get(job.get("child") or job["name"], ()), job["nodes"])
            workload = workloads.get(job["name"])
            if workload is not None:
                link = where.get(job["name"], self)
                job = kueue.judged(job, workload, pod, reachable=link.is_reachable)  # noqa: PLW2901
            yield job, pod

    def _attempts(self) -> Iterator[Document]:
        """Yield the Job of every attempt that was made here, and gangs as Jobs are read."""
        assert self.jobs is not None  # noqa: S101 - asked before
        for job in self.jobs.objects():
            if job["attempt"] and not job["origin"] and not (self.gangs and job["gang"]):
                yield job
        for gang in self.gangs.objects() if self.gangs is not None else ():
            if gang["attempt"]:
                yield self.gang(gang)

    def find(self, name: str) -> Document | None:
        """Return an attempt's Job by its name, or a gang as one, as the watches show it."""
        if self.jobs is None:
            return None
        job = self.jobs.get(self.namespace, name)
        if job is not None or self.gangs is None:
            return job
        gang = self.gangs.get(self.namespace, gangs.name_of(name))
        return None if gang is None else self.gang(gang)

    def gang(self, found: Document) -> Document:
        """Return a gang as a Job is read."""
        child = gangs.child_of(found["name"])
        return gangs.merged(found, self.jobs.get(self.namespace, child) if self.jobs else None)

    def stop(self) -> None:
        """End every watch."""
        for each in self._reflectors():
            each.stop()

    def _reflectors(self) -> list[Reflector]:
        every = (
            *(self.jobs, self.pods, self.nodes, self.others),
            *(self.services, self.deployments, self.workloads),
            *(self.more.reflectors() if self.more is not None else ()),
        )
        return [each for each in every if each is not None]

    def retire(self, why: BerthError | None) -> None:
        """Let go of the cluster, without waiting for its watches to end; why: for who asks."""
        for each in self._reflectors():
            each.stop(0.0)
        self.trouble, self.api = why, None
        self.fingerprint = ""


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
        self._looked_at = 0.0
        self._stamp = (0, 0)

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
        """Return every cluster by name, as the kubeconfig has them now.

        A cluster whose context vanished stays, in trouble: what runs there may be alive.
        """
        with self._lock:
            if self._links is None:
                self._stamp = self._stamped()
                self._links = {each.name: self._made(each) for each in self.given()}
                _send_through(self._links)
            elif time.monotonic() - self._looked_at >= LOOK_SECONDS:
                self._look(self._links)
            else:
                return self._links
            self._looked_at = time.monotonic()
            return self._links or {}

    def _made(self, given: ClusterSettings) -> ClusterLink:
        return ClusterLink(given, self.settings, self.installation, self._inactivity_seconds)

    def _stamped(self) -> tuple[int, int]:
        try:
            found = self.settings.kubeconfig.stat()
        except OSError:
            return (0, 0)
        return found.st_mtime_ns, found.st_size

    def _look(self, links: dict[str, ClusterLink]) -> None:
        """Follow a kubeconfig that changed; one that cannot be read changes nothing."""
        stamp = self._stamped()
        if stamp == self._stamp:
            return
        try:
            known = {each.name: each for each in self.given()}
            prints = {
                each.name: access.fingerprint(self.settings.kubeconfig, each.context)
                for each in known.values()
            }
        except BerthError as error:
            _LOG.warning("the kubeconfig changed and cannot be used: %s", error.message)
            return
        self._stamp = stamp
        changed = dict(links)
        for name, given in known.items():
            old = links.get(name)
            if old is None or old.fingerprint != prints[name]:
                _LOG.info("cluster %s: %s", name, "new" if old is None else "connected anew")
                if old is not None:
                    old.retire(None)
                changed[name] = self._made(given)
        for name in links.keys() - known.keys():
            message = f"context {links[name].given.context!r} is not in the kubeconfig any more"
            links[name].retire(UnreachableError(message, fix="restore it, or restart the engine"))
        _send_through(changed)
        # Whoever goes through the old dictionary is not disturbed.
        self._links = changed

    def nodes(self) -> Mapping[str, Sequence[Document]]:
        """Return the nodes of each cluster that were seen."""
        return {
            name: link.nodes.objects()
            for name, link in self.links().items()
            if link.nodes is not None and link.nodes.is_synced
        }

    def entry(self, name: str) -> str:
        """Return the cluster on which the Jobs of a cluster are made: itself, or its manager."""
        link = self.links().get(name)
        return link.given.via or name if link is not None else name

    def stop(self) -> None:
        """End every watch of every cluster."""
        with self._lock:
            for link in (self._links or {}).values():
                link.stop()


def _send_through(links: Mapping[str, ClusterLink]) -> None:
    """Tell managers of MultiKueue which of the clusters they send Jobs to."""
    for link in links.values():
        manager = links.get(link.given.via)
        if manager is not None:
            manager.workers[link.given.worker or link.given.name] = link
