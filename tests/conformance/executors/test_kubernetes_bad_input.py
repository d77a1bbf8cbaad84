"""What is wrong with a cluster or its settings, against a real API server."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.model.dispatches import AttemptState, Reason
from engine.model.errors import RefusedError, UnreachableError
from engine.model.identifiers import AttemptId, PipelineName, TaskName
from engine.testing.executor_suite import LIMIT_SECONDS, eventually
from executors.kubernetes import diagnose, executor, jobs, refusals, starts
from executors.kubernetes.api import Api, BusyError
from executors.kubernetes.clusters import KubernetesClusters
from executors.kubernetes.settings import ClusterSettings, KubernetesSettings
from tests.support.clusters import certificates, programs
from tests.support.clusters.fixtures import Place, api_of
from tests.support.clusters.process_kubelet import ProcessKubelet
from tests.support.clusters.workplace import Workplace

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]
ADMISSION = "/apis/admissionregistration.k8s.io/v1"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have many starts wait for the answers of a server that shares a busy machine."""
    monkeypatch.setattr(starts, "WAIT_SECONDS", 120.0)


def kubeconfig(place: Place, user: str, target: Path, **cluster: str) -> Path:
    """Return a kubeconfig of a user whose certificate is in the plane's folder."""
    content: Any = certificates.kubeconfig(
        place.plane.folder, place.plane.server, user, context=place.context
    )
    content["clusters"][0]["cluster"].update(cluster)
    certificates.write_kubeconfig(target, content)
    return target


def test_an_expired_certificate_is_told_as_such(place: Place, tmp_path: Path) -> None:
    certificates.issue(place.plane.folder, "expired", "/O=system:masters/CN=old", days=-1)
    api = api_of(kubeconfig(place, "expired", tmp_path / "config"), place.context)
    with pytest.raises(UnreachableError, match="credentials are not accepted") as told:
        api.call("GET", "/api/v1/nodes")
    assert "renew the kubeconfig" in told.value.fix


def test_a_server_of_another_authority_is_not_spoken_to(place: Place, tmp_path: Path) -> None:
    certificates.authority(tmp_path, "other")
    wrong = {"certificate-authority-data": certificates.encoded(tmp_path / "other.crt")}
    api = api_of(kubeconfig(place, "admin", tmp_path / "config", **wrong), place.context)
    with pytest.raises(UnreachableError, match="not signed by the kubeconfig's"):
        api.call("GET", "/version")


def test_a_context_that_vanished_harms_no_other_cluster(place: Place) -> None:
    here = ClusterSettings(name="here", context=place.context, namespace=place.namespace)
    gone = ClusterSettings(name="gone", context="gone", namespace="ml")
    settings = KubernetesSettings(kubeconfig=place.kubeconfig, clusters=(here, gone))
    found = {each.cluster: each for each in diagnose(KubernetesClusters(settings, "i"))}
    assert (found["here"].fine, found["gone"].fine) == (True, False)
    assert "context 'gone' is not in" in found["gone"].message


def test_a_user_with_our_roles_has_what_is_needed_and_no_more(place: Place) -> None:
    here = ClusterSettings(name="east", context=place.context, namespace=place.namespace)
    settings = KubernetesSettings(kubeconfig=place.kubeconfig, clusters=(here,))
    found = list(diagnose(KubernetesClusters(settings, "i")))
    assert all(each.fine for each in found)
    assert f"has the rights it needs in namespace {place.namespace!r}" in [x.message for x in found]


def test_a_namespace_without_rights_is_examined_and_refuses_at_once(
    place: Place, node: ProcessKubelet, tmp_path: Path
) -> None:
    user = place.plane.user("nobody", namespace=place.namespace)
    workplace = Workplace(replace(place, kubeconfig=place.kubeconfig), tmp_path)
    here = ClusterSettings(name="east", context=place.context, namespace=place.namespace)
    settings = KubernetesSettings(kubeconfig=user, clusters=(here,))
    wrong = [each for each in diagnose(KubernetesClusters(settings, "i")) if not each.fine]
    assert ["lacks rights" in each.message for each in wrong] == [True]
    job = workplace.executor.manifests.job(workplace.order("", AttemptId("r-1.task.1")))
    workplace.close()
    path = f"/apis/batch/v1/namespaces/{place.namespace}/jobs"
    with pytest.raises(RefusedError, match="forbidden") as told:
        api_of(user, place.context).call("POST", path, body=job)
    assert "berth doctor" in told.value.fix


