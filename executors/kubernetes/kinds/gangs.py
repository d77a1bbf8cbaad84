"""Gangs as JobSets or TrainJobs, made of the Indexed Job that they would be otherwise. Pure.

Their controllers make one Job of either. It carries our labels and annotations, so that it, its
pods, and the verdict on them are read as those of any Job; the name and what we marked (stopped,
suspended) are the gang's. One that is stopped is suspended for good: that ends its pods, and none
follows, whatever its controller does meanwhile.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

from executors.kubernetes.api import Document
from executors.kubernetes.jobs import ATTEMPT, PARKED, SPEC_HASH, STOPPED
from executors.kubernetes.kinds.addresses import (
    JOB_SET,
    KINDS,
    TRAIN_JOB,
    TRAINING_RUNTIME,
    head,
)

NODE = "node"
"""Name of the Job in a gang and of its container: Trainer goes by it."""
_STEP = "trainer.kubeflow.org/trainjob-ancestor-step"
_FRONT_MAX = 32
# Pods are called NAME-node-0-NUMBER-xxxxx, a label of 63 characters at most.
_OVER = {"Completed": "Complete"}
_NO_JOB: Document = {
    "child": "",
    "queue": "",
    "origin": "",
    "worker": "",
    "active": 0,
    "terminating": 0,
    "start": "",
}
"""What is read of a Job that is not made yet."""


def name_of(job_name: str) -> str:
    """Return the name of a gang: that of its Job, short enough for the names of its pods."""
    front, _, digest = job_name.rpartition("-")
    return f"{front[:_FRONT_MAX].rstrip('-')}-{digest}"


def child_of(name: str) -> str:
    """Return the name of the Job that is made of a gang."""
    return f"{name}-{NODE}-0"


def manifests(job: Document, kind: str) -> tuple[Document, ...]:
    """Return what is to be made instead of an Indexed Job, the gang itself last."""
    metadata = {**job["metadata"], "name": name_of(job["metadata"]["name"])}
    if kind == JOB_SET:
        ttl = job["spec"]["ttlSecondsAfterFinished"]
        spec = {**_job_set(job), "ttlSecondsAfterFinished": ttl}
        return ({**head(JOB_SET), "metadata": metadata, "spec": spec},)
    nodes = int(job["spec"]["completions"])
    template = {"spec": _job_set(job)}
    runtime = {"mlPolicy": {"numNodes": nodes}, "template": template}
    group = KINDS[TRAINING_RUNTIME].group
    named = {"apiGroup": group, "kind": TRAINING_RUNTIME, "name": metadata["name"]}
    spec = {"runtimeRef": named, "trainer": {"numNodes": nodes}}
    return (
        {**head(TRAINING_RUNTIME), "metadata": metadata, "spec": runtime},
        {**head(TRAIN_JOB), "metadata": metadata, "spec": spec},
    )


def _job_set(job: Document) -> Document:
    """Return the specification of a JobSet of one Job, which it never makes a second time."""
    spec = copy.deepcopy(job["spec"])
    spec.pop("ttlSecondsAfterFinished")
    spec["template"]["spec"]["containers"][0]["name"] = NODE
    told = {
        "labels": {**job["metadata"]["labels"], _STEP: "trainer"},
        "annotations": dict(job["metadata"]["annotations"]),
    }
    return {
        "replicatedJobs": [
            {"name": NODE, "replicas": 1, "template": {"metadata": told, "spec": spec}}
        ],
        "successPolicy": {"operator": "All"},
        "failurePolicy": {"maxRestarts": 0},
        "network": {"enableDNSHostnames": False},  # nodes meet by way of the engine
    }


def suspension(gang: Document, annotations: Mapping[str, str]) -> Document:
    """Return what suspends a gang, with why as a mark on it."""
    return {
        **head(gang["kind"]),
        "metadata": {
            "name": gang["name"],
            "uid": gang["uid"],
            "annotations": dict(annotations),
        },
        "spec": {"suspend": True},
    }


# ---------------------------------------------------------------------- reading


def keep(item: Document) -> Document:
    """Return what is read of a gang."""
    metadata: Document = item["metadata"]
    annotations: Document = metadata.get("annotations") or {}
    status: Document = item.get("status") or {}
    spec: Document = item["spec"]
    return {
        "kind": item["kind"],
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "uid": metadata["uid"],
        "version": metadata["resourceVersion"],
        "created": metadata.get("creationTimestamp", ""),
        "deleting": "deletionTimestamp" in metadata,
        "attempt": annotations.get(ATTEMPT, ""),
        "stopped": annotations.get(STOPPED, ""),
        "parked": annotations.get(PARKED, ""),
        "spec_hash": annotations.get(SPEC_HASH, ""),
        "nodes": _nodes(spec),
        "suspended": bool(spec.get("suspend")),
        "conditions": {
            _OVER.get(each["type"], each["type"]): (
                each.get("reason", ""),
                each.get("message", ""),
                str(each.get("lastTransitionTime", "")),
            )
            for each in status.get("conditions") or ()
            if each.get("status") == "True"
        },
    }


def _nodes(spec: Document) -> int:
    if "trainer" in spec:
        return int(spec["trainer"].get("numNodes", 1))
    return int(spec["replicatedJobs"][0]["template"]["spec"]["completions"])


def merged(gang: Document, job: Document | None) -> Document:
    """Return a gang as a Job is read: what its one Job shows, under the gang's name and marks."""
    shown = _NO_JOB | gang if job is None else job
    seen: Document = {
        **shown,
        **{name: value for name, value in gang.items() if name not in {"conditions", "suspended"}},
        "child": shown["child"] if job is None else job["name"],
        "version": f"{gang['version']}/{'' if job is None else job['version']}",
        "conditions": dict(shown["conditions"]),
    }
    over = {"Complete", "Failed"} & seen["conditions"].keys()
    if job is None and "Failed" in over and not seen["stopped"]:
        # Its controller gave it up before there was a Job: its own words are all there is.
        seen["stopped"] = f"INFRASTRUCTURE|{seen['conditions']['Failed'][1]}"
    if seen["stopped"] and not over and not _runs(seen):
        at = seen["conditions"].get("Suspended", ("", "", gang["created"]))[2]
        seen["conditions"]["Failed"] = ("Stopped", seen["stopped"], at)
    return seen


def _runs(seen: Document) -> bool:
    return bool(seen["active"] or seen["terminating"] or not seen["suspended"])
