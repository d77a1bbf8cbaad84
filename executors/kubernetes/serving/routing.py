"""Keeps the route of each server: a Service for each colour, and the weights of the HTTPRoute.

What others changed of a route is put back with the next look, as far as it decides where requests
go.
"""

from __future__ import annotations

from executors.kubernetes.clusters import ClusterLink
from executors.kubernetes.kinds import addresses, routes
from executors.kubernetes.serving import PORT, rollout
from executors.kubernetes.serving.objects import Server
from executors.kubernetes.serving.writing import apply, remove

_COLOURS = (rollout.BLUE, rollout.GREEN)


def bring(link: ClusterLink, server: Server) -> None:
    """Have the route of a server share requests out as its state wants; errors as `Api.call`."""
    if link.more is None or link.more.routes is None or link.services is None:
        return
    for colour in _COLOURS:
        name = routes.backend(server.name, colour)
        if link.services.get(link.namespace, name) is None:
            document = routes.backend_service(server.name, colour, server.labels, PORT)
            apply(link, f"/api/v1/namespaces/{link.namespace}/services/{name}", document)
    document = routes.route(
        server.name,
        server.pipeline,
        server.labels,
        rollout.shares(server.state),
        gateway=link.given.gateway,
        port=PORT,
    )
    found = link.more.routes.get(link.namespace, server.name)
    if found is None or found["wanted"] != routes.wanted(document):
        apply(link, _path(link, server), document)


def refusal(link: ClusterLink, server: Server) -> str:
    """Return why the gateway does not take the route of a server, "" when it does."""
    watch = link.more.routes if link.more is not None else None
    found = watch.get(link.namespace, server.name) if watch is not None else None
    return f"its route: {found['refusal']}" if found is not None and found["refusal"] else ""


def take_away(link: ClusterLink, server: Server) -> None:
    """Remove the route of a server, and the Services behind it."""
    if link.more is None or link.more.routes is None or link.services is None:
        return
    found = link.more.routes.get(link.namespace, server.name)
    if found is not None:
        remove(link, _path(link, server), found["uid"])
    for colour in _COLOURS:
        name = routes.backend(server.name, colour)
        known = link.services.get(link.namespace, name)
        if known is not None:
            remove(link, f"/api/v1/namespaces/{link.namespace}/services/{name}", known["uid"])


def _path(link: ClusterLink, server: Server) -> str:
    return addresses.KINDS[addresses.HTTP_ROUTE].path(link.namespace, server.name)
