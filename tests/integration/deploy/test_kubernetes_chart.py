"""The chart and the manifests: what they hold, and that a real API server takes every object."""

from __future__ import annotations

import os
from typing import Any

import pytest

from engine.model.errors import BerthError
from executors.kubernetes import rights
from executors.kubernetes.api import Api
from tests.support import charts
from tests.support.clusters import plane

PATHS = {
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Service": "/api/v1/namespaces/{}/services",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "CronJob": "/apis/batch/v1/namespaces/{}/cronjobs",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}
VALUES = [
    (),
    ("--set", "replicas=3,nightly.suspend=false,data.storageClass=nfs"),
    ("--set", "tasks.secret=clusters,tasks.namespace=other"),
    ("--set", "tasks.settings.gangs_as=trainjob,tasks.settings.device_class=gpu"),
    ("--set-json", 'network.from=[{"namespaceSelector":{}}]'),
    ("--set-json", 'network.to=[{"ports":[{"port":9090}]}]'),
]


def granted(objects: list[dict[str, Any]], kind: str) -> frozenset[rights.Right]:
    return frozenset(
        rights.Right(group, resource, verb)
        for each in objects
        if each["kind"] == kind
        for rule in each["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


def by_name(objects: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def pods(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the specs of all pods that are made of some objects."""
    found = []
    for each in objects:
        spec = each.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            found.append(spec["template"]["spec"])
    return found


def test_the_manifests_hold_every_part() -> None:
    kinds = {each["kind"] for each in charts.manifest("berth.yaml")}
    assert kinds == set(PATHS)
    (monitor,) = charts.manifest("service-monitor.yaml")
    assert monitor["spec"]["endpoints"][0]["path"] == "/metrics"


def test_roles_are_exactly_the_rights_that_berth_needs() -> None:
    objects = charts.manifest("berth.yaml")
    assert granted(objects, "Role") == rights.NAMESPACED
    assert granted(objects, "ClusterRole") == rights.CLUSTER_WIDE


KINDS = [
    ("queue=team", rights.KUEUE),
    ("gangs_as=jobset", rights.JOB_SETS),
    ("gangs_as=trainjob", rights.TRAIN_JOBS),
    ("serves_as=inferenceservice", rights.INFERENCE),
    ("gateway=edge", rights.ROUTES),
    ("device_class=gpu", rights.CLAIMS | rights.DEVICES),
]


@pytest.mark.parametrize(("setting", "more"), KINDS, ids=[setting for setting, _ in KINDS])
def test_a_setting_of_the_cluster_brings_the_rights_it_needs(
    setting: str, more: frozenset[rights.Right]
) -> None:
    objects = charts.documents(charts.rendered("--set", f"tasks.settings.{setting}"))
    assert granted(objects, "Role") == rights.NAMESPACED | (more - rights.DEVICES)
    assert granted(objects, "ClusterRole") == rights.CLUSTER_WIDE | (more & rights.DEVICES)
    (given,) = [each for each in objects if each["kind"] == "ConfigMap"]
    name, _, value = setting.partition("=")
    assert f'{name} = "{value}"' in given["data"]["kubernetes.toml"]


def test_pods_are_restricted() -> None:
    found = pods(charts.manifest("berth.yaml"))
    assert len(found) == 3
    for spec in found:
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            safe = container["securityContext"]
            assert safe["allowPrivilegeEscalation"] is False
            assert safe["readOnlyRootFilesystem"] is True
            assert safe["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]


def test_no_service_sets_variables_of_pods() -> None:
    """One that is called `berth` would set BERTH_PORT, a setting of the engine."""
    assert {spec["enableServiceLinks"] for spec in pods(charts.manifest("berth.yaml"))} == {False}


def test_engines_are_several_each_with_a_name_of_its_own() -> None:
    (engine,) = [x for x in charts.manifest("berth.yaml") if x["kind"] == "Deployment"]
    assert engine["spec"]["replicas"] == 2
    (container,) = engine["spec"]["template"]["spec"]["containers"]
    told = {each["name"]: each for each in container["env"]}
    assert told["BERTH_REPLICA"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert "secretKeyRef" in told["BERTH_DATABASE"]["valueFrom"]


@pytest.mark.parametrize("name", charts.RENDERED)
def test_the_plain_manifests_are_the_chart_with_its_defaults(name: str) -> None:
    """`python -m tests.support.charts` writes them anew."""
    made = charts.documents(charts.rendered(*charts.RENDERED[name]))
    assert by_name(made) == by_name(charts.manifest(name))


def test_the_chart_has_no_fault_that_helm_knows() -> None:
    assert "0 chart(s) failed" in charts.helm("lint", "--strict", str(charts.CHART))


@pytest.mark.parametrize("values", VALUES, ids=" ".join)
def test_the_chart_is_taken_by_a_real_server_whatever_its_values(
    values: tuple[str, ...],
    control_plane: plane.ControlPlane,
    admin: Api,
) -> None:
    taken_by(admin, charts.documents(charts.rendered(*values)))


def test_the_manifests_are_taken_by_a_real_server(admin: Api) -> None:
    taken_by(admin, charts.manifest("berth.yaml"))


def test_a_fault_in_a_manifest_would_be_noticed(admin: Api) -> None:
    objects = charts.manifest("berth.yaml")
    (engine,) = [each for each in objects if each["kind"] == "Deployment"]
    engine["spec"]["template"]["spec"]["containers"][0]["imagee"] = "a slip"
    with pytest.raises(BerthError, match="imagee"):
        taken_by(admin, [engine])


def taken_by(api: Api, objects: list[dict[str, Any]]) -> None:
    """Have a server check objects as if it stored them, in a namespace that enforces PSA."""
    namespace = f"charts-{os.getpid()}"
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    body = {"metadata": {"name": namespace, "labels": restricted}}
    try:
        api.call("POST", "/api/v1/namespaces", body=body)
    except BerthError:
        api.call("GET", f"/api/v1/namespaces/{namespace}")
    for each in objects:
        each["metadata"].pop("namespace", None)
        query = {"dryRun": "All", "fieldValidation": "Strict"}
        api.call("POST", PATHS[each["kind"]].format(namespace), query=query, body=each)
    for spec in pods(objects):
        # The server judges a pod only when it is made; those of a Deployment come later.
        pod = {"metadata": {"name": "probe"}, "spec": {**spec, "serviceAccountName": "default"}}
        pod["spec"].setdefault("restartPolicy", "Always")
        path = f"/api/v1/namespaces/{namespace}/pods"
        api.call("POST", path, query={"dryRun": "All", "fieldValidation": "Strict"}, body=pod)
