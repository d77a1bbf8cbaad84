"""What is read of the Services and Deployments of servers. Pure.

It stands apart from `serving`, which works on the clusters that keep these.
"""

from __future__ import annotations

from executors.kubernetes import jobs
from executors.kubernetes.api import Document

SERVING = f"{jobs.DOMAIN}/serving"
SERVER = f"{jobs.DOMAIN}/server"
COLOUR = f"{jobs.DOMAIN}/colour"
PACKAGE = f"{jobs.DOMAIN}/package"


def keep_service(item: Document) -> Document:
    """Return what is read of a Service."""
    metadata: Document = item["metadata"]
    annotations: Document = metadata.get("annotations") or {}
    return {
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "uid": metadata["uid"],
        "version": metadata["resourceVersion"],
        "serving": annotations.get(SERVING, ""),
        "stopped": annotations.get(jobs.STOPPED, ""),
        "selected": (item.get("spec") or {}).get("selector", {}).get(COLOUR, ""),
    }


def keep_deployment(item: Document) -> Document:
    """Return what is read of a Deployment."""
    metadata: Document = item["metadata"]
    status: Document = item.get("status") or {}
    spec: Document = item["spec"]
    annotations: Document = spec["template"]["metadata"].get("annotations") or {}
    replicas = int(spec.get("replicas", 1))
    counts = {int(status.get(n, 0)) for n in ("updatedReplicas", "availableReplicas", "replicas")}
    reasons = {
        each.get("reason", "")
        for each in status.get("conditions") or ()
        if each["type"] == "Progressing"
    }
    is_current = int(status.get("observedGeneration", 0)) >= int(metadata.get("generation", 0))
    return {
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "uid": metadata["uid"],
        "version": metadata["resourceVersion"],
        "package": annotations.get(PACKAGE, ""),
        "hash": (metadata.get("annotations") or {}).get(jobs.SPEC_HASH, ""),
        "replicas": replicas,
        "is_complete": is_current and counts == {replicas} and replicas > 0,
        "has_failed": is_current and "ProgressDeadlineExceeded" in reasons,
    }
