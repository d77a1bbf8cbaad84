"""Jobs, pods and nodes as an API server shows them, for tests without one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.model.dispatches import AttemptOrder
from engine.model.identifiers import AttemptId, ClusterName, PipelineName, PoolName, RunId, TaskName
from engine.model.resources import Resources
from engine.model.specs import TaskKind
from executors.kubernetes import jobs
from tests.support.clusters import process_kubelet

Document = dict[str, Any]
AT = "2026-11-26T08:00:00Z"


def order(attempt: str = "r-1.task.1", **changes: object) -> AttemptOrder:
    """Return an order of a small task."""
    known: dict[str, Any] = {
        "attempt_id": AttemptId(attempt),
        "run_id": RunId("r-1"),
        "pipeline": PipelineName("heart"),
        "task": TaskName("task"),
        "kind": TaskKind.ETL,
        "cluster": ClusterName("east"),
        "pool": PoolName("nodes"),
        "command": ("true",),
        "folder": "",
        "inputs": {},
        "parameters": {},
        "limits": Resources(cpu_cores=0.5, memory_gib=1.0),
    }
    return AttemptOrder(**{**known, **changes})


def job(*conditions: str, reason: str = "", message: str = "", stopped: str = "") -> Document:
    """Return what is kept of a Job with conditions."""
    annotations = {jobs.ATTEMPT: "r-1.task.1", **({jobs.STOPPED: stopped} if stopped else {})}
    return jobs.keep_job(
        {
            "metadata": {
                "namespace": "ml",
                "name": "task-1",
                "uid": "u-1",
                "resourceVersion": "7",
                "annotations": annotations,
            },
            "spec": {},
            "status": {
                "conditions": [
                    {
                        "type": kind,
                        "status": "True",
                        "reason": reason,
                        "message": message,
                        "lastTransitionTime": AT,
                    }
                    for kind in conditions
                ]
            },
        }
    )


def pod(status: Document | None = None) -> Document:
    """Return what is kept of a pod with a status."""
    return jobs.keep_pod(
        {
            "metadata": {"namespace": "ml", "name": "p", "uid": "u-2", "resourceVersion": "8"},
            "status": status or {"phase": "Pending"},
        }
    )


def ended(code: int, **how: str) -> Document:
    """Return what is kept of a pod whose container ended."""
    return pod(process_kubelet.ended(code, **how))


def waiting(reason: str) -> Document:
    """Return what is kept of a pod that waits."""
    state = {"waiting": {"reason": reason, "message": "no such image"}}
    return pod({"phase": "Pending", "containerStatuses": [{"state": state}]})


def word(ending: str = "exited", code: int | None = 0, **more: object) -> str:
    """Return a termination message of the runner."""
    document: Mapping[str, Any] = {
        "ending": ending,
        "code": code,
        "message": "",
        "started_at": 100.0,
        "ended_at": 103.5,
        "cpu_seconds": 2.0,
        "memory_bytes_peak": 2**30,
        **more,
    }
    return json.dumps(document)


def node(name: str, labels: Mapping[str, str] | None = None, **spec: object) -> Document:
    """Return a node as an API server shows it."""
    return {
        "metadata": {"name": name, "resourceVersion": "1", "labels": dict(labels or {})},
        "spec": spec,
        "status": {
            "allocatable": {"cpu": "7910m", "memory": "31Gi", "ephemeral-storage": "90Gi"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
