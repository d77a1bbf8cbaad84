"""What is made of Jobs for Kueue, and what Kueue's workloads say of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.model.dispatches import AttemptState, Reason
from engine.model.errors import NotFoundError
from executors.kubernetes import kueue, verdicts
from tests.support.kubernetes_documents import job as job_document

STOPPED = {"stopped": "a request"}


def workload(**status: object) -> dict[str, Any]:
    """Return what is read of a workload of the Job `task-1`."""
    active = status.pop("active", True)
    owner = {"kind": "Job", "name": "task-1"}
    metadata = {"namespace": "ml", "name": "job-task-1", "resourceVersion": "7"}
    item = {"metadata": {**metadata, "ownerReferences": [owner]}, "spec": {"active": active}}
    return kueue.keep_workload({**item, "status": status})


def condition(kind: str, status: str = "True", reason: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": f"{kind} is {status}"}


RESERVED = {"conditions": [condition("QuotaReserved")]}


def seen_job(**changes: object) -> dict[str, Any]:
    return {**job_document(), "queue": "team", "origin": "", "worker": "east", **changes}


def test_a_queued_job_begins_suspended_and_names_its_queue_and_worker() -> None:
    given: dict[str, Any] = {"metadata": {"labels": {}, "annotations": {}}, "spec": {}}
    made = kueue.queued(given, "team", worker="east")
    assert made["metadata"]["labels"][kueue.QUEUE] == "team"
    assert made["spec"] == {"suspend": True, "managedBy": kueue.MANAGED_BY}
    assert given["spec"] == {}


def test_a_job_in_a_plain_queue_is_left_to_its_own_controller() -> None:
    given: dict[str, Any] = {"metadata": {"labels": {}, "annotations": {}}, "spec": {}}
    assert "managedBy" not in kueue.queued(given, "team")["spec"]


def test_the_planned_worker_is_nominated_once_there_is_quota() -> None:
    assert kueue.nomination(seen_job(), workload()) == ""
    assert kueue.nomination(seen_job(), workload(**RESERVED)) == "east"


@pytest.mark.parametrize(
    ("job", "status"),
    [
        (seen_job(), {**RESERVED, "nominatedClusterNames": ["east"]}),
        (seen_job(), {**RESERVED, "clusterName": "west"}),
        (seen_job(**STOPPED), RESERVED),
        (seen_job(worker=""), RESERVED),
        (seen_job(), {"conditions": [*RESERVED["conditions"], condition("Finished")]}),
    ],
)
def test_nothing_is_nominated_twice_late_or_in_vain(
    job: dict[str, Any], status: dict[str, Any]
) -> None:
    assert kueue.nomination(job, workload(**status)) == ""


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("AdmissionCheck", Reason.NODE_LOST),
        ("Preempted", Reason.PREEMPTED),
        ("anything", Reason.INFRASTRUCTURE),
    ],
)
def test_an_evicted_workload_ends_its_attempt_even_after_it_was_admitted_again(
    reason: str, expected: Reason
) -> None:
    again = workload(conditions=[condition("QuotaReserved"), condition("Evicted", "False", reason)])
    assert kueue.ending(seen_job(), again).startswith(f"{expected.name}|")
    assert kueue.ending(seen_job(**STOPPED), again) == ""


def test_a_stopped_job_is_over_when_its_workload_was_taken_back() -> None:
    taken = workload(active=False)
    judged = kueue.judged(seen_job(**STOPPED), taken, None)
    assert verdicts.observation(judged, None).state is AttemptState.STOPPED
    held = workload(active=False, **RESERVED)
    assert not verdicts.is_over(kueue.judged(seen_job(**STOPPED), held, None))


def test_a_stopped_job_is_not_over_while_its_pod_lives() -> None:
    pod = {"phase": "Running"}
    job, taken = seen_job(**STOPPED), workload(active=False)
    assert not verdicts.is_over(kueue.judged(job, taken, pod))
    assert not verdicts.is_over(kueue.judged(job, taken, pod, reachable=False))


def test_of_a_lost_worker_nothing_is_waited_for() -> None:
    job = seen_job(stopped="NODE_LOST|Kueue evicted it from 'east': AdmissionCheck")
    judged = kueue.judged(job, workload(active=False), {"phase": "Running"}, reachable=False)
    assert verdicts.observation(judged, None).reason is Reason.NODE_LOST
    before = kueue.judged(job, workload(active=False), {"phase": "Running"})
    assert judged["version"] != before["version"], "who saw it run has to look again"


def test_what_a_workload_waits_for_is_said_in_kueues_words() -> None:
    waiting = workload(conditions=[condition("QuotaReserved", "False")])
    judged = kueue.judged(seen_job(suspended=True), waiting, None)
    assert verdicts.running(judged, None).message == "QuotaReserved is False"
    pending = [{"name": "workers", "state": "Pending", "message": "no cluster yet"}]
    assert "no cluster yet" in workload(**RESERVED, admissionChecks=pending)["says"]


class Server:
    """Answers from a table, and notes what is asked."""

    def __init__(self, **answers: object) -> None:
        self.answers: dict[str, Any] = dict(answers)
        self.asked: list[tuple[str, str, Any]] = []

    def call(self, method: str, path: str, *, body: object = None, **_: object) -> dict[str, Any]:
        self.asked.append((method, path, body))
        if method not in self.answers:
            raise NotFoundError(f"nothing at {path}")
        return dict(self.answers[method])


def test_the_newest_version_that_is_served_is_spoken() -> None:
    served = {"versions": [{"version": "v1beta1"}, {"version": "v1beta2"}]}
    assert kueue.version(Server(GET=served)) == "v1beta2"
    assert kueue.version(Server()) == ""


def raw_workload(**status: object) -> dict[str, Any]:
    metadata = {"namespace": "ml", "name": "job-task-1", "resourceVersion": "7", "uid": "u"}
    return {"metadata": metadata, "spec": {}, "status": status}


def test_a_nomination_keeps_the_rest_of_the_status_and_the_version() -> None:
    server = Server(GET=raw_workload(**RESERVED), PATCH={})
    queues = kueue.Queues(server, "ml", "v1beta2")
    assert list(queues.tend({"task-1": seen_job()}, {"task-1": workload(**RESERVED)})) == []
    method, path, body = server.asked[-1]
    assert (method, path.rpartition("/")[2]) == ("PATCH", "status")
    assert body["status"] == {**RESERVED, "nominatedClusterNames": ["east"]}
    assert body["metadata"]["resourceVersion"] == "7"


def test_a_workload_that_changed_meanwhile_is_looked_at_again_later() -> None:
    server = Server(GET=raw_workload(clusterName="west"), PATCH={})
    queues = kueue.Queues(server, "ml", "v1beta2")
    list(queues.tend({"task-1": seen_job()}, {"task-1": workload(**RESERVED)}))
    assert [method for method, _, _ in server.asked] == ["GET"]


def test_the_workload_of_a_stopped_job_is_deactivated() -> None:
    server = Server(PATCH={})
    queues = kueue.Queues(server, "ml", "v1beta2")
    list(queues.tend({"task-1": seen_job(**STOPPED)}, {"task-1": workload()}))
    assert server.asked[-1][2] == {"spec": {"active": False}}


def test_pods_that_kueue_removed_are_counted_no_more() -> None:
    server = Server(PATCH={})
    queues = kueue.Queues(server, "ml", "v1beta2")
    evicted = {**workload(**RESERVED), "active": False, "evicted": "Deactivated"}
    stopped = seen_job(**STOPPED, suspended=True, active=1)
    list(queues.tend({"task-1": stopped}, {"task-1": evicted}))
    method, path, body = server.asked[-1]
    assert (method, path.rpartition("/")[2], body["status"]["active"]) == ("PATCH", "status", 0)
    assert not kueue.miscounted({**stopped, "active": 0}, evicted)
    assert not kueue.miscounted({**stopped, "worker": ""}, evicted)


def test_an_evicted_one_is_handed_over_to_be_ended_and_foreign_ones_are_left_alone() -> None:
    queues = kueue.Queues(Server(), "ml", "v1beta2")
    evicted = workload(conditions=[condition("Evicted", reason="Preempted")])
    found = list(queues.tend({"task-1": seen_job()}, {"task-1": evicted, "other": workload()}))
    assert [(job["attempt"], why.partition("|")[0]) for job, why in found] == [
        (seen_job()["attempt"], "PREEMPTED")
    ]


def test_failures_of_the_server_wait_for_the_next_look() -> None:
    queues = kueue.Queues(Server(), "ml", "v1beta2")
    assert list(queues.tend({"task-1": seen_job()}, {"task-1": workload(**RESERVED)})) == []


def test_what_the_runner_told_stands_in_for_the_pod_that_is_gone() -> None:
    told = json.dumps({"ending": "exited", "code": 0, "message": ""}).encode()
    pod = kueue.told_pod(told, seen_job())
    ended = verdicts.terminated(pod)
    assert ended is not None
    assert ended["exitCode"] == 0
