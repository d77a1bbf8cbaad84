"""The object of one attempt on one cluster: made, asked for, ended and removed.

That is a Job, or a gang (`kinds.gangs`) where the cluster is asked for those. All of these may be
repeated: names are those of the attempt, deletes name the object's uid.
"""

from __future__ import annotations

import logging

from engine.model.errors import (
    BerthError,
    ConflictError,
    DamagedError,
    NotFoundError,
    RefusedError,
)
from executors.kubernetes import jobs, suspensions, verdicts
from executors.kubernetes.api import APPLY, FIELD_MANAGER, Api, BusyError, Document, ExistsError
from executors.kubernetes.clusters import ClusterLink
from executors.kubernetes.kinds import addresses, gangs
from executors.kubernetes.kinds.addresses import JOB, KINDS, TRAIN_JOB, TRAINING_RUNTIME

_LOG = logging.getLogger(__name__)
_STOP_TRIES = 3
_UNSEEN = "must be created before the TrainJob"
_OVER = frozenset({"Complete", "Failed"})


def make(link: ClusterLink, wanted: Document) -> int:
    """Make an attempt's object; one of this name that is there already is the same attempt.

    wanted: a Job, or a gang, before which come objects that it names (`gangs.manifests`).
    Returns the version of one that was suspended and resumed instead, otherwise 0.

    Raises:
        DamagedError: when the object that is there is not the one that was ordered.
        BusyError: when its controller has not seen yet what it names.
        RefusedError: when the cluster refuses it.
    """
    api = _api(link)
    kind = KINDS[wanted["kind"]]
    query = {"fieldManager": FIELD_MANAGER}
    try:
        made = api.call("POST", kind.path(link.namespace), query=query, body=wanted)
    except ExistsError as error:
        found = asked(link, wanted["kind"], wanted["metadata"]["name"])
        if found is None:  # it was removed in between: the next call makes it
            raise
        if found["spec_hash"] != wanted["metadata"]["annotations"][jobs.SPEC_HASH]:
            name = wanted["metadata"]["name"]
            message = f"{wanted['kind']} {name!r} on {link.given.name!r} is not what was ordered"
            raise DamagedError(message, fix="somebody changed it: delete it") from error
        if found["parked"] and not found["stopped"]:
            return suspensions.version(suspensions.resume(api, found, wanted))
        return 0
    except RefusedError as error:
        if wanted["kind"] == TRAIN_JOB and _UNSEEN in error.message:
            # Trainer answers from a copy of the cluster that may be older than what we just made.
            raise BusyError(error.message) from error
        raise
    known = link.jobs if wanted["kind"] == JOB else link.gangs
    if known is not None:
        known.put(made)
    return 0


def prepare(link: ClusterLink, before: Document) -> None:
    """Make an object that an attempt names, once: nothing of it ever changes."""
    query = {"fieldManager": FIELD_MANAGER, "force": "true"}
    path = addresses.path_of(before)
    _api(link).call("PATCH", path, query=query, body=before, content_type=APPLY)


def asked(link: ClusterLink, kind: str, name: str) -> Document | None:
    """Ask the cluster for the object of an attempt, which watches may not show; None for none."""
    try:
        found = _api(link).call("GET", KINDS[kind].path(link.namespace, name))
    except NotFoundError:
        return None
    if kind == JOB:
        return jobs.keep_job(found)
    return link.gang(gangs.keep(found))


def asked_any(link: ClusterLink, name: str) -> Document | None:
    """Ask for the object of an attempt, of whichever kind; name: that of its Job."""
    found = asked(link, JOB, name)
    if found is None and link.gangs is not None:
        return asked(link, link.gangs_as, gangs.name_of(name))
    return found


def end(link: ClusterLink, job: Document, why: str) -> None:
    """Mark an attempt's object as stopped and have it end, by one write of the fields we own."""
    body = _ending(job, why)
    query = {"fieldManager": f"{FIELD_MANAGER}-stop", "force": "true"}
    for _ in range(_STOP_TRIES):
        try:
            path = addresses.path_of(job)
            _api(link).call("PATCH", path, query=query, body=body, content_type=APPLY)
        except NotFoundError:
            return
        except ConflictError as error:
            _LOG.info("stopping %s: %s", job["name"], error.message)
            continue
        return


def _ending(job: Document, why: str) -> Document:
    if job["kind"] != JOB:
        return gangs.suspension(job, {jobs.STOPPED: why})
    told = {"name": job["name"], "uid": job["uid"], "annotations": {jobs.STOPPED: why}}
    body = {**addresses.head(JOB), "metadata": told}
    if not job["queue"]:  # otherwise Kueue takes it back: see `kueue.Queues`
        # One that is suspended ends before it makes another pod.
        body["spec"] = {"activeDeadlineSeconds": 0 if job["parked"] else 1, "suspend": False}
    return body


def remove(link: ClusterLink, job: Document) -> None:
    """Remove an attempt's object, and only that one, with all that is made of it."""
    body = {"preconditions": {"uid": job["uid"]}, "propagationPolicy": "Background"}
    try:
        _api(link).call("DELETE", addresses.path_of(job), body=body)
        if job["kind"] == TRAIN_JOB:
            path = KINDS[TRAINING_RUNTIME].path(job["namespace"], job["name"])
            _api(link).call("DELETE", path)
    except (NotFoundError, ConflictError):
        _LOG.info("%s was removed by somebody else", job["name"])


def clear(link: ClusterLink, before: float) -> None:
    """Remove gangs that ended before an instant, as far as the cluster lets us.

    Not every controller does. One that cannot be removed now is tried with the next look.
    """
    for gang in link.gangs.objects() if link.gangs is not None else ():
        seen = link.gang(gang)
        over = [at for kind, (_, _, at) in seen["conditions"].items() if kind in _OVER]
        if over and not gang["deleting"] and (verdicts.seconds(over[0]) or before) < before:
            try:
                remove(link, seen)
            except BerthError as error:
                _LOG.info("%s stays on %s: %s", seen["name"], link.given.name, error.message)


def _api(link: ClusterLink) -> Api:
    assert link.api is not None  # noqa: S101 - asked before
    return link.api
