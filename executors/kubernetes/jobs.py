"""From an order to a Job, and what is read of Jobs and pods. Pure.

A Job is an attempt: `backoffLimit` is 0 and every failure ends it, so that the engine alone
decides about another one. Nodes that work together are the pods of one Indexed Job. The name is
made of installation and attempt, so that a repeated request meets the first one instead of starting
anything twice.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.model.dispatches import AttemptOrder
from engine.model.errors import RefusedError
from engine.model.specs import TaskKind
from executors.kubernetes import kueue
from executors.kubernetes.api import FIELD_MANAGER, Document
from executors.kubernetes.pod import MEMORY, OVERHEAD_MIB
from executors.kubernetes.settings import KubernetesSettings

DOMAIN = "berth.dev"
ATTEMPT = f"{DOMAIN}/attempt-id"
SPEC_HASH = f"{DOMAIN}/spec-hash"
STOPPED = f"{DOMAIN}/stopped-because"
PARKED = f"{DOMAIN}/suspended"
"""Annotation of a Job that gave way to a more important one."""
INSTALLATION = f"{DOMAIN}/installation"
CONTAINER = "task"
NUMBER = "batch.kubernetes.io/job-completion-index"
"""Annotation with the number of a pod among those of an Indexed Job."""
GANG = "jobset.sigs.k8s.io/jobset-name"
"""Label of a Job that was made of a gang."""
GPU = "nvidia.com/gpu"
_LIMIT = "limits.memory"

POD_SECURITY: Document = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "fsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: Document = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}
"""What the strictest of Kubernetes's pod security standards, `restricted`, asks for."""

_NAME_MAX = 52
"""Pods are called as their Job and six characters more; a host name has 63 at most."""
_LABEL_MAX = 63
_NOT_A_NAME = re.compile(r"[^a-z0-9-]+")
_NOT_A_LABEL = re.compile(r"[^A-Za-z0-9._-]+")
_CHILDREN = ("DisruptionTarget",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How pods of a pool are sent to its nodes."""

    selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, str], ...] = ()


def name_of(installation: str, attempt: str) -> str:
    """Return the name of an attempt's Job: readable at its front, unique by its end."""
    digest = hashlib.sha256(f"{installation}/{attempt}".encode()).hexdigest()[:10]
    words = _NOT_A_NAME.sub("-", attempt.lower()).strip("-") or "task"
    if not words[0].isalpha():
        words = f"t-{words}"
    return f"{words[: _NAME_MAX - len(digest) - 1].rstrip('-')}-{digest}"


def selector(installation: str) -> str:
    """Return the label selector of everything that an installation made."""
    return f"app.kubernetes.io/managed-by={FIELD_MANAGER},{INSTALLATION}={installation}"


def render(
    order: AttemptOrder,
    *,
    installation: str,
    namespace: str,
    place: Place,
    settings: KubernetesSettings,
    environment: Mapping[str, str],
) -> Document:
    """Return the Job of an order.

    environment: what the runner in the pod is told.

    Raises:
        RefusedError: when this executor cannot run such a task.
    """
    if order.kind is TaskKind.SERVE:
        message = f"task {order.task!r} serves a model, which no Job does"
        raise RefusedError(message, fix="it is started as a Deployment", code="G021")
    told = labels(order, installation)
    limit = order.time_limit_seconds
    spec: Document = {
        "backoffLimit": 0,
        **_together(order.nodes),
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": _failure_rules()},
        "ttlSecondsAfterFinished": settings.ttl_seconds,
        "template": {
            "metadata": {
                "labels": told,
                "annotations": {ATTEMPT: order.attempt_id},
            },
            "spec": _pod(order, place, settings, environment),
        },
    }
    if limit is not None:
        spec["activeDeadlineSeconds"] = math.ceil(limit + settings.pending_seconds)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name_of(installation, order.attempt_id),
            "namespace": namespace,
            "labels": told,
            "annotations": {ATTEMPT: order.attempt_id, SPEC_HASH: spec_hash(order)},
        },
        "spec": spec,
    }


def _together(nodes: int) -> Document:
    """Return how many pods a Job has; each of several has a number, the first of them 0."""
    numbered = {"completionMode": "Indexed"} if nodes > 1 else {}
    return {"completions": nodes, "parallelism": nodes, **numbered}


def spec_hash(order: AttemptOrder) -> str:
    """Return what tells an order from another one under the same name."""
    told: list[object] = [order.attempt_id, list(order.command), dict(order.inputs)]
    told += [order.kind.value, *([order.nodes] if order.nodes > 1 else [])]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def label(text: str) -> str:
    """Return a text as a label's value."""
    return _NOT_A_LABEL.sub("-", text)[:_LABEL_MAX].strip("-._")


def labels(order: AttemptOrder, installation: str) -> dict[str, str]:
    """Return the labels of everything that is made for an order."""
    return {
        "app.kubernetes.io/name": label(order.pipeline),
        "app.kubernetes.io/instance": label(order.run_id),
        "app.kubernetes.io/component": order.kind.value,
        "app.kubernetes.io/managed-by": FIELD_MANAGER,
        f"{DOMAIN}/task": label(order.task),
        INSTALLATION: installation,
    }


