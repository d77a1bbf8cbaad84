"""How a gateway shares requests out between the colours of a server: HTTPRoute. Pure.

Each colour has a Service of its own behind the route, and the route has weights. So a canary gets
its share of the requests exactly, however many pods there are of each colour.
"""

from __future__ import annotations

from collections.abc import Mapping

from executors.kubernetes.api import Document
from executors.kubernetes.kept import COLOUR, SERVER
from executors.kubernetes.kinds.addresses import HTTP_ROUTE, head


def backend(server: str, colour: str) -> str:
    """Return the name of the Service of a colour."""
    return f"{server}-{colour}"


def backend_service(server: str, colour: str, labels: Mapping[str, str], port: int) -> Document:
    """Return the Service of a colour."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": backend(server, colour), "labels": dict(labels)},
        "spec": {
            "selector": {SERVER: server, COLOUR: colour},
            "ports": [{"name": "http", "port": port, "targetPort": "http"}],
        },
    }


def route(
    server: str,
    model: str,
    labels: Mapping[str, str],
    weights: Mapping[str, int],
    *,
    gateway: str,
    port: int,
) -> Document:
    """Return the route of a server: requests for its model, by the Open Inference Protocol.

    weights: of the colours. gateway: its name, or NAMESPACE/NAME.
    """
    namespace, _, name = gateway.rpartition("/")
    parent = {"name": name, **({"namespace": namespace} if namespace else {})}
    backends = [
        {"name": backend(server, colour), "port": port, "weight": weight}
        for colour, weight in sorted(weights.items())
    ]
    path = {"type": "PathPrefix", "value": f"/v2/models/{model}"}
    return {
        **head(HTTP_ROUTE),
        "metadata": {"name": server, "labels": dict(labels)},
        "spec": {
            "parentRefs": [parent],
            "rules": [{"matches": [{"path": path}], "backendRefs": backends}],
        },
    }


def wanted(document: Document) -> Document:
    """Return what is compared of a route: where it hangs, and what it shares out."""
    spec: Document = document["spec"]
    parents = [(each.get("namespace", ""), each["name"]) for each in spec["parentRefs"]]
    rules = [
        (
            [match["path"]["value"] for match in rule.get("matches") or () if "path" in match],
            [(each["name"], each.get("weight", 1)) for each in rule.get("backendRefs") or ()],
        )
        for rule in spec.get("rules") or ()
    ]
    return {"parents": parents, "rules": rules}


def keep(item: Document) -> Document:
    """Return what is read of a route; `refusal`: why its gateway does not take it."""
    metadata: Document = item["metadata"]
    status: Document = item.get("status") or {}
    said = [
        f"{each.get('reason', '')}: {each.get('message', '')}"
        for parent in status.get("parents") or ()
        for each in parent.get("conditions") or ()
        if each["type"] in {"Accepted", "ResolvedRefs"} and each["status"] == "False"
    ]
    return {
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "uid": metadata["uid"],
        "version": metadata["resourceVersion"],
        "wanted": wanted(item),
        "refusal": said[0] if said else "",
    }
