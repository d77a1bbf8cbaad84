"""Jobs that leave their nodes for a while: suspended, given another size, and resumed.

A suspended Job stays where it is, with our mark on it; its pods are deleted, which counts as no
failure, and resuming makes a new one, whose deadline counts anew (`spec.suspend`, Kubernetes 1.24).
While it is suspended the resources of its container may change in place (KEP-5440, on by default
from 1.36); a server that refuses this runs it with those it had. Each step is one idempotent write
of the fields that it owns.
"""

from __future__ import annotations

import logging

from engine.model.errors import ConflictError, FinalError, NotFoundError
from executors.kubernetes.api import APPLY, FIELD_MANAGER, Api, Document
from executors.kubernetes.jobs import CONTAINER, PARKED
from executors.kubernetes.kinds import addresses

_LOG = logging.getLogger(__name__)
_TRIES = 3


def is_off(job: Document) -> bool:
    """Whether a Job that we suspended has left its nodes, the last of its pods too. Pure.

    One that somebody else suspended is theirs to resume.
    """
    runs = job["active"] or job["terminating"]
    return bool(job["parked"] and "Suspended" in job["conditions"] and not runs)


def may_leave(job: Document) -> bool:
    """Whether a Job can be suspended: it goes on, and nobody else decides when it runs. Pure."""
    over = {"Complete", "Failed"} & job["conditions"].keys()
    return not (over or job["stopped"] or job["parked"] or job["queue"] or job["origin"])


def leaving(job: Document) -> Document:
    """Return what suspends a Job. Pure."""
    body = _body(job, {"suspend": True})
    body["metadata"]["annotations"] = {PARKED: "true"}
    return body


def going_on(job: Document) -> Document:
    """Return what resumes a Job, and takes our mark off it. Pure."""
    return _body(job, {"suspend": False})


def of_size(job: Document, wanted: Document) -> Document:
    """Return what gives a suspended Job the resources of another rendering of it. Pure."""
    container = wanted["spec"]["template"]["spec"]["containers"][0]
    sized = {"name": CONTAINER, "resources": container["resources"]}
    return _body(job, {"template": {"spec": {"containers": [sized]}}})


def version(job: Document | None) -> int:
    """Return the version of a Job that a write returned, which grows with each; 0 of none. Pure."""
    return 0 if job is None else int(job["metadata"]["resourceVersion"])


def suspend(api: Api, job: Document) -> Document | None:
    """Suspend a Job; return it as it is then, None when it is gone.

    Raises:
        RetryableError: when its cluster does not answer, or others change it all the time.
    """
    return _applied(api, job, leaving(job), "suspend")


def resume(api: Api, job: Document, wanted: Document) -> Document | None:
    """Resume a Job with the resources of the new order; return it as it is then.

    wanted: how the order is rendered now. Errors as `suspend`.
    """
    if job["kind"] == addresses.JOB:  # the templates of a gang never change
        try:
            _applied(api, job, of_size(job, wanted), "size")
        except FinalError as error:
            _LOG.info("%s goes on with the size it had: %s", job["name"], error.message)
    return _applied(api, job, going_on(job), "suspend")


def _body(job: Document, spec: Document) -> Document:
    return {
        **addresses.head(job["kind"]),
        "metadata": {"name": job["name"], "uid": job["uid"]},
        "spec": spec,
    }


def _applied(api: Api, job: Document, body: Document, what: str) -> Document | None:
    """Apply fields of a Job that is still the same one."""
    path = addresses.path_of(job)
    query = {"fieldManager": f"{FIELD_MANAGER}-{what}", "force": "true"}
    tries = 0
    while True:
        try:
            return api.call("PATCH", path, query=query, body=body, content_type=APPLY)
        except NotFoundError:
            return None
        except ConflictError as error:
            _LOG.info("%s: %s", job["name"], error.message)
            tries += 1
            if tries == _TRIES:
                raise
