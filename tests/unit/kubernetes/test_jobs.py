"""What is asked of a cluster."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.model.errors import RefusedError
from engine.model.resources import Resources
from engine.model.specs import TaskKind
from executors.kubernetes import jobs
from executors.kubernetes.api import Document
from executors.kubernetes.settings import KubernetesSettings
from tests.support.kubernetes_documents import order

SETTINGS = KubernetesSettings(kubeconfig=Path("kubeconfig"))


def render(**changes: object) -> Document:
    return jobs.render(
        order(**changes),
        installation="abc",
        namespace="ml",
        place=jobs.Place(selector={"a": "b"}),
        settings=SETTINGS,
        environment={"BERTH_ORDER": "costs $(HOME) $5"},
    )


@pytest.mark.parametrize("attempt", ["r-1.task.1", "R_1." + "x" * 200 + ".12", "7.é.1", "..."])
def test_names_are_those_that_a_cluster_takes(attempt: str) -> None:
    name = jobs.name_of("abc", attempt)
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
    assert len(name) <= 52


def test_one_attempt_has_one_name_and_others_have_others() -> None:
    assert jobs.name_of("abc", "r-1.task.1") == jobs.name_of("abc", "r-1.task.1")
    assert len({jobs.name_of(a, b) for a in ("abc", "xyz") for b in ("r-1.t.1", "r-1.t.2")}) == 4


def test_a_job_is_one_attempt_and_no_more() -> None:
    spec = render()["spec"]
    assert (spec["backoffLimit"], spec["completions"], spec["parallelism"]) == (0, 1, 1)
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_nodes_that_work_together_are_pods_of_an_indexed_job() -> None:
    spec = render(nodes=3)["spec"]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"]) == (3, 3, "Indexed")
    assert "completionMode" not in render()["spec"]
    assert jobs.spec_hash(order(nodes=3)) != jobs.spec_hash(order())


def test_of_several_pods_the_first_that_failed_tells_or_that_of_number_0() -> None:
    def one(name: str, number: int, phase: str, at: str = "") -> Document:
        state = {"terminated": {"finishedAt": at}} if at else {}
        return {"name": name, "number": number, "phase": phase, "state": state}

    first, second = one("a", 0, "Running"), one("b", 1, "Running")
    failed, later = one("c", 1, "Failed", "08:00:01"), one("d", 0, "Failed", "08:00:02")
    assert jobs.telling([], 1) is None
    assert jobs.telling([second], 2) is None
    assert jobs.telling([first, second], 2) is first
    assert jobs.telling([later, failed], 2) is failed
    newest = one("e", 0, "Running")
    assert jobs.telling([later, newest], 1) is newest, "a queue may start a pod again"


def test_a_pod_has_no_rights_and_no_token() -> None:
    pod = render()["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    container = pod["containers"][0]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert "hostPath" not in str(pod)


def test_values_are_not_expanded_by_the_cluster() -> None:
    pod = render()["spec"]["template"]["spec"]
    assert pod["containers"][0]["env"][0]["value"] == "costs $$(HOME) $$5"


def test_limits_are_requests_and_gpus_are_whole() -> None:
    limits = Resources(cpu_cores=0.5, memory_gib=1.0, gpu_count=0.4)
    pod = render(limits=limits)["spec"]["template"]["spec"]
    resources = pod["containers"][0]["resources"]
    assert resources["requests"] == resources["limits"]
    assert resources["limits"] == {"cpu": "500m", "memory": "1120Mi", "nvidia.com/gpu": "1"}


def test_the_deadline_leaves_time_to_wait_for_a_node() -> None:
    assert render(time_limit_seconds=600.0)["spec"]["activeDeadlineSeconds"] == 4_200
    assert "activeDeadlineSeconds" not in render()["spec"]


def test_serving_is_refused_with_a_fix() -> None:
    with pytest.raises(RefusedError, match="serves a model") as caught:
        render(kind=TaskKind.SERVE)
    assert caught.value.fix


def test_another_order_under_the_same_name_is_told_apart() -> None:
    assert jobs.spec_hash(order()) == jobs.spec_hash(order())
    assert jobs.spec_hash(order()) != jobs.spec_hash(order(command=("false",)))


def test_the_runner_is_told_the_memory_that_its_container_has_now() -> None:
    (container,) = render()["spec"]["template"]["spec"]["containers"]
    assert {
        "name": "BERTH_MEMORY_BYTES",
        "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}},
    } in container["env"]