def test_a_namespace_that_is_not_there_is_told_with_what_to_do(
    place: Place, node: ProcessKubelet, tmp_path: Path
) -> None:
    here = ClusterSettings(name="east", context=place.context, namespace="nowhere")
    settings = KubernetesSettings(kubeconfig=place.plane.kubeconfig, clusters=(here,))
    wrong = [each for each in diagnose(KubernetesClusters(settings, "i")) if not each.fine]
    assert [each.message for each in wrong] == ["has no namespace 'nowhere'"]
    assert wrong[0].fix.startswith("kubectl create namespace nowhere, or")
    workplace = Workplace(replace(place, kubeconfig=place.plane.kubeconfig), tmp_path)
    link = workplace.clusters.links()["east"]
    link.namespace = "nowhere"
    order = workplace.order("", AttemptId("r-1.task.1"))
    told = workplace.executor.start_all([order])[order.attempt_id]
    workplace.close()
    assert isinstance(told, RefusedError)
    assert 'namespaces "nowhere" not found' in told.message
    assert told.fix == wrong[0].fix


def test_names_of_any_length_are_taken(place: Place, node: ProcessKubelet, tmp_path: Path) -> None:
    workplace = Workplace(place, tmp_path)
    attempt = AttemptId(f"r-1.{'long-name-' * 12}.1")
    order = replace(
        workplace.order("", attempt),
        pipeline=PipelineName("p" * 90),
        task=TaskName("long-name-" * 12),
    )
    told = workplace.executor.start_all([order])
    workplace.close()
    assert told == {attempt: None}


