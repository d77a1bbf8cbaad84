"""Manifests of a server, and what is read of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.model.dispatches import AttemptOrder
from engine.model.identifiers import (
    AttemptId,
    ClusterName,
    PipelineName,
    PoolName,
    RunId,
    TaskName,
)
from engine.model.resources import Resources
from engine.model.specs import TaskKind
from executors.kubernetes import jobs, kept
from executors.kubernetes.api import Document
from executors.kubernetes.serving import objects
from executors.kubernetes.serving.rollout import Desired, Rules, State, Strategy

ADDRESSES = objects.Addresses(package={"BERTH_ADDRESS": "http://a"}, signals="http://b")


def server() -> objects.Server:
    order = AttemptOrder(
        attempt_id=AttemptId("r-1.serve.1"),
        run_id=RunId("r-1"),
        pipeline=PipelineName("heart"),
        task=TaskName("serve"),
        kind=TaskKind.SERVE,
        cluster=ClusterName("east"),
        pool=PoolName("nodes"),
        command=(),
        folder="",
        inputs={},
        parameters={},
        limits=Resources(cpu_cores=0.5, memory_gib=1.0),
    )
    place = jobs.Place(selector={"pool": "a"}, tolerations=({"key": "gpu"},))
    made = objects.server_of(order, "i1", place, 7.0, {"window_seconds": 2})
    state = State(package="sha256:1", rules=Rules(strategy=Strategy.CANARY, replicas_most=4))
    return replace(made, state=state)


def test_a_server_is_known_from_its_service_alone() -> None:
    made = server()
    service = objects.service(made, Desired(deployments={}, selected=""))
    assert objects.load(service["metadata"]["annotations"][kept.SERVING]) == made


def test_all_colours_get_requests_unless_one_is_chosen() -> None:
    made = server()
    every = objects.service(made, Desired(deployments={}, selected=""))["spec"]["selector"]
    one = objects.service(made, Desired(deployments={}, selected="green"))["spec"]["selector"]
    assert set(every) == {kept.SERVER}
    assert one == {**every, kept.COLOUR: "green"}


def test_no_pod_leaves_before_another_is_ready_by_its_own_word() -> None:
    made = objects.deployment(server(), "blue", "sha256:1", ADDRESSES, image="i", python="p")
    spec = made["spec"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    (container,) = spec["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert "replicas" not in spec, "they are the autoscaler's"
    assert container["securityContext"] == jobs.CONTAINER_SECURITY


def seen(**status: object) -> Document:
    return kept.keep_deployment(
        {
            "metadata": {"name": "a", "uid": "u", "resourceVersion": "1", "generation": 3},
            "spec": {
                "replicas": 2,
                "template": {"metadata": {"annotations": {kept.PACKAGE: "sha256:1"}}},
            },
            "status": status,
        }
    )


ALL = {"updatedReplicas": 2, "availableReplicas": 2, "replicas": 2, "observedGeneration": 3}


@pytest.mark.parametrize(
    ("status", "complete"),
    [
        (ALL, True),
        ({**ALL, "observedGeneration": 2}, False),
        ({**ALL, "replicas": 3}, False),
        ({**ALL, "availableReplicas": 1}, False),
        ({}, False),
    ],
)
def test_a_deployment_is_complete_when_all_its_pods_are_new_and_ready(
    status: Document, *, complete: bool
) -> None:
    assert seen(**status)["is_complete"] is complete


def test_a_deployment_without_progress_has_failed() -> None:
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    assert seen(**{**ALL, "availableReplicas": 0}, conditions=[late])["has_failed"]


@pytest.mark.parametrize("wrong", [{"rollout": "sudden"}, {"canary_share": 1.5}])
def test_wishes_that_cannot_be_met_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"sudden|canary_share"):
        objects.rules_of(wrong, (1, 1))


@pytest.mark.parametrize(
    ("mark", "at"),
    [("1764230000.125", 1764230000.125), ("yesterday", 0.0), ("nan", 0.0), ("", 0.0)],
)
def test_the_mark_of_a_stopped_server_is_read_whatever_others_wrote(mark: str, at: float) -> None:
    made = objects.service(server(), Desired(deployments={}, selected=""))
    annotations = made["metadata"]["annotations"] | {jobs.STOPPED: mark}
    made["metadata"] |= {"uid": "u", "resourceVersion": "1", "annotations": annotations}
    found = kept.keep_service(made)
    assert (found["stopped"], found["stopped_at"]) == (mark, at)


def changed(path: str, value: object) -> Document:
    """Return what is kept of a Deployment of ours whose container or labels somebody changed."""
    made = objects.deployment(server(), "blue", "sha256:1", ADDRESSES, image="i", python="p")
    told = {jobs.SPEC_HASH: "h", kept.OURS: kept.ours(made["spec"])}
    made["metadata"] |= {"uid": "u", "resourceVersion": "1", "annotations": told}
    (container,) = made["spec"]["template"]["spec"]["containers"]
    if path == "labels":
        made["spec"]["template"]["metadata"]["labels"] |= value
    else:
        container[path] = value if path != "env" else [*container["env"], value]
    return kept.keep_deployment(made)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("image", "i", "h"),
        ("image", "other", ""),
        ("command", ["sleep"], ""),
        ("env", {"name": "BERTH_PACKAGE", "value": "sha256:2"}, ""),
        ("env", {"name": "PROXY", "value": "of the cluster"}, "h"),
        ("labels", {"app.kubernetes.io/name": "other"}, ""),
        ("labels", {f"{jobs.DOMAIN}/server": "other"}, ""),
        ("labels", {"app.kubernetes.io/part-of": "a policy of the cluster"}, "h"),
    ],
)
def test_what_others_change_of_our_pods_is_written_again(
    path: str, value: object, expected: str
) -> None:
    assert changed(path, value)["hash"] == expected
