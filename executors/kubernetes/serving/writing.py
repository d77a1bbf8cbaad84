"""Writes that servers need: applies of fields that are ours, and deletes of what is still that."""

from __future__ import annotations

import logging

from engine.model.errors import ConflictError, NotFoundError
from executors.kubernetes.api import APPLY, FIELD_MANAGER, Api, Document
from executors.kubernetes.clusters import ClusterLink

_LOG = logging.getLogger(__name__)


def api_of(link: ClusterLink) -> Api:
    """Return the API of a cluster that has one."""
    assert link.api is not None  # noqa: S101 - asked before
    return link.api


def apply(link: ClusterLink, path: str, document: Document) -> None:
    """Apply the fields of a manifest; errors as `Api.call`."""
    query = {"fieldManager": FIELD_MANAGER, "force": "true"}
    api_of(link).call("PATCH", path, query=query, body=document, content_type=APPLY)


def write(
    link: ClusterLink, method: str, path: str, body: object, kind: str = "application/json"
) -> None:
    """Write to what may be gone already, or be another one by now."""
    query = {"fieldManager": f"{FIELD_MANAGER}-stop"} if method == "PATCH" else {}
    try:
        api_of(link).call(method, path, query=query, body=body, content_type=kind)
    except (NotFoundError, ConflictError) as error:
        _LOG.info("left alone: %s", error.message)


def remove(link: ClusterLink, path: str, uid: str) -> None:
    """Delete one object, and none that has its name by now."""
    body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
    write(link, "DELETE", path, body)
