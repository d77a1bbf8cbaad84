"""Kueue: Jobs that wait in its queues, and MultiKueue's external dispatcher (KEP-693).

Where a cluster has a queue, its Jobs carry the queue's label and begin suspended; Kueue admits
them.
Where a cluster is reached through another one (`via`), its Jobs are made there, on the manager, and
Berth nominates the worker that the plan names in `Workload.status.nominatedClusterNames`: Kueue
keeps quota, admission and clean-up, the plan decides the place. What has to be done is found by
looking, so that it may be repeated or interrupted anywhere. A workload that Kueue evicts ends its
attempt, and the engine decides about another one: no attempt is started twice.
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Iterator, Mapping

from engine.model.dispatches import Reason
from engine.model.errors import BerthError, NotFoundError
from executors.kubernetes.api import APPLY, MERGE, Api, Document

_LOG = logging.getLogger(__name__)
GROUP = "kueue.x-k8s.io"
QUEUE = f"{GROUP}/queue-name"
ORIGIN = f"{GROUP}/multikueue-origin"
MANAGED_BY = f"{GROUP}/multikueue"
WORKER = "berth.dev/worker"
"""Annotation of a Job on a manager: the MultiKueueCluster that its workload is meant for."""
VERSIONS = ("v1beta2", "v1beta1")
"""Versions of Kueue's API that are spoken, newest first."""

_ADMISSION = "kueue-admission"
# Kueue applies the admission of a workload as this field manager, and clears the nomination by
# leaving it out. A field that another manager owned as well would stay, and the assignment would be
# refused (a workload has either nominations or a cluster). So this manager must own it: what
# upstream's own dispatchers do too (`PatchAdmissionStatus`).
_EVICTIONS = {
    "Preempted": Reason.PREEMPTED,
    "AdmissionCheck": Reason.NODE_LOST,
    "PodsReadyTimeout": Reason.INFRASTRUCTURE,
}
_ENDED = ("Succeeded", "Failed")


def version(api: Api) -> str:
    """Return the version of Kueue's API that a cluster serves, "" where it has none.

    Raises:
        RetryableError: when the cluster does not answer.
    """
    try:
        told = api.call("GET", f"/apis/{GROUP}")
    except NotFoundError:
        return ""
    served = {str(each["version"]) for each in told.get("versions") or ()}
    return next((each for each in VERSIONS if each in served), "")


def queued(job: Document, queue: str, *, worker: str = "") -> Document:
    """Return a Job that waits in a queue; worker: the cluster MultiKueue shall run it on. Pure."""
    made = copy.deepcopy(job)
    made["metadata"]["labels"][QUEUE] = queue
    made["spec"]["suspend"] = True
    if worker:
        made["metadata"]["annotations"][WORKER] = worker
        made["spec"]["managedBy"] = MANAGED_BY
    return made


def keep_workload(item: Document) -> Document:
    """Return what is read of a workload."""
    metadata: Document = item["metadata"]
    status: Document = item.get("status") or {}
    owners = metadata.get("ownerReferences") or ()
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    evicted: Document = conditions.get("Evicted") or {}
    return {
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "version": metadata["resourceVersion"],
        "job": next((each["name"] for each in owners if each.get("kind") == "Job"), ""),
        "active": bool(item["spec"].get("active", True)),
        "cluster": status.get("clusterName", ""),
        "nominated": list(status.get("nominatedClusterNames") or ()),
        "reserved": _holds(conditions, "QuotaReserved"),
        "finished": _holds(conditions, "Finished"),
        # A workload that was evicted and admitted again still says so.
        "evicted": str(evicted.get("reason", "")),
        "at": str(evicted.get("lastTransitionTime", "")),
        "says": _says(conditions, status),
    }


def _holds(conditions: Mapping[str, Document], name: str) -> bool:
    return name in conditions and conditions[name].get("status") == "True"


def _says(conditions: Mapping[str, Document], status: Document) -> str:
    """Return what a workload waits for, in Kueue's words."""
    if "QuotaReserved" in conditions and not _holds(conditions, "QuotaReserved"):
        return str(conditions["QuotaReserved"].get("message", ""))
    pending = [each for each in status.get("admissionChecks") or () if each["state"] != "Ready"]
    return "; ".join(f"{each['name']}: {each.get('message') or each['state']}" for each in pending)


def judged(
    job: Document, workload: Document | None, pod: Document | None, *, reachable: bool = True
) -> Document:
    """Return a queued Job with what its workload says of it. Pure.

    A Job whose workload was taken back for good is over, although its own conditions say nothing:
    nobody will unsuspend it.

    reachable: whether the cluster that runs its pods answers; what it last showed may be over.
    """
    if workload is None:
        return job
    seen = {**job, "version": f"{job['version']}/{workload['version']}", "waits": workload["says"]}
    gone = not (workload["active"] or workload["reserved"] or workload["cluster"])
    alive = pod is not None and pod["phase"] not in _ENDED
    if not (gone and job["stopped"]) or (alive and reachable):
        return seen
    if alive and not lost(str(job["stopped"])):
        return seen  # it may run on; when its cluster is given up, the engine says so
    seen["version"] += "/over"  # its worker may be lost later than anything of it is written
    seen["conditions"] = {**job["conditions"]}
    seen["conditions"].setdefault("Failed", ("Stopped", str(job["stopped"]), workload["at"]))
    return seen


