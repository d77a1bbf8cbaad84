"""How attempts ended, and who was at fault."""

from __future__ import annotations

import pytest

from engine.model.dispatches import INFRASTRUCTURE_REASONS, AttemptState, Reason
from executors.kubernetes import verdicts
from tests.support.kubernetes_documents import ended, job, pod, waiting, word

FAILED = {"reason": "BackoffLimitExceeded", "message": "Job has reached the backoff limit"}


def test_the_word_of_the_runner_tells_outputs_artefact_and_usage() -> None:
    told = word(outputs={"rows": 3}, artifact="sha256:1")
    seen = verdicts.observation(job("Complete"), ended(0, message=told))
    assert (seen.state, seen.reason, seen.exit_code) == (
        AttemptState.SUCCEEDED,
        Reason.COMPLETED,
        0,
    )
    assert (seen.outputs, seen.artifact) == ({"rows": 3}, "sha256:1")
    assert seen.usage is not None
    assert (seen.usage.duration_seconds, seen.usage.memory_gib_peak) == (3.5, 1.0)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (word(code=3), Reason.EXIT_CODE),
        (word(code=65), Reason.BAD_INPUT),
        (word(code=66), Reason.GATE),
        (word("memory", -9), Reason.OUT_OF_MEMORY),
        (word("timeout", -15), Reason.TIMED_OUT),
        (word("signalled", -9), Reason.KILLED),
        (word(fault="outputs.json is missing"), Reason.BAD_OUTPUT),
    ],
)
def test_a_failure_that_the_runner_tells_is_the_tasks_own(told: str, reason: Reason) -> None:
    seen = verdicts.observation(job("Failed", **FAILED), ended(1, message=told))
    assert (seen.state, seen.reason) == (AttemptState.FAILED, reason)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"reason": "OOMKilled"}, Reason.OUT_OF_MEMORY),
        ({"disruption": "PreemptionByScheduler"}, Reason.PREEMPTED),
        ({"disruption": "EvictionByEvictionAPI"}, Reason.EVICTED),
        ({"disruption": "DeletionByTaintManager"}, Reason.NODE_LOST),
        ({"disruption": "DeletionByPodGC"}, Reason.NODE_LOST),
        ({"pod_reason": "Evicted"}, Reason.EVICTED),
        ({"pod_reason": "NodeShutdown"}, Reason.NODE_LOST),
        ({"pod_reason": "UnexpectedAdmissionError"}, Reason.INFRASTRUCTURE),
        ({"reason": "StartError"}, Reason.INFRASTRUCTURE),
        ({}, Reason.KILLED),
    ],
)
def test_a_pod_that_was_killed_says_by_whom(how: dict[str, str], reason: Reason) -> None:
    seen = verdicts.observation(job("Failed", **FAILED), ended(137, **how))
    assert (seen.state, seen.reason) == (AttemptState.FAILED, reason)


def test_failures_of_the_cluster_are_apart_from_those_of_the_task() -> None:
    assert Reason.EVICTED in INFRASTRUCTURE_REASONS
    assert INFRASTRUCTURE_REASONS.isdisjoint({Reason.OUT_OF_MEMORY, Reason.EXIT_CODE})


def test_a_container_that_fails_without_a_word_keeps_its_code() -> None:
    seen = verdicts.observation(job("Failed", **FAILED), ended(42, message="no module named x"))
    assert (seen.reason, seen.exit_code) == (Reason.EXIT_CODE, 42)
    assert seen.message == "no module named x"


def test_a_pod_that_is_gone_was_killed_unless_the_job_says_more() -> None:
    assert verdicts.observation(job("Failed", **FAILED), None).reason is Reason.KILLED
    disrupted = job(
        "Failed", reason="PodFailurePolicy", message="Pod p has condition DisruptionTarget ..."
    )
    assert verdicts.observation(disrupted, None).reason is Reason.INFRASTRUCTURE
    late = job("Failed", reason="DeadlineExceeded", message="it took too long")
    assert verdicts.observation(late, None).reason is Reason.TIMED_OUT


def test_artefacts_that_could_not_be_brought_are_no_failure_of_the_task() -> None:
    seen = verdicts.observation(job("Failed", **FAILED), ended(75, message=word("refused", None)))
    assert (seen.state, seen.reason) == (AttemptState.FAILED, Reason.INFRASTRUCTURE)


def test_what_was_stopped_on_request_is_no_failure() -> None:
    over = job("Failed", reason="DeadlineExceeded", stopped="a request")
    seen = verdicts.observation(over, None)
    assert (seen.state, seen.reason) == (AttemptState.STOPPED, Reason.CANCELLED)


def test_a_stop_that_came_too_late_keeps_the_result() -> None:
    over = job("Complete", stopped="a request")
    assert verdicts.observation(over, ended(0, message=word())).state is AttemptState.SUCCEEDED


def test_what_was_stopped_for_want_of_its_image_failed_for_that() -> None:
    over = job("Failed", reason="DeadlineExceeded", stopped="IMAGE|ErrImagePull: no such image")
    seen = verdicts.observation(over, waiting("ErrImagePull"))
    assert (seen.state, seen.reason) == (AttemptState.FAILED, Reason.IMAGE)
    assert seen.message == "ErrImagePull: no such image"


def test_what_is_not_over_says_what_it_waits_for() -> None:
    assert verdicts.observation(job(), None).message == "its pod is not made yet"
    assert "ImagePullBackOff" in verdicts.observation(job(), waiting("ImagePullBackOff")).message
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes are available",
    }
    full = pod({"phase": "Pending", "conditions": [condition]})
    assert verdicts.observation(job(), full).message == "Unschedulable: 0/3 nodes are available"
    assert verdicts.observation(job(), full).state is AttemptState.RUNNING
    chosen = {**pod(), "node": "node-1"}
    assert verdicts.observation(job(), pod()).message == ""
    assert verdicts.observation(job(), chosen).message == "its image is made ready on node 'node-1'"


def test_a_success_without_a_word_is_no_success() -> None:
    seen = verdicts.observation(job("Complete"), ended(0))
    assert (seen.state, seen.reason) == (AttemptState.FAILED, Reason.BAD_OUTPUT)


def test_what_we_suspended_is_off_once_its_last_pod_is_gone() -> None:
    off = {**job("Suspended"), "parked": "true", "suspended": True}
    assert verdicts.observation(off, None).state is AttemptState.SUSPENDED
    for still in ("active", "terminating", "stopped"):
        assert verdicts.observation({**off, still: 1}, None).state is AttemptState.RUNNING
    assert verdicts.observation({**off, "conditions": {}}, None).state is AttemptState.RUNNING


def test_what_somebody_else_suspended_is_theirs_to_resume() -> None:
    theirs = {**job("Suspended"), "suspended": True}
    seen = verdicts.observation(theirs, None)
    assert (seen.state, seen.message) == (AttemptState.RUNNING, "it is suspended")
