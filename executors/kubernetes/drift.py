"""What others changed of our Jobs, and putting it back.

A Job is found by its labels. One whose labels were taken off still runs, but no watch shows it: its
end would never be seen. So they are set again, by server-side apply, for those fields alone.
"""

from __future__ import annotations

import logging

from engine.model.errors import BerthError
from executors.kubernetes import jobs
from executors.kubernetes.api import APPLY, FIELD_MANAGER, Api, Document
from executors.kubernetes.kinds import addresses

_LOG = logging.getLogger(__name__)


def restore(api: Api, job: Document, *, attempt: str, installation: str) -> None:
    """Set the marks of a Job by which it is found; a failure is told, and the next look tries."""
    path = addresses.path_of(job)
    body = {
        **addresses.head(job["kind"]),
        "metadata": {
            "name": job["name"],
            "uid": job["uid"],
            "labels": {
                "app.kubernetes.io/managed-by": FIELD_MANAGER,
                jobs.INSTALLATION: installation,
            },
            "annotations": {jobs.ATTEMPT: attempt},
        },
    }
    query = {"fieldManager": f"{FIELD_MANAGER}-marks", "force": "true"}
    _LOG.warning("the marks of %r were taken off by somebody else: set again", job["name"])
    try:
        api.call("PATCH", path, query=query, body=body, content_type=APPLY)
    except BerthError as error:
        _LOG.info("they cannot be set: %s", error.message)