def lost(stopped: str) -> bool:
    """Whether an attempt was ended because the worker that ran it was lost."""
    return stopped.startswith(f"{Reason.NODE_LOST.name}|")


def ending(job: Document, workload: Document) -> str:
    """Return why an attempt has to be ended since Kueue took it back, "" when it has not. Pure."""
    if job["stopped"] or workload["finished"] or not workload["evicted"]:
        return ""
    why = str(workload["evicted"])
    reason = _EVICTIONS.get(why, Reason.INFRASTRUCTURE)
    where = f" from {workload['cluster'] or job['worker']!r}" if job["worker"] else ""
    return f"{reason.name}|Kueue evicted it{where}: {why}"


def nomination(job: Document, workload: Document) -> str:
    """Return the worker to nominate, "" when there is nothing to say. Pure."""
    worker = str(job["worker"])
    unwanted = job["stopped"] or workload["finished"] or workload["cluster"]
    if not worker or unwanted or not workload["reserved"]:
        return ""
    return "" if workload["nominated"] == [worker] else worker


def miscounted(job: Document, workload: Document) -> bool:
    """Whether a Job that was taken back from a worker still counts pods there as active. Pure.

    The count is the worker's, copied while the Job ran. When Kueue has removed the worker's Job
    nobody lowers it, and Kueue keeps the quota for as long as it stands; Kubernetes 1.36 also
    refuses Kueue's own change of such a Job.
    """
    return bool(
        job["worker"]
        and job["stopped"]
        and job["suspended"]
        and job["active"]
        and workload["evicted"]
        and not workload["active"]
    )


class Queues:
    """The workloads of one namespace: looks at each, and does what is to be done.

    version: of Kueue's API, as `version` returns it.
    """

    def __init__(self, api: Api, namespace: str, spoken: str) -> None:
        self._api = api
        self._version = spoken
        self.path = f"/apis/{GROUP}/{spoken}/namespaces/{namespace}/workloads"

    def tend(
        self, jobs: Mapping[str, Document], workloads: Mapping[str, Document]
    ) -> Iterator[tuple[Document, str]]:
        """Nominate and take back; yield each Job to be ended, with the reason.

        jobs: by name; workloads: by the name of their Job. What fails is done next time.
        """
        for name, workload in workloads.items():
            job = jobs.get(name)
            if job is None:
                continue
            why = ending(job, workload)
            if why:
                yield job, why
                continue
            try:
                self._act(job, workload)
            except BerthError as error:
                _LOG.info("workload %s: %s", workload["name"], error.message)

    def _act(self, job: Document, workload: Document) -> None:
        if job["stopped"] and workload["active"] and not workload["finished"]:
            self._deactivate(str(workload["name"]))
        if miscounted(job, workload):
            self._count_none(job)
        worker = nomination(job, workload)
        if worker:
            self._nominate(str(workload["name"]), job, worker)

    def _deactivate(self, name: str) -> None:
        """Let Kueue take back a workload: it removes what it made for it, wherever that is."""
        body = {"spec": {"active": False}}
        query = {"fieldManager": "berth"}
        path = f"{self.path}/{name}"
        self._api.call("PATCH", path, query=query, body=body, content_type=MERGE)

    def _count_none(self, job: Document) -> None:
        """Say that no pod of a Job is active any more."""
        path = f"/apis/batch/v1/namespaces/{job['namespace']}/jobs/{job['name']}/status"
        body = {
            "metadata": {"uid": job["uid"], "resourceVersion": job["version"]},
            "status": {"active": 0, "ready": 0, "terminating": 0},
        }
        query = {"fieldManager": "berth"}
        self._api.call("PATCH", path, query=query, body=body, content_type=MERGE)

    def _nominate(self, name: str, job: Document, worker: str) -> None:
        """Name the one cluster that the plan gives a workload.

        The whole status is applied as it was read, so that its owner keeps all its fields; the
        version refuses it when anything changed meanwhile.
        """
        found = self._api.call("GET", f"{self.path}/{name}")
        if not nomination(job, keep_workload(found)):
            return
        metadata: Document = found["metadata"]
        body = {
            "apiVersion": f"{GROUP}/{self._version}",
            "kind": "Workload",
            "metadata": {
                "name": name,
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
            "status": {**found["status"], "nominatedClusterNames": [worker]},
        }
        path = f"{self.path}/{name}/status"
        query = {"fieldManager": _ADMISSION, "force": "true"}
        self._api.call("PATCH", path, query=query, body=body, content_type=APPLY)
        _LOG.info("nominated %s for %s", worker, job["attempt"])


def told_pod(result: bytes, job: Document) -> Document:
    """Return the ended pod of an attempt as its runner told it: the pod itself is removed.

    result: what the runner wrote as its termination message.
    """
    code = json.loads(result).get("code")
    return {
        "namespace": job["namespace"],
        "name": job["name"],
        "version": "told",
        "job": job["name"],
        "attempt": job["attempt"],
        "deleting": True,
        "phase": "Succeeded" if code == 0 else "Failed",
        "reason": "",
        "message": "",
        "state": {"terminated": {"message": result.decode(), "exitCode": code or 0}},
        "conditions": {},
    }
