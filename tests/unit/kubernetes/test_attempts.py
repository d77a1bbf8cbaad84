"""Making attempts that a controller checks, and removing gangs that ended long ago."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import cast

import pytest

from engine.model.errors import BerthError, NotFoundError, RefusedError, UnreachableError
from executors.kubernetes import attempts, verdicts
from executors.kubernetes.api import BusyError, Document
from executors.kubernetes.clusters import ClusterLink
from executors.kubernetes.kinds import gangs
from executors.kubernetes.kinds.addresses import JOB_SET, TRAIN_JOB
from tests.support.kubernetes_documents import AT
from tests.unit.kubernetes.test_gangs import seen

UNSEEN = "specified trainingRuntime must be created before the TrainJob is created"
ENDED = verdicts.seconds(AT) or 0.0


class Cluster:
    """Has one gang, whose Job is gone, and takes deletes, or answers with a fault."""

    def __init__(self, gang: Document, fault: BerthError | None = None) -> None:
        self.known, self.fault = gang, fault
        self.api, self.gangs, self.jobs, self.namespace = self, self, None, "ml"
        self.given = SimpleNamespace(name="east")
        self.asked: list[tuple[str, Document]] = []

    def objects(self) -> list[Document]:
        return [self.known]

    def gang(self, found: Document) -> Document:
        return gangs.merged(found, None)

    def call(
        self, method: str, path: str, *, body: Document | None = None, query: Document | None = None
    ) -> Document:
        if query is not None and self.fault is not None:
            raise self.fault
        self.asked.append((path.rsplit("/", 2)[1], (body or {}).get("preconditions", {})))
        assert method == "DELETE"
        if self.fault is not None:
            raise self.fault
        return {}

    @property
    def link(self) -> ClusterLink:
        return cast("ClusterLink", self)


@pytest.mark.parametrize(
    ("kind", "expected"), [(JOB_SET, ["jobsets"]), (TRAIN_JOB, ["trainjobs", "trainingruntimes"])]
)
def test_one_that_ended_long_ago_is_removed_with_all_of_it(kind: str, expected: list[str]) -> None:
    cluster = Cluster(seen(kind, "Complete"))
    attempts.clear(cluster.link, ENDED + 1.0)
    assert [plural for plural, _ in cluster.asked] == expected
    assert cluster.asked[0][1] == {"uid": "u-1"}


@pytest.mark.parametrize("gang", [seen(JOB_SET), seen(JOB_SET, "Complete")], ids=["runs", "new"])
def test_one_that_runs_or_ended_lately_stays(gang: Document) -> None:
    cluster = Cluster(gang)
    attempts.clear(cluster.link, ENDED - 1.0)
    assert cluster.asked == []


def test_one_that_is_being_removed_is_left_to_that() -> None:
    cluster = Cluster({**seen(JOB_SET, "Complete"), "deleting": True})
    attempts.clear(cluster.link, ENDED + 1.0)
    assert cluster.asked == []


def test_one_that_others_removed_is_no_fault() -> None:
    cluster = Cluster(seen(TRAIN_JOB, "Complete"), NotFoundError("it is gone"))
    attempts.clear(cluster.link, ENDED + 1.0)
    assert len(cluster.asked) == 1


@pytest.mark.parametrize("fault", [UnreachableError("silent"), RefusedError("no right")])
def test_a_cluster_that_lets_nothing_be_removed_hides_no_other(fault: BerthError) -> None:
    cluster = Cluster(seen(JOB_SET, "Complete"), fault)
    attempts.clear(cluster.link, ENDED + 1.0)
    assert len(cluster.asked) == 1


@pytest.mark.parametrize(
    ("kind", "why", "passes"),
    [
        (TRAIN_JOB, UNSEEN, True),
        (TRAIN_JOB, "spec.trainer.numNodes: Invalid value: 0", False),
        (JOB_SET, UNSEEN, False),
    ],
)
def test_a_controller_that_looks_at_an_older_copy_is_asked_again(
    kind: str, why: str, passes: bool
) -> None:
    cluster = Cluster(seen(kind), RefusedError(f"cluster 'east': {why}"))
    with pytest.raises(BusyError if passes else RefusedError, match=re.escape(why)):
        attempts.make(cluster.link, {"kind": kind, "metadata": {"name": "r-1-task-1"}})
