"""Real Kueue controllers beside a control plane: their CRDs, webhooks, queues and workers.

The controller runs as a process outside of the cluster, so every webhook is called by an address
on loopback, with a certificate of the cluster's own authority.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from engine.model.errors import BerthError
from executors.kubernetes import kueue as spoken
from executors.kubernetes.api import APPLY, Api, Document
from tests.support.clusters import building, certificates, plane, programs

MODULE = "sigs.k8s.io/kueue"
NAMESPACE = "kueue-system"
DISPATCHER = "berth.dev/dispatcher"
QUEUE = "team"
METRICS_KEYS = Path("/etc/kueue/metrics/certs")
"""Where Kueue looks for the keys of its metrics, whatever its configuration says."""
_CERTIFICATE, _KEY = "tls.crt", "tls.key"
_HOOKS = {"mjob.kb.io", "vjob.kb.io", "mclusterqueue.kb.io", "vclusterqueue.kb.io"}
_HOOKS |= {"mresourceflavor.kb.io", "vresourceflavor.kb.io", "mworkload.kb.io", "vworkload.kb.io"}
_V2 = f"/apis/{spoken.GROUP}/v1beta2"


def available() -> None:
    """Build Kueue where it was not.

    Raises:
        UnavailableError: when it cannot be had, or its keys cannot be put where it looks for them.
    """
    building.build(["kueue"])
    try:
        METRICS_KEYS.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise building.UnavailableError(f"Kueue needs keys in {METRICS_KEYS}: {error}") from error


def start(made: plane.ControlPlane, admin: Api, *, worker_lost_seconds: int = 900) -> None:
    """Install Kueue on a control plane, and run its controller; its webhooks answer at the end."""
    available()
    port, health = programs.free_port(), programs.free_port()
    keys = _keys(made)
    hooks = f"https://127.0.0.1:{port}"
    authority = certificates.encoded(made.folder / "ca.crt")
    for path, body in _installation(hooks, authority):
        query = {"fieldManager": "test", "force": "true"}
        admin.call("PATCH", path, query=query, body=body, content_type=APPLY)
    config = made.folder / "kueue.json"
    config.write_text(json.dumps(_configuration(port, health, keys, worker_lost_seconds)), "utf-8")
    # The controller ends where it finds a kind unknown, and kinds are known a while after they are
    # written.
    programs.wait_until(functools.partial(_knows_kinds, admin), "the API server's new kinds")
    run(made, config)
    programs.wait_until(lambda: _answers(admin), "Kueue's webhooks")


def _knows_kinds(admin: Api) -> bool:
    """Whether the API server tells every kind that Kueue's manifests bring, in each version."""
    crds = documents(building.manifests("kueue", MODULE, "config/components") / "crd" / "bases")
    for crd in crds:
        spec = crd["spec"]
        for version in (each["name"] for each in spec["versions"] if each["served"]):
            try:
                told = admin.call("GET", f"/apis/{spec['group']}/{version}")
            except BerthError:
                admin.gate.succeeded()
                return False
            if spec["names"]["plural"] not in {each["name"] for each in told["resources"]}:
                return False
    return True


def run(made: plane.ControlPlane, config: Path) -> None:
    """Start the controller; it works on the cluster of the control plane's kubeconfig."""
    command = [
        str(building.path("kueue")),
        f"--config={config}",
        "--feature-gates=VisibilityOnDemand=false",
        "--zap-log-level=2",
    ]
    environment = {**os.environ, "KUBECONFIG": str(made.kubeconfig)}
    log = made.folder / "kueue.log"
    made.running["kueue"] = programs.start("kueue", command, log, environment)
    made.save()


def _keys(made: plane.ControlPlane) -> Path:
    folder = made.folder / "kueue-keys"
    folder.mkdir()
    certificates.issue(made.folder, "kueue", "/CN=kueue", names="IP:127.0.0.1")
    for end, name in (("crt", _CERTIFICATE), ("key", _KEY)):
        shutil.copy(made.folder / f"kueue.{end}", folder / name)
    _share(folder)
    return folder


def _share(keys: Path) -> None:
    """Let the first controller of this machine give its pair of keys to all, for their metrics.

    Several start at once: a certificate of one with the key of another would end every controller.
    """
    with (METRICS_KEYS.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (METRICS_KEYS / _KEY).exists():
            for name in (_CERTIFICATE, _KEY):
                shutil.copy(keys / name, METRICS_KEYS / name)


def _configuration(port: int, health: int, keys: Path, worker_lost_seconds: int) -> Document:
    return {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "namespace": NAMESPACE,
        "health": {"healthProbeBindAddress": f"127.0.0.1:{health}"},
        "metrics": {"bindAddress": "0"},
        "webhook": {"host": "127.0.0.1", "port": port, "certDir": str(keys)},
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False},
        "clientConnection": {"qps": 500, "burst": 1000},
        "integrations": {"frameworks": ["batch/job"]},
        "multiKueue": {
            "dispatcherName": DISPATCHER,
            "workerLostTimeout": f"{worker_lost_seconds}s",
            "gcInterval": "2s",
        },
    }


