"""Port `Executor`: attempts as Jobs, on any number of clusters.

What is wanted is written before it is done, by the engine; what happened is in the cluster, under a
name made of the attempt. So a request may be repeated: the second one meets the Job of the first.
Stopping leaves the Job as a mark that says so until its time to live is over, and so a stopped
attempt is never started again.
"""

from __future__ import annotations

import dataclasses
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from engine.model.dispatches import AttemptOrder, AttemptState, Observation, Reason
from engine.model.errors import (
    BerthError,
    DamagedError,
    NotFoundError,
    RetryableError,
)
from engine.model.identifiers import AttemptId, ClusterName
from engine.model.specs import TaskKind
from engine.ports import ArtifactStore, Clock
from executors.kubernetes import (
    attempts,
    drift,
    endpoint,
    jobs,
    kueue,
    paths,
    refusals,
    suspensions,
    verdicts,
)
from executors.kubernetes.api import Document
from executors.kubernetes.clusters import ClusterLink, KubernetesClusters
from executors.kubernetes.journal import Journal
from executors.kubernetes.manifests import Manifests, answering, place_of
from executors.kubernetes.servers import Servers
from executors.kubernetes.serving.modelcars import Modelcars
from executors.kubernetes.starts import Starts
from executors.local import files, results

_LOG = logging.getLogger(__name__)
_LOG_LINES = 2_000
_VAIN_SECONDS = 120.0
"""How long an image may be unavailable, or pods refused, before the attempt is given up."""