def policy(namespace: str) -> list[tuple[str, dict[str, Any]]]:
    """Return a policy that refuses Jobs of the task `poison`."""
    rule = {
        "operations": ["CREATE"],
        "apiGroups": ["batch"],
        "apiVersions": ["v1"],
        "resources": ["jobs"],
    }
    check = {
        "expression": "object.metadata.labels['berth.dev/task'] != 'poison'",
        "message": "no poison in this harbour",
    }
    only = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    name = f"no-poison-{namespace}"
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"namespaceSelector": only, "resourceRules": [rule]},
        "validations": [check],
    }
    binding = {"policyName": name, "validationActions": ["Deny"]}
    return [
        (
            "validatingadmissionpolicies",
            {"kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec},
        ),
        (
            "validatingadmissionpolicybindings",
            {
                "kind": "ValidatingAdmissionPolicyBinding",
                "metadata": {"name": name},
                "spec": binding,
            },
        ),
    ]


def test_what_admission_refuses_keeps_its_words_and_blocks_nothing(
    place: Place, admin: Api, node: ProcessKubelet, tmp_path: Path
) -> None:
    for kind, body in policy(place.namespace):
        admin.call("POST", f"{ADMISSION}/{kind}", body=body)
    workplace = Workplace(place, tmp_path)
    poison = replace(workplace.order("", AttemptId("r-1.poison.1")), task=TaskName("poison"))
    end = time.monotonic() + 300.0
    number = 0
    while True:  # a policy is in force a moment after it was made
        number += 1
        tried = replace(poison, attempt_id=AttemptId(f"r-1.poison.{number}"))
        other = workplace.order("", AttemptId(f"r-1.other.{number}"))
        told = workplace.executor.start_all([tried, other])
        assert told[other.attempt_id] is None
        error = told[tried.attempt_id]
        if error is not None or time.monotonic() > end:
            break
    workplace.close()
    assert isinstance(error, RefusedError)
    assert "no poison in this harbour" in error.message


class OldServer(Api):
    """A server that says that it is an older one."""

    version = "v1.30.4-eks-a737599"

    def call(self, method: str, path: str, **how: Any) -> dict[str, Any]:  # noqa: ANN401
        if path == "/version":
            return {"gitVersion": self.version}
        return super().call(method, path, **how)


@pytest.mark.parametrize(("version", "fine"), [("v1.30.4-eks-a737599", True), ("v1.28.9", False)])
def test_an_old_server_is_told_by_its_version(place: Place, version: str, fine: bool) -> None:
    here = ClusterSettings(name="here", context=place.context, namespace=place.namespace)
    clusters = KubernetesClusters(
        KubernetesSettings(kubeconfig=place.kubeconfig, clusters=(here,)), "i"
    )
    link = clusters.links()["here"]
    assert link.api is not None
    link.api = OldServer("here", link.api._client, link.api.gate)
    link.api.version = version
    first = next(iter(diagnose(clusters)))
    assert (first.fine, version in first.message) == (fine, True)


def test_a_queue_on_a_server_without_kueue_changes_nothing(
    place: Place, node: ProcessKubelet, tmp_path: Path
) -> None:
    workplace = Workplace(place, tmp_path)
    link = workplace.clusters.links()["east"]
    link.given = replace(link.given, queue="team")
    job = workplace.executor.manifests.job(workplace.order("", AttemptId("r-1.task.1")))
    workplace.close()
    assert "suspend" not in job["spec"]


def until_a_pod_exceeds_quota(place: Place) -> None:
    """Wait for the API server to know of a quota: it admits some pods after it took the quota."""
    container = {"name": "probe", "image": "probe"}
    pod = {"metadata": {"name": "probe"}, "spec": {"containers": [container]}}
    path = f"/api/v1/namespaces/{place.namespace}/pods"

    def is_exceeded() -> bool:
        try:
            place.admin.call("POST", path, query={"dryRun": "All"}, body=pod)
        except (RefusedError, BusyError) as error:  # busy: it has not counted what is there yet
            return "exceeded quota" in str(error)
        return False

    programs.wait_until(is_exceeded, "the quota", LIMIT_SECONDS)


def test_pods_that_are_refused_end_the_attempt_and_quotas_are_waited_for(
    place: Place, node: ProcessKubelet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(executor, "_VAIN_SECONDS", 0.5)
    path = f"/api/v1/namespaces/{place.namespace}"
    limit = {"type": "Container", "max": {"memory": "16Mi"}}
    body: dict[str, Any] = {"metadata": {"name": "least"}, "spec": {"limits": [limit]}}
    place.admin.call("POST", f"{path}/limitranges", body=body)
    workplace = Workplace(place, tmp_path)
    refused, waits = AttemptId("r-1.refused.1"), AttemptId("r-1.waits.1")
    workplace.executor.start(workplace.order("", refused))
    seen = eventually(workplace.executor, refused, lambda each: each.state.is_terminal)
    assert seen.reason is Reason.ADMISSION
    assert "maximum memory usage per Container is 16Mi" in seen.message
    place.admin.call("DELETE", f"{path}/limitranges/least")
    body = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    place.admin.call("POST", f"{path}/resourcequotas", body=body)
    until_a_pod_exceeds_quota(place)
    workplace.executor.start(workplace.order("", waits))
    seen = eventually(workplace.executor, waits, lambda each: "exceeded quota" in each.message)
    assert seen.state is AttemptState.RUNNING
    time.sleep(1.0)  # twice as long as one that is refused for good may wait
    workplace.executor.observe()
    found = place.admin.call("GET", f"/apis/batch/v1/namespaces/{place.namespace}/jobs")["items"]
    marks = [job["metadata"]["annotations"] for job in found]
    assert [jobs.STOPPED in each for each in marks if each[jobs.ATTEMPT] == waits] == [False]
    workplace.executor.stop(waits)
    workplace.close()
