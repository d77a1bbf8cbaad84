"""Jobs whose pods the cluster does not make, and why, as its events tell.

A quota of pods, a LimitRange or an admission policy refuses the pods of a Job that was taken
itself. Only an event says so. Events are not watched, since a busy cluster has a million of them:
a cluster is asked now and then about one Job that has been without a pod for a while.
"""

from __future__ import annotations

import logging

from engine.model.errors import BerthError
from engine.ports import Clock
from executors.kubernetes.api import Document
from executors.kubernetes.clusters import ClusterLink

_LOG = logging.getLogger(__name__)
PATIENCE_SECONDS = 10.0
"""How long a Job may be without a pod before anybody asks: controllers need a moment."""
_AGAIN_SECONDS = 15.0
_BETWEEN_SECONDS = 1.0
# Between two questions to one cluster.


class Refusals:
    """What is known of Jobs without pods. clock: monotonic seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}
        self._asks_at: dict[str, float] = {}
        self._free_at: dict[str, float] = {}
        self._why: dict[str, str] = {}

    def forget(self, attempt: str) -> None:
        """Forget an attempt that has a pod, or is over."""
        for known in (self._since, self._asks_at, self._why):
            known.pop(attempt, None)

    def of(self, link: ClusterLink, job: Document) -> str:
        """Return why no pod is made of a Job that has none, "" while nothing says so."""
        attempt, now = str(job["attempt"]), self._clock.monotonic()
        since = self._since.setdefault(attempt, now)
        if job["suspended"] or now - since < PATIENCE_SECONDS:
            return ""
        free = now >= self._free_at.get(link.given.name, 0.0)
        if free and now >= self._asks_at.get(attempt, 0.0):
            self._free_at[link.given.name] = now + _BETWEEN_SECONDS
            self._asks_at[attempt] = now + _AGAIN_SECONDS
            self._why[attempt] = asked(link, job)
        return self._why.get(attempt, "")


def asked(link: ClusterLink, job: Document) -> str:
    """Ask a cluster why it makes no pod of a Job; "" when nothing says so."""
    assert link.api is not None  # noqa: S101 - it has Jobs
    name = job.get("child") or job["name"]
    query = {"fieldSelector": f"involvedObject.name={name},reason=FailedCreate", "limit": 20}
    path = f"/api/v1/namespaces/{link.namespace}/events"
    try:
        found = link.api.call("GET", path, query=query).get("items") or ()
    except BerthError as error:
        _LOG.info("events of %s cannot be read: %s", name, error.message)
        return ""
    newest = max(found, key=lambda each: str(each.get("lastTimestamp") or ""), default=None)
    return "" if newest is None else str(newest.get("message", ""))


def is_final(why: str) -> bool:
    """Whether waiting helps nobody: the pod itself is refused, for no want of quota. Pure."""
    if "denied the request" in why:  # as the API server says of every webhook that refuses
        return True
    return "forbidden" in why and "exceeded quota" not in why