def _installation(hooks: str, authority: str) -> Iterator[tuple[str, Document]]:
    """Yield what Kueue needs on a cluster, as path and body."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    yield f"/api/v1/namespaces/{NAMESPACE}", body
    folder = building.manifests("kueue", MODULE, "config/components")
    converted = _converted(folder / "crd")
    for crd in documents(folder / "crd" / "bases"):
        name = crd["metadata"]["name"]
        if name in converted:
            client = {"url": f"{hooks}/convert", "caBundle": authority}
            webhook = {"clientConfig": client, "conversionReviewVersions": ["v1"]}
            crd["spec"]["conversion"] = {"strategy": "Webhook", "webhook": webhook}
        yield f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}", crd
    for found in documents(folder / "webhook"):
        if "webhooks" not in found:
            continue
        kind = str(found["kind"]).lower() + "s"
        found["webhooks"] = [each for each in found["webhooks"] if each["name"] in _HOOKS]
        for each in found["webhooks"]:
            path = each["clientConfig"]["service"]["path"]
            each["clientConfig"] = {"url": hooks + path, "caBundle": authority}
        name = found["metadata"]["name"]
        yield f"/apis/admissionregistration.k8s.io/v1/{kind}/{name}", found


def _converted(folder: Path) -> set[str]:
    """Return the kinds that a webhook converts: not every patch that lies there is applied."""
    given = YAML(typ="safe").load((folder / "kustomization.yaml").read_text("utf-8"))
    patches = [
        YAML(typ="safe").load((folder / each["path"]).read_text("utf-8"))
        for each in given["patches"]
    ]
    return {each["metadata"]["name"] for each in patches if "conversion" in each.get("spec", {})}


def documents(folder: Path) -> list[Document]:
    """Return the documents of a folder; they are kept as JSON, since the YAML takes seconds."""
    kept = folder / "documents.json"
    if not kept.exists():
        found = [
            each
            for path in sorted(folder.glob("*.yaml"))
            for each in YAML(typ="safe").load_all(path.read_text("utf-8"))
            if each
        ]
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as partial:
            json.dump(found, partial)
        Path(partial.name).rename(kept)  # others, threads included, may do the same
    made: list[Document] = json.loads(kept.read_text("utf-8"))
    return made


def _answers(admin: Api) -> bool:
    """Whether Kueue takes objects: a flavour goes through its webhooks."""
    try:
        _put(admin, f"{_V2}/resourceflavors/any", "ResourceFlavor", {})
    except BerthError:
        admin.gate.succeeded()
        return False
    return True


def _put(admin: Api, path: str, kind: str, spec: Mapping[str, Any]) -> Document:
    body = {
        "apiVersion": f"{spoken.GROUP}/v1beta2",
        "kind": kind,
        "metadata": {"name": path.rpartition("/")[2]},
        "spec": dict(spec),
    }
    query = {"fieldManager": "test", "force": "true"}
    return admin.call("PATCH", path, query=query, body=body, content_type=APPLY)


def add_queue(admin: Api, namespace: str, *, checks: tuple[str, ...] = (), cpu: str = "64") -> None:
    """Make a queue of a namespace; checks: admission checks that its workloads must pass."""
    quotas = [{"name": "cpu", "nominalQuota": cpu}, {"name": "memory", "nominalQuota": "256Gi"}]
    spec: dict[str, Any] = {
        "namespaceSelector": {},
        "resourceGroups": [
            {
                "coveredResources": ["cpu", "memory"],
                "flavors": [{"name": "any", "resources": quotas}],
            }
        ],
    }
    if checks:
        named = [{"name": each, "onFlavors": ["any"]} for each in checks]
        spec["admissionChecksStrategy"] = {"admissionChecks": named}
    _put(admin, f"{_V2}/clusterqueues/{QUEUE}-{namespace}", "ClusterQueue", spec)
    path = f"{_V2}/namespaces/{namespace}/localqueues/{QUEUE}"
    _put(admin, path, "LocalQueue", {"clusterQueue": f"{QUEUE}-{namespace}"})


def add_workers(admin: Api, workers: Mapping[str, Document]) -> None:
    """Tell the manager of its workers: name to kubeconfig."""
    for name, kubeconfig in workers.items():
        path = f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}"
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "stringData": {"kubeconfig": json.dumps(kubeconfig)},
        }
        query = {"fieldManager": "test", "force": "true"}
        admin.call("PATCH", path, query=query, body=secret, content_type=APPLY)
        source = {"kubeConfig": {"location": name, "locationType": "Secret"}}
        cluster = {"clusterSource": source}
        _put(admin, f"{_V2}/multikueueclusters/{name}", "MultiKueueCluster", cluster)
    every = {"clusters": sorted(workers)}
    _put(admin, f"{_V2}/multikueueconfigs/workers", "MultiKueueConfig", every)
    named = {"apiGroup": spoken.GROUP, "kind": "MultiKueueConfig", "name": "workers"}
    check = {"controllerName": spoken.MANAGED_BY, "parameters": named}
    _put(admin, f"{_V2}/admissionchecks/workers", "AdmissionCheck", check)


def is_connected(admin: Api, name: str) -> bool:
    """Whether the manager's Kueue is connected to a worker."""
    found = admin.call("GET", f"{_V2}/multikueueclusters/{name}")
    conditions = (found.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Active" and each["status"] == "True" for each in conditions)


def workload(admin: Api, namespace: str, job: str) -> Document | None:
    """Return the workload of a Job, None where there is none."""
    for each in admin.call("GET", f"{_V2}/namespaces/{namespace}/workloads")["items"]:
        owners = each["metadata"].get("ownerReferences") or ()
        if any(owner["name"] == job for owner in owners):
            return dict(each)
    return None
