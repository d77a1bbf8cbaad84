"""From what a cluster shows of a Job and its pod to what is observed of the attempt. Pure.

Who was at fault decides what follows: a task that failed uses up its retries, a cluster that
failed does not. The runner's own word (the container's termination message) counts most, then the
pod, then the Job.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from engine.model.dispatches import AttemptState, Observation, Reason, Usage
from engine.model.identifiers import AttemptId, Digest
from executors.kubernetes import suspensions
from executors.kubernetes.api import Document
from executors.local import results

_IMAGE = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
    }
)
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_DISRUPTIONS = {
    "PreemptionByScheduler": Reason.PREEMPTED,
    "EvictionByEvictionAPI": Reason.EVICTED,
    "DeletionByTaintManager": Reason.NODE_LOST,
    "DeletionByPodGC": Reason.NODE_LOST,
    "TerminationByKubelet": Reason.EVICTED,
}
_POD_REASONS = {
    "Evicted": Reason.EVICTED,
    "NodeLost": Reason.NODE_LOST,
    "NodeShutdown": Reason.NODE_LOST,
    "Terminated": Reason.NODE_LOST,
    "Preempting": Reason.PREEMPTED,
    "DeadlineExceeded": Reason.TIMED_OUT,
    "OutOfcpu": Reason.INFRASTRUCTURE,
    "OutOfmemory": Reason.INFRASTRUCTURE,
    "UnexpectedAdmissionError": Reason.INFRASTRUCTURE,
}
_SIGKILL = 137


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the runner in the pod says of the attempt."""

    ending: str
    code: int | None
    message: str
    started_at: float
    ended_at: float
    cpu_seconds: float
    memory_bytes_peak: int
    disk_bytes: int = 0
    artifact: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""
    """Why outputs of a command that succeeded cannot be taken."""
    last_lines: Sequence[str] = ()
    """Of what a command that failed wrote, oldest first."""


def told(message: str) -> Told | None:
    """Read a termination message; None when it is not the runner's."""
    try:
        document = cast("dict[str, Any]", json.loads(message))
        return Told(**document)
    except (ValueError, TypeError):
        return None


def terminated(pod: Document | None) -> Document | None:
    """Return how the container of a pod ended, or None."""
    return None if pod is None else cast("Document | None", pod["state"].get("terminated"))


def observation(job: Document, pod: Document | None) -> Observation:
    """Return what is seen of an attempt.

    pod: its newest pod, None before the first and after it was removed.
    """
    conditions: Document = job["conditions"]
    if not is_over(job):
        off = suspensions.is_off(job)
        return _suspended(job) if off and not job["stopped"] else running(job, pod)
    ended = terminated(pod)
    word = told(str(ended.get("message", ""))) if ended else None
    if job["stopped"] and not ("Complete" in conditions and word is not None):
        return _stopped(job, word)
    if word is not None:
        return _as_told(job, word)
    if "Complete" in conditions:
        return _final(job, pod, Reason.BAD_OUTPUT, "its pod left no result")
    reason, message = _blame(job, pod)
    return _final(job, pod, reason, message)


def is_over(job: Document) -> bool:
    """Whether nothing of a Job runs or will run."""
    return bool({"Complete", "Failed"} & job["conditions"].keys())


def stuck(pod: Document | None) -> str:
    """Return why the image of a pod that waits cannot be had, or "" when that is not the case."""
    waiting: Document = {} if pod is None else pod["state"].get("waiting") or {}
    reason = str(waiting.get("reason", ""))
    if reason in _IMAGE | _CONFIG:
        return f"{reason}: {waiting.get('message', '')}".rstrip(": ")
    return ""


def seconds(timestamp: str) -> float | None:
    """Return an instant in seconds since 1970, None for ""."""
    return datetime.datetime.fromisoformat(timestamp).timestamp() if timestamp else None


def _handle(job: Document) -> str:
    return f"{job['namespace']}/{job['name']}"


def running(job: Document, pod: Document | None) -> Observation:
    """Return what is seen of an attempt that is not over, or not known to be."""
    runs: Document = {} if pod is None else pod["state"].get("running") or {}
    return Observation(
        attempt_id=AttemptId(job["attempt"]),
        state=AttemptState.RUNNING,
        handle=_handle(job),
        started_at=seconds(str(runs.get("startedAt", ""))),
        message="" if runs else _waits(job, pod),
    )


def _suspended(job: Document) -> Observation:
    return Observation(
        attempt_id=AttemptId(job["attempt"]), state=AttemptState.SUSPENDED, handle=_handle(job)
    )


def _waits(job: Document, pod: Document | None) -> str:
    """Return what a pod that does not run yet waits for."""
    if job["suspended"]:
        return str(job.get("waits") or "it is suspended")
    if pod is None:
        return "its pod is not made yet"
    status, reason, message = pod["conditions"].get("PodScheduled", ("", "", ""))
    if status == "False":
        return f"{reason}: {message}"
    return stuck(pod) or (f"its image is made ready on node {pod['node']!r}" if pod["node"] else "")


