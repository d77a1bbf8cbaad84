"""What is read of the Services and Deployments of servers. Pure.

It stands apart from `serving`, which works on the clusters that keep these.
"""

from __future__ import annotations

import hashlib
import json
import re

from executors.kubernetes import jobs
from executors.kubernetes.api import Document

SERVING = f"{jobs.DOMAIN}/serving"
SERVER = f"{jobs.DOMAIN}/server"
COLOUR = f"{jobs.DOMAIN}/colour"
PACKAGE = f"{jobs.DOMAIN}/package"
OURS = f"{jobs.DOMAIN}/pods-hash"
"""Annotation of a Deployment with what tells its pods from those that somebody else made of it."""

_SECONDS = re.compile(r"\d{1,12}(\.\d+)?")
_OUR_LABELS = {
    f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "managed-by")
}
"""Those of `jobs.labels` that are not of our domain, where others put theirs too."""


def keep_service(item: Document) -> Document:
    """Return what is read of a Service; `stopped_at`: 0 where somebody else spoilt the mark."""
    metadata: Document = item["metadata"]
    annotations: Document = metadata.get("annotations") or {}
    stopped = str(annotations.get(jobs.STOPPED, ""))
    return {
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "uid": metadata["uid"],
        "version": metadata["resourceVersion"],
        "serving": annotations.get(SERVING, ""),
        "stopped": stopped,
        "stopped_at": float(stopped) if _SECONDS.fullmatch(stopped) else 0.0,
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
    told: Document = metadata.get("annotations") or {}
    # What somebody else changed is written again, as if it had never been written.
    is_ours = not told.get(OURS) or told[OURS] == ours(spec)
    is_current = int(status.get("observedGeneration", 0)) >= int(metadata.get("generation", 0))
    return {
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "uid": metadata["uid"],
        "version": metadata["resourceVersion"],
        "package": annotations.get(PACKAGE, ""),
        "hash": told.get(jobs.SPEC_HASH, "") if is_ours else "",
        "replicas": replicas,
        "is_complete": is_current and counts == {replicas} and replicas > 0,
        "has_failed": is_current and "ProgressDeadlineExceeded" in reasons,
    }


def ours(spec: Document) -> str:
    """Return what tells the pods of a Deployment from what somebody else makes of them.

    Only of fields that are ours: what others added is theirs, and no write of ours removes it.
    """
    template: Document = spec["template"]
    container: Document = template["spec"]["containers"][0]
    environment = [
        (each["name"], each.get("value", ""))
        for each in container.get("env") or ()
        if each["name"].startswith("BERTH_")
    ]
    labels = template["metadata"].get("labels") or {}
    known = sorted(
        each
        for each in labels.items()
        if each[0] in _OUR_LABELS or each[0].startswith(f"{jobs.DOMAIN}/")
    )
    told = [container["image"], container.get("command"), environment, known]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
