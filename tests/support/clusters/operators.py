"""Definitions of other projects on a control plane, and the real controllers of gangs.

The controllers of JobSet and Trainer run as processes outside of the cluster, so that their
webhooks are called by an address on loopback, with a certificate of the cluster's own authority.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML

from engine.model.errors import BerthError
from executors.kubernetes.api import APPLY, Api, Document
from executors.kubernetes.kinds import addresses
from executors.kubernetes.kinds.addresses import Kind
from executors.kubernetes.kinds.spoken import is_served
from tests.support.clusters import building, certificates, plane, programs

_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_HOOKS = "/apis/admissionregistration.k8s.io/v1"
_JOBSET = ("gangs", "sigs.k8s.io/jobset", "config/components")
_TRAINER = ("gangs", "github.com/kubeflow/trainer/v2", "manifests/base")
_CLUSTER_WIDE = "ClusterTrainingRuntime"
_DEFINITIONS = {
    addresses.JOB_SET: (*_JOBSET, "crd/bases/jobset.x-k8s.io_jobsets.yaml"),
    addresses.TRAIN_JOB: (*_TRAINER, "crds/trainer.kubeflow.org_trainjobs.yaml"),
    addresses.TRAINING_RUNTIME: (*_TRAINER, "crds/trainer.kubeflow.org_trainingruntimes.yaml"),
    _CLUSTER_WIDE: (*_TRAINER, "crds/trainer.kubeflow.org_clustertrainingruntimes.yaml"),
    addresses.HTTP_ROUTE: (
        *("kinds", "sigs.k8s.io/gateway-api", "config/crd/standard"),
        "gateway.networking.k8s.io_httproutes.yaml",
    ),
    addresses.INFERENCE_SERVICE: (
        *("kinds", "github.com/kserve/kserve", "config/crd/full"),
        "serving.kserve.io_inferenceservices.yaml",
    ),
}
_POD_HOOKS = {"mpod.kb.io", "vpod.kb.io"}
"""Webhooks of JobSet for placement that is exclusive, which nobody here asks for."""


def define(admin: Api, *kinds: str) -> None:
    """Install the definitions of some kinds, as their projects ship them, and wait for them.

    Raises:
        UnavailableError: when they cannot be had.
    """
    made: list[Kind] = []
    for kind in kinds:
        module, source, folder, name = _DEFINITIONS[kind]
        for crd in _documents(building.manifests(module, source, folder) / name):
            _apply(admin, f"{_CRDS}/{crd['metadata']['name']}", crd)
            spec = crd["spec"]
            served = [each["name"] for each in spec["versions"] if each["served"]]
            made.append(Kind(spec["group"], served[0], spec["names"]["plural"]))
    for known in made:
        programs.wait_until(functools.partial(_is_served, admin, known), known.plural)


def start_gangs(made: plane.ControlPlane, admin: Api) -> None:
    """Install JobSet and Trainer on a control plane, and run their controllers.

    Raises:
        UnavailableError: when they cannot be built.
    """
    if all(name in made.running and made.running[name].is_alive for name in building.GANGS):
        return
    building.build(building.GANGS)
    # The controllers end where they find a kind unknown.
    define(admin, addresses.JOB_SET, addresses.TRAIN_JOB, addresses.TRAINING_RUNTIME, _CLUSTER_WIDE)
    certificates.issue(made.folder, "gangs", "/CN=gangs", names="IP:127.0.0.1")
    for name, source in (("jobset", _JOBSET), ("trainer", _TRAINER)):
        port, health = programs.free_port(), programs.free_port()
        _run(made, name, port, health)
        _hook(admin, made, name, building.manifests(*source) / "webhook/manifests.yaml", port)
    programs.wait_until(lambda: _answers(admin), "the webhooks of JobSet and Trainer", 180.0)


def stop_gangs(made: plane.ControlPlane, admin: Api) -> None:
    """Stop both controllers, and let nothing wait for their webhooks."""
    for name in building.GANGS:
        made.running.pop(name).stop()
        admin.call("DELETE", f"{_HOOKS}/validatingwebhookconfigurations/{name}")
    admin.call("DELETE", f"{_HOOKS}/mutatingwebhookconfigurations/jobset")
    made.save()


def _run(made: plane.ControlPlane, name: str, port: int, health: int) -> None:
    # Both look for their keys where temporary files are.
    temporary = made.folder / f"{name}-files"
    keys = temporary / "k8s-webhook-server" / "serving-certs"
    keys.mkdir(parents=True, exist_ok=True)
    for end, target in (("crt", "tls.crt"), ("key", "tls.key")):
        shutil.copy(made.folder / f"gangs.{end}", keys / target)
    group = {"jobset": "config.jobset.x-k8s.io", "trainer": "config.trainer.kubeflow.org"}[name]
    off = {"internalCertManagement" if name == "jobset" else "certManagement": {"enable": False}}
    told = {
        "apiVersion": f"{group}/v1alpha1",
        "kind": "Configuration",
        "health": {"healthProbeBindAddress": f"127.0.0.1:{health}"},
        "metrics": {"bindAddress": "0"},
        "webhook": {"host": "127.0.0.1", "port": port},
        "leaderElection": {"leaderElect": False},
        "clientConnection": {"qps": 500, "burst": 1000},
        **off,
    }
    config = made.folder / f"{name}.json"
    config.write_text(json.dumps(told), "utf-8")
    command = [str(building.path(name)), f"--config={config}"]
    given = {**os.environ, "KUBECONFIG": str(made.kubeconfig), "TMPDIR": str(temporary)}
    made.running[name] = programs.start(name, command, made.folder / f"{name}.log", given)
    made.save()


def _hook(admin: Api, made: plane.ControlPlane, name: str, path: Path, port: int) -> None:
    """Have the API server ask a controller's webhooks on loopback."""
    authority = certificates.encoded(made.folder / "ca.crt")
    for found in _documents(path):
        kept = [each for each in found["webhooks"] if each["name"] not in _POD_HOOKS]
        for each in kept:
            url = f"https://127.0.0.1:{port}{each['clientConfig']['service']['path']}"
            each["clientConfig"] = {"url": url, "caBundle": authority}
        body = {**found, "metadata": {"name": name}, "webhooks": kept}
        _apply(admin, f"{_HOOKS}/{str(found['kind']).lower()}s/{name}", body)