def _failure_rules() -> list[Document]:
    """End the Job at the first failure, and say whether the cluster or the task was at fault."""
    disrupted = [{"type": kind, "status": "True"} for kind in _CHILDREN]
    return [{"action": "FailJob", "onPodConditions": disrupted}]


def _pod(
    order: AttemptOrder,
    place: Place,
    settings: KubernetesSettings,
    environment: Mapping[str, str],
) -> Document:
    limits = resources(order)
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": max(1, math.ceil(settings.stop_seconds)),
        "nodeSelector": dict(place.selector),
        "tolerations": [dict(each) for each in place.tolerations],
        "securityContext": POD_SECURITY,
        "containers": [
            {
                "name": CONTAINER,
                "image": settings.image,
                "command": [settings.python, "-m", "executors.kubernetes.pod"],
                "env": [
                    # A cluster replaces `$(NAME)` in values; a doubled sign stands for itself.
                    {"name": key, "value": value.replace("$", "$$")}
                    for key, value in environment.items()
                ]
                # A Job that is suspended and resumed may have another size than was ordered first.
                + [{"name": MEMORY, "valueFrom": {"resourceFieldRef": {"resource": _LIMIT}}}],
                "resources": {"requests": limits, "limits": limits},
                "terminationMessagePolicy": "File",
                "securityContext": CONTAINER_SECURITY,
                "volumeMounts": [{"name": "work", "mountPath": "/berth"}],
            }
        ],
        "volumes": [{"name": "work", "emptyDir": {}}],
    }


def resources(order: AttemptOrder) -> dict[str, str]:
    """Return what a pod of an order asks for, and is held to."""
    limits = order.limits
    found = {
        "cpu": f"{max(10, round(limits.cpu_cores * 1000))}m",
        "memory": f"{math.ceil(limits.memory_gib * 1024) + OVERHEAD_MIB}Mi",
    }
    if limits.gpu_count > 0:
        found[GPU] = str(math.ceil(limits.gpu_count))
    return found


# ---------------------------------------------------------------------- reading


def keep_job(item: Document) -> Document:
    """Return what is read of a Job."""
    metadata: Document = item["metadata"]
    status: Document = item.get("status") or {}
    annotations: Document = metadata.get("annotations") or {}
    labels: Document = metadata.get("labels") or {}
    return {
        "kind": "Job",
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "gang": labels.get(GANG, ""),
        "uid": metadata["uid"],
        "version": metadata["resourceVersion"],
        "created": metadata.get("creationTimestamp", ""),
        "deleting": "deletionTimestamp" in metadata,
        "attempt": annotations.get(ATTEMPT, ""),
        "stopped": annotations.get(STOPPED, ""),
        "parked": annotations.get(PARKED, ""),
        "spec_hash": annotations.get(SPEC_HASH, ""),
        "queue": labels.get(kueue.QUEUE, ""),
        "origin": labels.get(kueue.ORIGIN, ""),
        "worker": annotations.get(kueue.WORKER, ""),
        "nodes": int(item["spec"].get("completions") or 1),
        "suspended": bool(item["spec"].get("suspend")),
        "active": status.get("active", 0),
        "terminating": status.get("terminating", 0),
        "start": status.get("startTime", ""),
        "conditions": {
            each["type"]: (each.get("reason", ""), each.get("message", ""), _time(each))
            for each in status.get("conditions") or ()
            if each.get("status") == "True"
        },
    }


def keep_pod(item: Document) -> Document:
    """Return what is read of a pod."""
    metadata: Document = item["metadata"]
    status: Document = item.get("status") or {}
    annotations: Document = metadata.get("annotations") or {}
    statuses = status.get("containerStatuses") or [{}]
    owners = metadata.get("ownerReferences") or ()
    return {
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "uid": metadata["uid"],
        "version": metadata["resourceVersion"],
        "job": next((each["name"] for each in owners if each.get("kind") == "Job"), ""),
        "attempt": annotations.get(ATTEMPT, ""),
        "deleting": "deletionTimestamp" in metadata,
        "node": (item.get("spec") or {}).get("nodeName", ""),
        "number": int(annotations.get(NUMBER, 0)),
        "phase": status.get("phase", ""),
        "reason": status.get("reason", ""),
        "message": status.get("message", ""),
        "ip": status.get("podIP", ""),
        "is_ready": any(
            each["type"] == "Ready" and each["status"] == "True"
            for each in status.get("conditions") or ()
        ),
        "state": statuses[0].get("state") or {},
        "conditions": {
            each["type"]: (each["status"], each.get("reason", ""), each.get("message", ""))
            for each in status.get("conditions") or ()
            if each["type"] in {"DisruptionTarget", "PodScheduled"}
        },
    }


def telling(pods: Sequence[Document], nodes: int) -> Document | None:
    """Return which pod of a Job tells how it stands; pods: as they came, the newest last.

    Of several that work together: the first that failed, else that of number 0.
    """
    failed = [each for each in pods if each["phase"] == "Failed"]
    if nodes > 1 and failed:
        return min(failed, key=_finished)
    return next((each for each in reversed(pods) if not each["number"]), None)


def _finished(pod: Document) -> tuple[str, int]:
    ended: Document = pod["state"].get("terminated") or {}
    return str(ended.get("finishedAt", "")), pod["number"]


def _time(condition: Document) -> str:
    return str(condition.get("lastTransitionTime", ""))
