"""Where a task may stand, and beside whom, as people write it."""

from __future__ import annotations

import pytest

from engine import documents
from engine.model.errors import InvalidInputError
from engine.model.identifiers import TaskName
from engine.model.specs import Affinity, TaskSpec, Within

HEAD = "pipeline: p\ntasks:\n  etl: {kind: etl, labels: {app: churn}}\n"


def task(keys: str) -> TaskSpec:
    text = f"{HEAD}  train: {{kind: train, {keys}}}\n"
    spec = documents.read_pipeline(text, name="p.yaml", as_of=0.0)
    again = documents.pipeline_from(documents.pipeline_mapping(spec), name="p")
    assert again == spec
    return spec.task("train")


def test_a_name_alone_means_its_cluster() -> None:
    assert task("beside: etl").beside == (
        Affinity(tasks=(TaskName("etl"),), within=Within.CLUSTER),
    )


def test_an_affinity_may_name_labels_and_what_is_shared() -> None:
    read = task("apart from: {labels: {app: churn}, within: node}").apart_from
    assert read == (Affinity(labels={"app": "churn"}, within=Within.NODE),)


def test_several_affinities_are_a_list() -> None:
    read = task("beside: [etl, {tasks: [etl], within: region}]").beside
    assert [affinity.within for affinity in read] == [Within.CLUSTER, Within.REGION]


@pytest.mark.parametrize(
    ("keys", "code", "column", "candidates"),
    [
        ("beside: elt", "S010", 32, ("etl",)),
        ("apart from: [etl, {tasks: elt}]", "S010", 50, ("etl",)),
        ("beside: qqqq", "S010", 32, ()),
        ("beside: train", "S022", 32, ()),
        ("beside: {within: node}", "S003", 32, ()),
        ("beside: {tasks: etl, within: rack}", "S005", 53, ()),
    ],
)
def test_a_fault_points_at_the_word(
    keys: str, code: str, column: int, candidates: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        task(keys)
    (fault,) = caught.value.faults
    assert (fault.code, fault.line, fault.column) == (code, 4, column)
    assert fault.candidates == candidates


def test_a_task_may_ask_for_machines_that_stay() -> None:
    assert task("interruptible: false").interruptible is False
    assert task("rows: 3").interruptible is True


def test_services_are_not_asked_whether_they_may_be_interrupted() -> None:
    text = f"{HEAD}  serve: {{kind: serve, interruptible: true}}\n"
    with pytest.raises(InvalidInputError) as caught:
        documents.read_pipeline(text, name="p.yaml", as_of=0.0)
    assert [fault.code for fault in caught.value.faults] == ["S018"]


@pytest.mark.parametrize(("written", "per_hour"), [("0.05/h", 0.05), ("6/day", 0.25)])
def test_pools_say_how_often_their_nodes_are_taken_away(written: str, per_hour: float) -> None:
    text = (
        "clusters:\n  c:\n    provider: aws\n    region: r\n    continent: eu\n    pools:\n"
        "      spot: {machine: m, count: 1, cpu: 2, memory: 4 GiB, price: 1 USD per hour, "
        f"interruptions: {written}}}\n"
    )
    fleet = documents.read_fleet(text, name="fleet.yaml")
    assert fleet.cluster("c").pool("spot").interruptions_per_hour == per_hour
    assert documents.fleet_from(documents.fleet_mapping(fleet), name="fleet") == fleet


def test_a_task_may_tolerate_taints() -> None:
    assert task("tolerates: [spot, gpu]").tolerates == ("spot", "gpu")