def _answers(admin: Api) -> bool:
    """Whether both take objects: an empty one of each goes through the webhooks."""
    spec: Document = {"replicatedJobs": []}
    runtime = {"template": {"spec": spec}}
    try:
        for kind, given in ((addresses.JOB_SET, spec), (addresses.TRAINING_RUNTIME, runtime)):
            body = {**addresses.head(kind), "metadata": {"name": "probe"}, "spec": given}
            path = addresses.KINDS[kind].path("default")
            admin.call("POST", path, query={"dryRun": "All"}, body=body)
    except BerthError:
        admin.gate.succeeded()
        return False
    return True


def _is_served(admin: Api, kind: Kind) -> bool:
    try:
        if not is_served(admin, kind):
            return False
        admin.call("GET", f"/apis/{kind.api_version}/{kind.plural}")
    except BerthError:
        admin.gate.succeeded()
        return False
    return True


def _apply(admin: Api, path: str, body: Document) -> None:
    query = {"fieldManager": "test", "force": "true"}
    admin.call("PATCH", path, query=query, body=body, content_type=APPLY)


def _documents(path: Path) -> Iterator[Document]:
    """Yield the documents of a file; they are kept as JSON, since the YAML takes seconds."""
    kept = path.with_suffix(".json")
    if not kept.exists():
        found = [each for each in YAML(typ="safe").load_all(path.read_text("utf-8")) if each]
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as partial:
            json.dump(found, partial)
        Path(partial.name).rename(kept)  # others, threads included, may do the same
    yield from json.loads(kept.read_text("utf-8"))
