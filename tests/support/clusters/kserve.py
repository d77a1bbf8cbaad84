"""What KServe does of an InferenceService in its standard mode, played: its definition is real.

The Deployment is what its controller makes of a predictor of a container, and the modelcar what its
webhook adds to each pod (`ConfigureModelcarToContainer` of KServe 0.16, without `uidModelcar`).
"""

from __future__ import annotations

from executors.kubernetes.api import APPLY, Document
from executors.kubernetes.kinds.addresses import INFERENCE_SERVICE, KINDS
from tests.support.clusters.fixtures import Place

_ROOT = "/proc/$$$$/root"
"""The root of the shell's own container; a cluster makes one dollar of two."""
_LINKS = f"ln -sf {_ROOT}/models /mnt/models && sleep infinity"
_LOOKS = (
    "echo 'Pre-fetching modelcar: ' && [ -d /models ] && [ \"$$(ls -A /models)\" ] && "
    "echo 'OK ... Prefetched and valid (/models exists)' || "
    "(echo 'NOK ... Prefetched but modelcar is invalid' && exit 1)"
)
_VOLUME = "kserve-provision-location"
_LEAST = {"cpu": "10m", "memory": "15Mi"}


def play(place: Place) -> None:
    """Make the Deployment of the InferenceService in a namespace."""
    (found,) = place.admin.call("GET", KINDS[INFERENCE_SERVICE].path(place.namespace))["items"]
    metadata, predictor = found["metadata"], dict(found["spec"]["predictor"])
    least = predictor.pop("minReplicas")
    del predictor["maxReplicas"]
    name = f"{metadata['name']}-predictor"
    labels = {**metadata["labels"], "app": name}
    told = {"labels": labels, "annotations": metadata["annotations"]}
    strategy = predictor.pop("deploymentStrategy")
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, **told},
        "spec": {
            "replicas": least,
            "selector": {"matchLabels": {"app": name}},
            "strategy": strategy,
            "template": {"metadata": told, "spec": with_modelcar(predictor)},
        },
    }
    path = f"/apis/apps/v1/namespaces/{place.namespace}/deployments/{name}"
    query = {"fieldManager": "kserve", "force": "true"}
    place.admin.call("PATCH", path, query=query, body=body, content_type=APPLY)


def with_modelcar(pod: Document) -> Document:
    """Return a pod with the modelcar that its server's variable asks for; itself without one."""
    (server,) = pod["containers"]
    told = {each["name"]: each.get("value", "") for each in server.get("env", ())}
    address = told.get("STORAGE_URI", "")
    if not address.startswith("oci://"):
        return pod
    image = address.removeprefix("oci://")
    mount = {"name": _VOLUME, "mountPath": "/mnt"}
    resources = {"limits": _LEAST, "requests": _LEAST}
    shows = {"name": "modelcar", "image": image, "args": ["sh", "-c", _LINKS]}
    looks = {"name": "modelcar-init", "image": image, "args": ["sh", "-c", _LOOKS]}
    server = {
        **server,
        "env": [*server["env"], {"name": "MODEL_INIT_MODE", "value": "async"}],
        "volumeMounts": [*server["volumeMounts"], mount],
    }
    return {
        **pod,
        "shareProcessNamespace": True,
        "containers": [server, {**shows, "resources": resources, "volumeMounts": [mount]}],
        "initContainers": [{**looks, "resources": resources}],
        "volumes": [*pod["volumes"], {"name": _VOLUME, "emptyDir": {}}],
    }
