"""From an order to the objects of its attempt, and what the runner in its pods is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import Template

import msgspec

from engine.model.dispatches import AttemptOrder
from engine.model.errors import RefusedError, UnreachableError
from engine.ports import ArtifactStore
from executors.kubernetes import jobs, kueue
from executors.kubernetes.api import Document
from executors.kubernetes.clusters import ClusterLink, KubernetesClusters
from executors.kubernetes.journal import Sender
from executors.kubernetes.kinds import devices, gangs
from executors.kubernetes.kinds.addresses import JOB
from executors.kubernetes.pod import ORDER
from executors.tasks import records

Address = Callable[[str, str], str]
"""From what (`inputs`, `outputs`, `signals` or a note) and its name to a signed address."""


class Manifests:
    """Writes orders as objects of Kubernetes, without sending them.

    artifacts: takes the files of a pipeline's folder that orders name.
    address: where pods find and leave things.
    """

    def __init__(
        self, clusters: KubernetesClusters, artifacts: ArtifactStore, address: Address
    ) -> None:
        self._clusters = clusters
        self._settings = clusters.settings
        self._artifacts = artifacts
        self._address = address

    def of(self, order: AttemptOrder) -> Sequence[Document]:
        """Return what is made of an order, the object of the attempt last.

        Raises:
            UnreachableError: when the cluster does not answer or has no such pool.
            RefusedError: when an order cannot be written as a Job.
        """
        job = self.job(order)
        link = answering(self._clusters, self._clusters.entry(order.cluster))
        kind = link.gangs_as if order.nodes > 1 else JOB
        before: list[Document] = []
        pod = job["spec"]["template"]
        if link.given.priority_class:
            pod["spec"]["priorityClassName"] = link.given.priority_class
        count = devices.count_of(pod["spec"])
        if count and (named := link.claims_from):
            before = [self._claim(link, count)]
            pod["spec"] = devices.claiming(pod["spec"], named)
        return [*before, *([job] if kind == JOB else gangs.manifests(job, kind))]

    def job(self, order: AttemptOrder) -> Document:
        """Return an order as a Job; errors as `of`."""
        link = answering(self._clusters, order.cluster)
        entry = answering(self._clusters, self._clusters.entry(order.cluster))
        job = jobs.render(
            order,
            installation=self._clusters.installation,
            namespace=entry.namespace,
            place=place_of(link, order.pool),
            settings=self._settings,
            environment={ORDER: msgspec.json.encode(self._told(order), order="sorted").decode()},
        )
        if entry.has_queues:
            worker = "" if entry is link else link.given.worker or link.given.name
            return kueue.queued(job, entry.given.queue, worker=worker)
        if entry is not link:
            message = f"cluster {entry.given.name!r} has no Kueue to send Jobs to {order.cluster!r}"
            raise UnreachableError(message, fix="install Kueue there, or remove `via`")
        return job

    def _claim(self, link: ClusterLink, count: int) -> Document:
        installation = self._clusters.installation
        named = link.given.device_class
        return devices.template(count, named, namespace=link.namespace, installation=installation)

    def _told(self, order: AttemptOrder) -> dict[str, object]:
        """Return what the runner in the pod is told."""
        more: dict[str, object] = {}
        if self._clusters.entry(order.cluster) != order.cluster:
            # MultiKueue removes Job and pod from the worker as soon as they have ended.
            more["result"] = self._address("results", order.attempt_id)
        if order.nodes > 1:
            meeting = self._address("meetings", order.attempt_id)
            more |= {"nodes": order.nodes, "meeting": meeting}
        shipped = {place: self._artifacts.put(path) for place, path in shipped_files(order).items()}
        return {
            "attempt_id": order.attempt_id,
            "run_id": order.run_id,
            "pipeline": order.pipeline,
            "task": order.task,
            "kind": order.kind.value,
            "cluster": order.cluster,
            "command": list(order.command),
            "parameters": _parameters(order),
            "memory_bytes": int(order.limits.memory_gib * 2**30),
            "time_limit_seconds": order.time_limit_seconds,
            "grace_seconds": max(1.0, self._settings.stop_seconds - 5.0),
            "inputs": {
                task: self._address("inputs", digest) for task, digest in order.inputs.items()
            },
            "files": {place: self._address("inputs", digest) for place, digest in shipped.items()},
            "outputs": self._address("outputs", order.attempt_id),
            "signals": self._address("signals", Sender.of_order(order).address),
            "workers": order.workers_of_nodes,
            "digests": dict(order.inputs),
            "commit": records.commit(Path(order.folder)) if order.folder else "",
            **more,
        }


def answering(clusters: KubernetesClusters, name: str) -> ClusterLink:
    """Return a cluster that can be asked.

    Raises:
        UnreachableError: when it cannot, or there is none of that name.
    """
    link = clusters.links().get(name)
    if link is None:
        raise UnreachableError(f"there is no cluster {name!r}", fix="place it elsewhere")
    if link.api is None:
        why = link.trouble.message if link.trouble else "it cannot be reached"
        raise UnreachableError(f"cluster {name!r}: {why}", fix="berth doctor examines it")
    return link


def place_of(link: ClusterLink, pool: str) -> jobs.Place:
    """Return where pods of a pool may run.

    Raises:
        UnreachableError: when the cluster has no such pool.
    """
    for each in link.pools():
        if each.pool.name == pool:
            return each.place
    message = f"cluster {link.given.name!r} has no pool {pool!r} now"
    raise UnreachableError(message, fix="place the task elsewhere or wait")


def shipped_files(order: AttemptOrder) -> dict[str, Path]:
    """Return files of the pipeline's folder that an order names, by their place below it.

    Raises:
        RefusedError: when what its task reads lies elsewhere, or a link leads there.
    """
    folder = Path(order.folder) if order.folder else None
    if folder is None:
        return {}
    named = [reads_of(order)]
    if named[0] and "://" not in named[0] and not _is_below(folder / named[0], folder):
        message = f"task {order.task!r} reads {named[0]!r}, and only {order.folder!r} is sent along"
        raise RefusedError(message, fix="put the file itself into that folder")
    for word in order.command:
        here = Template(word).safe_substitute({"BERTH_FOLDER": str(folder)})
        if here != word and Path(here).is_relative_to(folder):
            named.append(str(Path(here).relative_to(folder)))
    found = {name: folder / name for name in named if name}
    return {name: path for name, path in found.items() if path.exists() and _is_below(path, folder)}


def reads_of(order: AttemptOrder) -> str:
    """Return what a task reads, by its place below the pipeline's folder where it lies there."""
    task = order.parameters.get("task")
    given = str(task.get("reads") or "") if isinstance(task, Mapping) else ""
    if order.folder and Path(given).is_relative_to(order.folder):
        return str(Path(given).relative_to(order.folder))
    return given


def _is_below(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _parameters(order: AttemptOrder) -> dict[str, object]:
    """Return the parameters as the pod shall have them, where folders have other names."""
    task = order.parameters.get("task")
    if not isinstance(task, Mapping) or not task.get("reads"):
        return dict(order.parameters)
    return {**order.parameters, "task": {**task, "reads": reads_of(order)}}
