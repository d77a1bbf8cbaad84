"""The rights that Berth needs on a cluster, and no more: the golden list, and roles made of it.

There is no verb on secrets and no `*`: what is not in this list is not used. The integration suite
runs with exactly these roles, so that the list cannot fall behind the code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from executors.kubernetes.api import Api, Document


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One verb on one resource; `group` is "" for the core API."""

    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        """Return it as `kubectl auth can-i` takes it."""
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"


def _rights(group: str, resource: str, verbs: str) -> frozenset[Right]:
    return frozenset(Right(group, resource, verb) for verb in verbs.split())


SERVING = (
    _rights("", "services", "get list watch create patch delete")
    | _rights("apps", "deployments", "get list watch create patch delete")
    | _rights("apps", "deployments/scale", "get patch")
    | _rights("autoscaling", "horizontalpodautoscalers", "create patch delete")
)
"""In the namespace of the tasks, where models are to be served too."""

NAMESPACED = (
    _rights("batch", "jobs", "get list watch create patch delete")
    | _rights("batch", "jobs/status", "get")
    | _rights("", "pods", "get list watch")
    | _rights("", "pods/log", "get")
    | _rights("", "events", "list")
    | SERVING
)
"""In the namespace of the tasks."""

KUEUE = (
    _rights("kueue.x-k8s.io", "workloads", "get list watch patch")
    | _rights("kueue.x-k8s.io", "workloads/status", "patch")
    | _rights("batch", "jobs/status", "patch")
)
"""Beside those, where Jobs wait in a queue of Kueue or are sent on by its MultiKueue."""

_EVERY = "get list watch create patch delete"
JOB_SETS = _rights("jobset.x-k8s.io", "jobsets", _EVERY)
"""Beside those in the namespace, where tasks on several nodes are JobSets."""

TRAIN_JOBS = _rights("trainer.kubeflow.org", "trainjobs", _EVERY) | _rights(
    "trainer.kubeflow.org", "trainingruntimes", "create patch delete"
)
"""The same, where they are TrainJobs."""

ROUTES = _rights("gateway.networking.k8s.io", "httproutes", _EVERY)
"""The same, where a gateway shares out the requests to servers."""

INFERENCE = _rights("serving.kserve.io", "inferenceservices", _EVERY)
"""The same, where servers are InferenceServices of KServe."""

CLAIMS = _rights("resource.k8s.io", "resourceclaimtemplates", "create patch")
"""The same, where GPUs are claimed (DRA)."""

QUOTAS = _rights("", "resourcequotas", "list")
"""The same, for those who want `berth doctor` to look at quotas."""

DEVICES = _rights("resource.k8s.io", "deviceclasses", "get") | _rights(
    "resource.k8s.io", "resourceslices", "get list watch"
)
"""On the cluster, to read only, where GPUs are claimed."""

CLUSTER_WIDE = _rights("", "nodes", "get list watch")
"""On the cluster, to read only."""

OPTIONAL = _rights("", "pods", "list watch")
"""On the cluster, to read only, for those who want plans to count what others run there."""

_ON_REQUEST = (
    KUEUE | JOB_SETS | TRAIN_JOBS | ROUTES | INFERENCE | CLAIMS | QUOTAS | DEVICES | OPTIONAL
)

_EVERYBODY = ("selfsubject",)
# Reviews of one's own rights, which every user has.


def granted(review: Document) -> frozenset[Right]:
    """Return the rights that a SelfSubjectRulesReview lists."""
    status: Document = review.get("status") or {}
    return frozenset(
        Right(group, resource, verb)
        for rule in status.get("resourceRules") or ()
        for group in rule.get("apiGroups") or ()
        for resource in rule.get("resources") or ()
        for verb in rule.get("verbs") or ()
        if not resource.startswith(_EVERYBODY)
    )


def missing(has: Iterable[Right], more: frozenset[Right] = frozenset()) -> tuple[Right, ...]:
    """Return what is needed and not granted, `*` counting as everything.

    more: what the settings of the cluster need beside the list.
    """
    known = frozenset(has)
    wanted = NAMESPACED | CLUSTER_WIDE | more
    return tuple(sorted(right for right in wanted if not _covers(known, right)))


def needless(has: Iterable[Right]) -> tuple[Right, ...]:
    """Return what is granted beyond the list."""
    return tuple(sorted(frozenset(has) - NAMESPACED - CLUSTER_WIDE - _ON_REQUEST))


def _covers(has: frozenset[Right], wanted: Right) -> bool:
    return any(
        Right(group, resource, verb) in has
        for group in (wanted.group, "*")
        for resource in (wanted.resource, "*")
        for verb in (wanted.verb, "*")
    )


def may_serve(api: Api, namespace: str) -> bool:
    """Return whether our rights in a namespace are enough for servers; errors as `Api.call`."""
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    has = granted(api.call("POST", path, body=body))
    return all(_covers(has, right) for right in SERVING)


def role_manifests(
    namespace: str, *, user: str, more: frozenset[Right] = frozenset()
) -> Iterator[tuple[str, Document]]:
    """Yield the roles for a user as path and body of the requests that make them.

    more: rights beside the list, such as `KUEUE` and `DEVICES`.
    """
    subject = {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
    base = "/apis/rbac.authorization.k8s.io/v1"
    here = f"{base}/namespaces/{namespace}"
    rights = NAMESPACED | (more - DEVICES)
    yield f"{here}/roles", _role("Role", f"berth-{user}", rights)
    yield f"{here}/rolebindings", _binding("RoleBinding", "Role", f"berth-{user}", subject)
    yield (
        f"{base}/clusterroles",
        _role("ClusterRole", f"berth-{user}", CLUSTER_WIDE | (more & DEVICES)),
    )
    binding = _binding("ClusterRoleBinding", "ClusterRole", f"berth-{user}", subject)
    yield f"{base}/clusterrolebindings", binding


def optional_manifests(*, user: str) -> Iterator[tuple[str, Document]]:
    """Yield the roles that let a user see what others run, as `role_manifests` does."""
    name = f"berth-{user}-others"
    subject = {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
    base = "/apis/rbac.authorization.k8s.io/v1"
    yield f"{base}/clusterroles", _role("ClusterRole", name, OPTIONAL)
    binding = _binding("ClusterRoleBinding", "ClusterRole", name, subject)
    yield f"{base}/clusterrolebindings", binding


def _role(kind: str, name: str, rights: Iterable[Right]) -> Document:
    verbs: dict[tuple[str, str], list[str]] = {}
    for right in sorted(rights):
        verbs.setdefault((right.group, right.resource), []).append(right.verb)
    rules: list[dict[str, Any]] = [
        {"apiGroups": [group], "resources": [resource], "verbs": found}
        for (group, resource), found in verbs.items()
    ]
    return {"kind": kind, "metadata": {"name": name}, "rules": rules}


def _binding(kind: str, role_kind: str, role: str, subject: Document) -> Document:
    return {
        "kind": kind,
        "metadata": {"name": role},
        "subjects": [subject],
        "roleRef": {"kind": role_kind, "name": role, "apiGroup": "rbac.authorization.k8s.io"},
    }
