"""A server's pods by an InferenceService of KServe, in its standard mode, beside our Service. Pure.

KServe makes a Deployment and an autoscaler, and rolls new packages out pod by pod. It copies labels
and annotations to both and to the pods, so that our Service selects them, and the Deployment is
read as one of ours. Whatever changes there rolls the pods: it changes with the package alone.
"""

from __future__ import annotations

from executors.kubernetes.api import Document
from executors.kubernetes.jobs import SPEC_HASH
from executors.kubernetes.kept import PACKAGE
from executors.kubernetes.kinds.addresses import INFERENCE_SERVICE, head

_MODE = "serving.kserve.io/deploymentMode"
_CONTAINER = "kserve-container"
Bounds = tuple[int, int]


def deployment_of(name: str) -> str:
    """Return the name of the Deployment that KServe makes of an InferenceService."""
    return f"{name}-predictor"


def manifest(name: str, deployment: Document, bounds: Bounds) -> Document:
    """Return the InferenceService of a server; deployment: what it would have otherwise.

    bounds: least and most pods.
    """
    metadata: Document = deployment["metadata"]
    pod: Document = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    least, most = bounds
    return {
        **head(INFERENCE_SERVICE),
        "metadata": {
            "name": name,
            "labels": dict(metadata["labels"]),
            "annotations": {_MODE: "RawDeployment", **metadata["annotations"]},
        },
        "spec": {
            "predictor": {
                **pod,
                "containers": [{**container, "name": _CONTAINER}],
                "minReplicas": least,
                "maxReplicas": most,
                "deploymentStrategy": deployment["spec"]["strategy"],
            }
        },
    }


def keep(item: Document) -> Document:
    """Return what is read of an InferenceService; `says`: what is wrong with it, in its words."""
    metadata: Document = item["metadata"]
    annotations: Document = metadata.get("annotations") or {}
    predictor: Document = item["spec"].get("predictor") or {}
    conditions = (item.get("status") or {}).get("conditions") or ()
    wrong = [
        f"{each['type']}: {each.get('message') or each.get('reason', '')}"
        for each in conditions
        if each.get("status") == "False"
    ]
    return {
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "uid": metadata["uid"],
        "version": metadata["resourceVersion"],
        "package": annotations.get(PACKAGE, ""),
        "hash": annotations.get(SPEC_HASH, ""),
        "bounds": (int(predictor.get("minReplicas", 1)), int(predictor.get("maxReplicas", 1))),
        "says": wrong[0] if wrong else "",
    }


def as_deployment(found: Document, deployment: Document | None) -> Document:
    """Return an InferenceService as a Deployment of ours is read.

    deployment: what KServe made of it, None while there is none.
    """
    behind = deployment is None or deployment["package"] != found["package"]
    seen = {"replicas": 0, "is_complete": False, "has_failed": False, **(deployment or {})}
    seen["is_complete"] = bool(seen["is_complete"] and not behind)
    seen["has_failed"] = bool(seen["has_failed"] and not behind)
    told = ("namespace", "name", "uid", "version", "package", "hash", "bounds", "says")
    return {**seen, **{name: found[name] for name in told}}
