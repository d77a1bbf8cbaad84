"""Gangs as JobSets and TrainJobs: what is made of an Indexed Job, and how one is read as a Job."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.model.dispatches import AttemptState, Reason
from executors.kubernetes import jobs, suspensions, verdicts
from executors.kubernetes.api import Document
from executors.kubernetes.kinds import addresses, gangs
from executors.kubernetes.kinds.addresses import JOB_SET, TRAIN_JOB
from executors.kubernetes.settings import KubernetesSettings
from tests.support.kubernetes_documents import AT, order

NODES = 3


def indexed(attempt: str = "r-1.task.1") -> Document:
    """Return the Indexed Job of a task on several nodes."""
    return jobs.render(
        order(attempt, nodes=NODES),
        installation="abc",
        namespace="ml",
        place=jobs.Place(),
        settings=KubernetesSettings(kubeconfig=Path("kubeconfig")),
        environment={},
    )


def seen(kind: str = JOB_SET, *conditions: str, stopped: str = "", parked: str = "") -> Document:
    """Return what is kept of a gang with conditions and marks."""
    *_, made = gangs.manifests(indexed(), kind)
    told = {"uid": "u-1", "resourceVersion": "7", "creationTimestamp": AT}
    metadata = {**made["metadata"], **told}
    marks = {jobs.STOPPED: stopped, jobs.PARKED: parked}
    metadata["annotations"] = {**metadata["annotations"], **marks}
    spec = {**made["spec"], "suspend": bool(stopped or parked)}
    found = [
        {"type": each, "status": "True", "message": "said", "lastTransitionTime": AT}
        for each in conditions
    ]
    status = {"conditions": [*found, {"type": "StartupPolicyInProgress", "status": "False"}]}
    return gangs.keep({**made, "metadata": metadata, "spec": spec, "status": status})


def child(*conditions: str, suspended: bool = False, active: int = 0) -> Document:
    """Return what is kept of the Job that a controller made of the gang."""
    job = indexed()
    name = gangs.child_of(gangs.name_of(job["metadata"]["name"]))
    metadata = {**job["metadata"], "name": name, "uid": "u-2", "resourceVersion": "9"}
    metadata["labels"] = {**metadata["labels"], jobs.GANG: name.removesuffix("-node-0")}
    found = [
        {"type": each, "status": "True", "reason": "", "message": "", "lastTransitionTime": AT}
        for each in conditions
    ]
    spec = {**job["spec"], "suspend": suspended}
    status = {"active": active, "conditions": found}
    return jobs.keep_job({"metadata": metadata, "spec": spec, "status": status})


@pytest.mark.parametrize("attempt", ["r-1.task.1", "R_1." + "x" * 200 + ".12", "..."])
def test_names_leave_room_for_those_of_pods(attempt: str) -> None:
    name = gangs.name_of(jobs.name_of("abc", attempt))
    assert len(f"{gangs.child_of(name)}-999-abcde") <= 63
    assert name.endswith(jobs.name_of("abc", attempt)[-11:])


def test_a_job_set_makes_one_indexed_job_and_never_another() -> None:
    (made,) = gangs.manifests(indexed(), JOB_SET)
    spec = made["spec"]
    (replicated,) = spec["replicatedJobs"]
    assert (replicated["replicas"], spec["failurePolicy"]["maxRestarts"]) == (1, 0)
    template = replicated["template"]
    assert template["spec"]["completions"] == template["spec"]["parallelism"] == NODES
    assert template["spec"]["completionMode"] == "Indexed"
    assert spec["ttlSecondsAfterFinished"] == 86_400
    assert "ttlSecondsAfterFinished" not in template["spec"]


@pytest.mark.parametrize("kind", [JOB_SET, TRAIN_JOB])
def test_the_job_of_a_gang_is_told_apart_and_found_as_any_of_ours(kind: str) -> None:
    made = gangs.manifests(indexed(), kind)[0]["spec"]
    (replicated,) = (made if kind == JOB_SET else made["template"]["spec"])["replicatedJobs"]
    metadata = replicated["template"]["metadata"]
    assert metadata["annotations"] == indexed()["metadata"]["annotations"]
    assert indexed()["metadata"]["labels"].items() <= metadata["labels"].items()


def test_a_train_job_names_the_runtime_that_is_made_before_it() -> None:
    runtime, made = gangs.manifests(indexed(), TRAIN_JOB)
    assert made["spec"]["runtimeRef"]["name"] == runtime["metadata"]["name"]
    assert made["spec"]["trainer"]["numNodes"] == NODES
    assert runtime["spec"]["mlPolicy"] == {"numNodes": NODES}


def test_an_indexed_job_is_not_changed_by_what_is_made_of_it() -> None:
    job = indexed()
    gangs.manifests(job, JOB_SET)
    assert job == indexed()


@pytest.mark.parametrize("kind", [JOB_SET, TRAIN_JOB])
def test_a_gang_knows_how_many_nodes_it_has(kind: str) -> None:
    assert seen(kind)["nodes"] == NODES


def test_a_gang_without_a_job_runs_and_waits_for_it() -> None:
    told = verdicts.observation(gangs.merged(seen(), None), None)
    assert told.state is AttemptState.RUNNING
    assert "not made yet" in told.message
    assert told.handle == f"ml/{seen()['name']}"


def test_a_gang_shows_what_its_job_shows() -> None:
    made = gangs.merged(seen(), child("Complete"))
    assert made["child"] == child()["name"]
    assert made["version"] == "7/9"
    assert verdicts.is_over(made)
    assert addresses.path_of(made).endswith(f"/jobsets/{seen()['name']}")


def test_one_that_is_completed_is_complete_without_its_job_too() -> None:
    assert verdicts.is_over(gangs.merged(seen(JOB_SET, "Completed"), None))


def test_one_that_was_given_up_before_there_was_a_job_tells_why() -> None:
    told = verdicts.observation(gangs.merged(seen(TRAIN_JOB, "Failed"), None), None)
    assert (told.state, told.reason) == (AttemptState.FAILED, Reason.INFRASTRUCTURE)
    assert told.message == "said"


STOPPED = {"stopped": "a request"}


@pytest.mark.parametrize("made", [None, child("Suspended", suspended=True)])
def test_one_that_is_stopped_is_over_when_nothing_of_it_runs(made: Document | None) -> None:
    told = verdicts.observation(gangs.merged(seen(JOB_SET, "Suspended", **STOPPED), made), None)
    assert (told.state, told.reason) == (AttemptState.STOPPED, Reason.CANCELLED)
    assert told.ended_at is not None


@pytest.mark.parametrize("made", [child(), child("Suspended", suspended=True, active=1)])
def test_one_that_is_stopped_runs_until_its_pods_are_gone(made: Document) -> None:
    told = verdicts.observation(gangs.merged(seen(**STOPPED), made), None)
    assert told.state is AttemptState.RUNNING


def test_one_that_ended_before_it_was_stopped_stays_what_it_was() -> None:
    made = gangs.merged(seen(**STOPPED), child("Complete"))
    assert "Failed" not in made["conditions"]


def test_one_that_gave_way_is_suspended() -> None:
    made = gangs.merged(seen(parked="true"), child("Suspended", suspended=True))
    assert suspensions.is_off(made)
    assert suspensions.leaving(made)["kind"] == JOB_SET


def test_stopping_suspends_for_good() -> None:
    body = gangs.suspension(seen(), {jobs.STOPPED: "why"})
    assert body["spec"] == {"suspend": True}
    assert body["metadata"]["annotations"] == {jobs.STOPPED: "why"}
