"""Jobs without pods: when a cluster is asked about one, and what its events mean."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from engine.model.errors import RefusedError
from engine.testing.clocks import ManualClock
from executors.kubernetes import refusals
from executors.kubernetes.api import Document
from executors.kubernetes.clusters import ClusterLink
from executors.kubernetes.refusals import Refusals
from tests.support.kubernetes_documents import job

QUOTA = 'pods "p" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1'
WEBHOOK = 'admission webhook "validate.kyverno.svc-fail" denied the request: needs a label'
DOWN = 'Internal error occurred: failed calling webhook "validate.kyverno.svc-fail": timed out'
LIMIT = 'pods "p" is forbidden: maximum memory usage per Container is 16Mi, but limit is 352Mi'


class Cluster:
    """Tells events of one Job, or refuses to."""

    def __init__(self, *events: Document, refuses: bool = False) -> None:
        self.events, self.refuses, self.asked = events, refuses, 0
        self.api, self.namespace, self.given = self, "ml", SimpleNamespace(name="east")

    def call(self, *_: str, query: Document) -> Document:
        assert "involvedObject.name=task-1" in query["fieldSelector"]
        self.asked += 1
        if self.refuses:
            raise RefusedError("no right")
        return {"items": list(self.events)}

    @property
    def link(self) -> ClusterLink:
        return cast("ClusterLink", self)


def event(message: str, at: str = "2026-11-26T08:00:00Z") -> Document:
    return {"message": message, "lastTimestamp": at}


def test_a_job_that_is_new_has_time_to_get_a_pod() -> None:
    clock, cluster = ManualClock(), Cluster(event(QUOTA))
    known = Refusals(clock)
    assert known.of(cluster.link, job()) == ""
    assert cluster.asked == 0
    clock.advance(refusals.PATIENCE_SECONDS)
    assert known.of(cluster.link, job()) == QUOTA


def test_a_cluster_is_asked_about_a_job_now_and_then() -> None:
    clock, cluster = ManualClock(), Cluster(event(QUOTA))
    known = Refusals(clock)
    for _ in range(60):
        known.of(cluster.link, job())
        clock.advance(1.0)
    assert 3 <= cluster.asked <= 5


def test_many_jobs_are_asked_about_one_after_the_other() -> None:
    clock, cluster = ManualClock(), Cluster(event(QUOTA))
    known, many = Refusals(clock), [{**job(), "attempt": str(number)} for number in range(9)]
    for each in many:
        known.of(cluster.link, each)
    clock.advance(refusals.PATIENCE_SECONDS)
    told = [known.of(cluster.link, each) for each in many]
    assert (cluster.asked, told.count(QUOTA)) == (1, 1)


def test_one_that_got_a_pod_has_time_again() -> None:
    clock, cluster = ManualClock(), Cluster(event(QUOTA))
    known = Refusals(clock)
    known.of(cluster.link, job())
    clock.advance(refusals.PATIENCE_SECONDS)
    known.of(cluster.link, job())
    known.forget("r-1.task.1")
    assert known.of(cluster.link, job()) == ""


def test_the_newest_event_counts() -> None:
    old, new = event(QUOTA, "2026-11-26T08:00:00Z"), event(LIMIT, "2026-11-26T09:00:00Z")
    assert refusals.asked(Cluster(new, old).link, job()) == LIMIT


@pytest.mark.parametrize("cluster", [Cluster(), Cluster(refuses=True)], ids=["none", "no right"])
def test_without_events_nothing_is_said(cluster: Cluster) -> None:
    assert refusals.asked(cluster.link, job()) == ""


@pytest.mark.parametrize(
    ("why", "final"),
    [(QUOTA, False), (LIMIT, True), (WEBHOOK, True), (DOWN, False), ("", False)],
)
def test_want_of_quota_passes_and_a_refusal_does_not(why: str, final: bool) -> None:
    assert refusals.is_final(why) is final