def _stopped(job: Document, word: Told | None) -> Observation:
    why, reason = _stop_reason(str(job["stopped"]))
    state = AttemptState.STOPPED if reason is Reason.CANCELLED else AttemptState.FAILED
    return Observation(
        attempt_id=AttemptId(job["attempt"]),
        state=state,
        handle=_handle(job),
        started_at=word.started_at if word else None,
        ended_at=_ended_at(job),
        exit_code=word.code if word else None,
        reason=reason,
        message=why,
        usage=_usage(word, job["nodes"]) if word else None,
    )


def _stop_reason(text: str) -> tuple[str, Reason]:
    """Split what the stop annotation says: `REASON|message`, a plain request otherwise."""
    name, _, message = text.partition("|")
    if name in Reason.__members__ and message:
        return message, Reason[name]
    return "stopped on request", Reason.CANCELLED


def _as_told(job: Document, word: Told) -> Observation:
    reason = results.reason_of(cast("Any", word.ending), word.code)
    if word.ending == "refused":
        # Its artefacts could not be brought in or out: the command is not to blame.
        reason = Reason.INFRASTRUCTURE
    if reason is Reason.COMPLETED and word.fault:
        reason = Reason.BAD_OUTPUT
    if reason is Reason.CANCELLED:
        # Nobody here asked: the node or its administrator did.
        reason = _disruption(job) or Reason.KILLED
    return Observation(
        attempt_id=AttemptId(job["attempt"]),
        state=results.state_of(reason),
        handle=_handle(job),
        started_at=word.started_at,
        ended_at=word.ended_at,
        exit_code=word.code,
        reason=reason,
        message=word.fault or word.message,
        outputs=dict(word.outputs),
        artifact=Digest(word.artifact) if word.artifact else None,
        usage=_usage(word, job["nodes"]),
        last_lines=tuple(word.last_lines),
    )


def _usage(word: Told, nodes: int) -> Usage:
    """Return what all nodes together used, by the one that tells: they do the same."""
    return Usage(
        duration_seconds=word.ended_at - word.started_at,
        cpu_seconds=word.cpu_seconds * nodes,
        memory_gib_peak=word.memory_bytes_peak * nodes / 2**30,
        disk_gib=word.disk_bytes / 2**30,
    )


def _final(job: Document, pod: Document | None, reason: Reason, message: str) -> Observation:
    ended = terminated(pod) or {}
    return Observation(
        attempt_id=AttemptId(job["attempt"]),
        state=results.state_of(reason),
        handle=_handle(job),
        started_at=seconds(str(ended.get("startedAt", ""))),
        ended_at=_ended_at(job),
        exit_code=ended.get("exitCode"),
        reason=reason,
        message=message,
    )


def _ended_at(job: Document) -> float | None:
    conditions: Document = job["conditions"]
    _, _, at = conditions.get("Complete") or conditions.get("Failed") or ("", "", "")
    return seconds(str(at))


def _blame(job: Document, pod: Document | None) -> tuple[Reason, str]:
    """Return who was at fault when the runner says nothing, and what is known of it."""
    job_reason, job_message, _ = job["conditions"]["Failed"]
    if pod is None:
        disrupted = _disruption(job)
        if job_reason == "DeadlineExceeded":
            return Reason.TIMED_OUT, job_message
        return disrupted or Reason.KILLED, f"its pod is gone: {job_message}"
    status, disruption, message = pod["conditions"].get("DisruptionTarget", ("", "", ""))
    if status == "True":
        return _DISRUPTIONS.get(disruption, Reason.INFRASTRUCTURE), message or disruption
    if pod["reason"] in _POD_REASONS:
        return _POD_REASONS[pod["reason"]], pod["message"] or pod["reason"]
    ended = terminated(pod)
    if ended is not None:
        return _by_container(ended)
    if job_reason == "DeadlineExceeded":
        waits = stuck(pod)
        return (Reason.IMAGE, waits) if waits else (Reason.TIMED_OUT, job_message)
    return Reason.KILLED, job_message or pod["message"] or "its pod failed without a reason"


def _by_container(ended: Document) -> tuple[Reason, str]:
    code, reason = int(ended.get("exitCode", -1)), str(ended.get("reason", ""))
    message = str(ended.get("message", "")).strip()[-2_000:]
    if reason == "OOMKilled":
        return Reason.OUT_OF_MEMORY, "the container was over its memory limit"
    if reason in {"ContainerCannotRun", "StartError", "ContainerStatusUnknown"}:
        return Reason.INFRASTRUCTURE, message or reason
    if code == _SIGKILL:
        return Reason.KILLED, message or "killed from outside"
    return results.reason_of("exited", code), message or f"exit code {code}"


def _disruption(job: Document) -> Reason | None:
    """Return what a Job says of a disruption, when its pod cannot be asked any more."""
    for reason, message, _ in job["conditions"].values():
        if reason == "PodFailurePolicy" and "DisruptionTarget" in message:
            return Reason.INFRASTRUCTURE
    return None