class KubernetesExecutor:
    """Runs attempts on Kubernetes clusters.

    home: the data folder, for the endpoint's key and the logs of ended attempts.
    artifacts: what pods read and leave. clock: for attempts that wait for their image.
    replica: name of this engine among those that share the data folder.
    environment: where logins of registries are looked for, to which packages are pushed.
    """

    def __init__(
        self,
        home: Path,
        clusters: KubernetesClusters,
        artifacts: ArtifactStore,
        clock: Clock,
        *,
        replica: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._home = home.absolute() / "kubernetes"
        self._clusters = clusters
        self._settings = clusters.settings
        self._artifacts = artifacts
        self._clock = clock
        self._signer = endpoint.Signer(self._home / "key")
        scratch = self._home / (f"transfers-{replica}" if replica else "transfers")
        shutil.rmtree(scratch, ignore_errors=True)
        self.journal = Journal(paths.signals_folder(home), clock, replica)
        self._endpoint = endpoint.ArtifactEndpoint(
            artifacts, self._signer, self._settings.listen, scratch, self.journal
        )
        layers = home.absolute() / "layers"
        self._modelcars = Modelcars(artifacts, layers, scratch, environment or {}, clock.monotonic)
        self.servers = Servers(
            clusters,
            clock,
            lambda digest: self._address("inputs", digest),
            lambda sender: self._address("signals", sender.address),
            self._modelcars,
        )
        self.manifests = Manifests(clusters, artifacts, self._address)
        self._seen: dict[str, tuple[tuple[str, str], Observation]] = {}
        self._homes: dict[str, str] = {}
        self._stuck: dict[str, float] = {}
        self._refusals = refusals.Refusals(clock)
        self._resumed: dict[str, int] = {}
        self._starts = Starts(clusters, self.start)

    # ------------------------------------------------------------------ starting

    def start(self, order: AttemptOrder) -> None:
        """Start an attempt, once, whatever happened to earlier calls.

        Raises:
            UnreachableError: when the cluster does not answer or has no such pool.
            RetryableError: when it asks for patience.
            RefusedError: when it refuses the Job; its own words are kept.
            NotFoundError: when an input is not in the artefact store.
        """
        link = answering(self._clusters, self._clusters.entry(order.cluster))
        link.watch_work()
        if order.kind is TaskKind.SERVE:
            self.servers.start(link, order, place_of(link, order.pool))
            return
        *before, wanted = self.manifests.of(order)
        for each in before:
            attempts.prepare(link, each)
        went_on = attempts.make(link, wanted)
        self._note(order.attempt_id, link)
        if went_on:
            self._resumed[str(order.attempt_id)] = went_on

    def _note(self, attempt: AttemptId, link: ClusterLink) -> None:
        """Remember what was started: its Job may be changed before anybody looked at it."""
        handle = f"{link.namespace}/{jobs.name_of(self._clusters.installation, attempt)}"
        seen = Observation(attempt_id=attempt, state=AttemptState.RUNNING, handle=handle)
        self._homes.setdefault(attempt, link.given.name)
        self._seen.setdefault(attempt, (("", ""), seen))

    def start_all(self, orders: Sequence[AttemptOrder]) -> Mapping[AttemptId, BerthError | None]:
        """Start many attempts at once; return what went wrong with each, None where nothing did.

        Each cluster has connections and a rate of its own, so that a slow one delays no other.
        Those not in the answer were not tried, or have none yet: their cluster is busy, or is
        left alone.
        """
        return self._starts.start_all(orders)

    def can_suspend(self, cluster: ClusterName) -> bool:
        """Whether Jobs of a cluster can be suspended: not where Kueue says when they run."""
        link = self._clusters.links().get(cluster)
        if link is None or link.api is None or self._clusters.entry(cluster) != cluster:
            return False
        try:
            return not link.has_queues
        except RetryableError:
            return False

    def suspend(self, attempt: AttemptId) -> None:
        """Take an attempt off its node; its Job stays, and `start` lets it go on.

        Raises:
            RetryableError: when its cluster does not answer.
        """
        name = jobs.name_of(self._clusters.installation, attempt)
        for link in self._clusters.links().values():
            job = link.find(name)
            if job is not None and link.api is not None and suspensions.may_leave(job):
                suspensions.suspend(link.api, job)

    def _address(self, what: str, name: str) -> str:
        """Return the signed address at which pods find, or leave, something."""
        base = self._settings.endpoint
        if self._settings.listen.endswith(":0") and not self._settings.artifacts_url:
            base = f"http://{self._settings.listen.rpartition(':')[0]}:{self._endpoint.port}"
        return self._signer.address(base, what, name)

    # ----------------------------------------------------------------- observing

    def observe(self) -> Sequence[Observation]:
        """Return what is seen of every attempt, as of what the watches brought.

        A cluster that does not answer is shown as it was last seen; one that was not listed yet
        shows nothing.
        """
        links = [link for link in self._clusters.links().values() if link.api is not None]
        for link in links:
            link.watch_work()
            self._tend(link)
            attempts.clear(link, self._clock.now() - self._settings.ttl_seconds)
        seen = [self._observe(link, *work) for link in links for work in link.works()]
        known = {each.attempt_id for each in seen}
        served = [each for link in links for each in self.servers.observe(link)]
        return [*seen, *self._vanished(known), *served]

    def _tend(self, link: ClusterLink) -> None:
        """Do what the queues of a cluster need, and end what Kueue took back."""
        try:
            for job, why in link.tend_queues():
                attempts.end(link, job, why)
        except BerthError as error:
            _LOG.info("the queues of %s: %s", link.given.name, error.message)

    def _vanished(self, known: set[AttemptId]) -> Iterator[Observation]:
        """Yield what is said of attempts that were seen to run and whose Job is not there."""
        # Threads that start attempts add to it meanwhile.
        for attempt in [AttemptId(each) for each in list(self._seen) if each not in known]:
            version, last = self._seen[attempt]
            if last.state.is_terminal:
                continue
            if self._is_gone(attempt):
                last = dataclasses.replace(
                    last,
                    state=AttemptState.FAILED,
                    ended_at=self._clock.now(),
                    reason=Reason.KILLED,
                    message="its Job was removed from the cluster by somebody else",
                )
                self._seen[attempt] = (version, last)
            yield last

    def _is_gone(self, attempt: AttemptId) -> bool:
        """Ask its cluster for a Job that the watch does not show: a list may be behind.

        One that is there lost the labels by which it is found, which are set again.
        """
        installation = self._clusters.installation
        link = self._clusters.links().get(self._homes.get(attempt, ""))
        if link is None or link.api is None or link.jobs is None or not link.jobs.is_synced:
            return False
        try:
            job = attempts.asked_any(link, jobs.name_of(installation, attempt))
            if job is not None:
                drift.restore(link.api, job, attempt=attempt, installation=installation)
        except BerthError as error:
            _LOG.info("%s cannot be asked for: %s", attempt, error.message)
            return False
        return job is None

    def _observe(self, link: ClusterLink, job: Document, pod: Document | None) -> Observation:
        attempt = str(job["attempt"])
        self._homes[attempt] = link.given.name
        version = (str(job["version"]), "" if pod is None else str(pod["version"]))
        known = self._seen.get(attempt)
        if known is not None and (known[0] == version or known[1].state.is_terminal):
            return self._waited(link, job, pod, known[1])
        if verdicts.is_over(job) and verdicts.terminated(pod) is None:
            if link.pods is not None and not (link.pods.is_synced or job["worker"]):
                # The list of pods is on its way; asking for each would take long after a restart.
                return verdicts.running(job, pod)
            try:
                pod = self._asked_pod(link, job)
            except BerthError as error:
                _LOG.info("the pod of %s cannot be looked at: %s", attempt, error.message)
                return verdicts.running(job, pod)
        seen = self._judged(job, pod)
        if seen.state.is_terminal:
            self._keep_log(link, pod, attempt)
        self._seen[attempt] = (version, seen)
        return seen

    def _judged(self, job: Document, pod: Document | None) -> Observation:
        """Return what a Job and its pod say, with all that the attempt left."""
        seen = verdicts.observation(job, pod)
        if seen.state is AttemptState.SUSPENDED and self._went_on(job):
            return verdicts.running(job, pod)
        if seen.state is AttemptState.SUCCEEDED and not seen.outputs and seen.artifact:
            return self._with_outputs(seen)
        return self._endpoint.with_left(seen)

    def _went_on(self, job: Document) -> bool:
        """Whether a watch shows a Job as it was before this engine resumed it."""
        version = str(job["version"]).partition("/")[0]
        return int(version) < self._resumed.get(str(job["attempt"]), 0)

    def _asked_pod(self, link: ClusterLink, job: Document) -> Document | None:
        """Ask for the pod of an ended Job: the watch of pods may be behind that of Jobs."""
        assert link.api is not None  # noqa: S101 - it has Jobs
        if job["worker"]:
            told = self._endpoint.result(AttemptId(job["attempt"]))
            return kueue.told_pod(told, job) if told else None
        path = f"/api/v1/namespaces/{link.namespace}/pods"
        query = {"labelSelector": f"batch.kubernetes.io/job-name={job.get('child') or job['name']}"}
        found = link.api.call("GET", path, query=query).get("items") or []
        found.sort(key=lambda each: str(each["metadata"]["creationTimestamp"]))
        return jobs.telling([jobs.keep_pod(each) for each in found], job["nodes"])

    def _with_outputs(self, seen: Observation) -> Observation:
        """Read outputs that were too large for the termination message from the artefact."""
        assert seen.artifact is not None  # noqa: S101 - asked before
        with tempfile.TemporaryDirectory(dir=self._home) as folder:
            target = Path(folder) / "outputs"
            try:
                self._artifacts.fetch(seen.artifact, target)
                return dataclasses.replace(seen, outputs=dict(results.read_outputs(target)))
            except (NotFoundError, DamagedError) as error:
                return dataclasses.replace(
                    seen,
                    state=AttemptState.FAILED,
                    reason=Reason.BAD_OUTPUT,
                    message=error.message,
                )

    def _keep_log(self, link: ClusterLink, pod: Document | None, attempt: str) -> None:
        """Keep the last lines of a pod's log; it goes with the pod."""
        if pod is None or link.api is None:
            return
        path = f"/api/v1/namespaces/{link.namespace}/pods/{pod['name']}/log"
        try:
            query = {"tailLines": _LOG_LINES}
            text = link.api.read("GET", path, query=query, seconds=5.0, blames_server=False)
        except BerthError as error:
            _LOG.info("the log of %s cannot be had: %s", attempt, error.message)
            return
        target = paths.log_path(self._home.parent, attempt)
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write_durably(target, text)

    def _waited(
        self, link: ClusterLink, job: Document, pod: Document | None, seen: Observation
    ) -> Observation:
        """Return what is seen of an attempt that did not change; end one that waits in vain.

        That is one whose image cannot be had for a while, or whose pods are refused: nothing else
        would end it.
        """
        attempt = seen.attempt_id
        waits = seen.state is AttemptState.RUNNING and not job["stopped"]
        refusal = ""
        if waits and pod is None and not job["worker"]:
            refusal = self._refusals.of(link, job)
            seen = dataclasses.replace(seen, message=refusal) if refusal else seen
        else:
            self._refusals.forget(attempt)
        reason, why = Reason.IMAGE, verdicts.stuck(pod) if waits else ""
        if refusals.is_final(refusal):
            reason, why = Reason.ADMISSION, refusal
        self._give_up_stuck(link, job, attempt, f"{reason.name}|{why}" if why else "")
        return seen

    def _give_up_stuck(self, link: ClusterLink, job: Document, attempt: str, why: str) -> None:
        if not why:
            self._stuck.pop(attempt, None)
            return
        now = self._clock.monotonic()
        if now - self._stuck.setdefault(attempt, now) >= _VAIN_SECONDS:
            try:
                attempts.end(link, job, why)
            except BerthError as error:
                _LOG.info("%s cannot be ended yet: %s", attempt, error.message)

    # ------------------------------------------------------------------ stopping

    def stop(self, attempt: AttemptId) -> None:
        """Ask an attempt to end; its pod is gone after its grace period.

        An attempt that is not known or has ended is left as it is.

        Raises:
            RetryableError: when its cluster does not answer.
        """
        self.servers.stop(attempt)
        name = jobs.name_of(self._clusters.installation, attempt)
        for link in self._clusters.links().values():
            if link.jobs is None:
                continue
            job = link.find(name)
            if job is None and not link.jobs.is_synced and link.api is not None:
                job = attempts.asked_any(link, name)
            if job is not None and not (job["stopped"] or job["origin"] or verdicts.is_over(job)):
                attempts.end(link, job, "a request")

    def forget(self, attempt: AttemptId) -> None:
        """Remove the object of an attempt that has ended, and only that one."""
        self.servers.forget(attempt)
        name = jobs.name_of(self._clusters.installation, attempt)
        for link in self._clusters.links().values():
            job = link.find(name)
            if job is not None and link.api is not None and not job["origin"]:
                attempts.remove(link, job)
        self._seen.pop(attempt, None)
        self._homes.pop(attempt, None)
        self._resumed.pop(attempt, None)
        self._refusals.forget(attempt)
        self._endpoint.forget(attempt)

    def clear(self, is_kept: Callable[[AttemptId], bool]) -> int:
        """Remove logs, notes and objects of attempts that nobody keeps; return how many (port).

        Those of a cluster that does not answer are removed with the next call.
        """
        logs = paths.log_path(self._home.parent, "x").parent
        seen = [each for each, (_, last) in list(self._seen.items()) if last.state.is_terminal]
        count = 0
        for attempt in sorted(AttemptId(each) for each in {*seen, *_named(logs)}):
            if is_kept(attempt):
                continue
            try:
                self.forget(attempt)
            except BerthError as error:
                _LOG.info("what %s left stays for now: %s", attempt, error.message)
                continue
            paths.log_path(self._home.parent, attempt).unlink(missing_ok=True)
            count += 1
        return count

    def close(self) -> None:
        """End the endpoint, the watches and the threads; what runs goes on."""
        self._endpoint.stop()
        self._starts.close()
        self._modelcars.close()
        self._clusters.stop()


def _named(logs: Path) -> Iterator[str]:
    """Yield the attempts of which there are logs, also of those whose objects went long ago."""
    return (path.stem for path in logs.glob("*.txt"))
