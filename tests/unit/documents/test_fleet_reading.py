"""Fleets are read with the same care as pipelines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine import documents
from engine.model.errors import Fault, InvalidInputError
from engine.model.fleet import Fleet, Provider
from engine.model.identifiers import dollars
from engine.model.resources import Resource

Faults = Callable[[str], tuple[Fault, ...]]
EXAMPLES = Path(__file__).parents[3] / "examples"

POOL = "{machine: m, count: 2, cpu: 2, memory: 8 GiB, price: 0.1 USD per hour}"


def cluster(keys: str = "", pool: str = POOL) -> str:
    where = "provider: aws, region: us-east-1, continent: us"
    return f"clusters: {{c: {{{where}, pools: {{p: {pool}}}{keys}}}}}"


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return documents.read_fleet((EXAMPLES / "fleet.yaml").read_text(), name="fleet.yaml")


def test_the_example_spans_clouds_regions_and_a_cellar(fleet: Fleet) -> None:
    assert {cluster.provider for cluster in fleet.clusters} == {
        Provider.AWS,
        Provider.AZURE,
        Provider.ON_PREMISES,
    }
    assert len(fleet.clusters) >= 5
    assert len({cluster.region for cluster in fleet.clusters}) >= 3


def test_a_cluster_has_what_is_written(fleet: Fleet) -> None:
    west = fleet.cluster("eu-west-1")
    assert (west.region, west.continent, west.availability) == ("westeurope", "eu", 0.9995)
    assert west.transfer_micro_dollars_per_gib["northeurope"] == dollars(0.02)
    assert west.quota == {"team-cardiology": {Resource.CPU: 48.0, Resource.GPU: 8.0}}


def test_a_pool_has_shape_and_price(fleet: Fleet) -> None:
    pool = fleet.cluster("eu-west-1").pool("a100")
    assert (pool.shape.gpu_model, pool.shape.gpu_count) == ("A100", 1)
    assert pool.price_micro_dollars_per_hour == dollars(4.775)


def test_what_is_not_written_has_the_default_of_the_model() -> None:
    read = documents.read_fleet(cluster(), name="x").clusters[0]
    assert (read.executor, read.reachable, read.pools[0].speed) == ("local", True, 1.0)


def test_spot_prices_taints_and_reachability_can_be_written() -> None:
    pool = POOL[:-1] + ", spot: 0.03 USD per hour, taints: gpu-only, speed: 1.5}"
    keys = ", reachable: false, latency: 5 ms, grace: 3 s, executor: kubernetes"
    read = documents.read_fleet(cluster(keys, pool), name="x").clusters[0]
    assert (read.reachable, read.latency_ms, read.grace_seconds) == (False, 5.0, 3.0)
    assert read.pools[0].spot_micro_dollars_per_hour == dollars(0.03)
    assert read.pools[0].taints == ("gpu-only",)


def test_a_fleet_is_written_as_it_is_read(fleet: Fleet) -> None:
    assert documents.fleet_from(documents.fleet_mapping(fleet), name="x") == fleet


@pytest.mark.parametrize(
    ("text", "code", "part"),
    [
        (cluster(", zone: a"), "S002", "unknown key `zone`"),
        (cluster(", latency: 5 GiB"), "S006", "`GiB` is no unit of a round trip"),
        (cluster(", reachable: yes"), "S004", "`true` or `false` was expected, not 'yes'"),
        (cluster(", quota: {team: {gpus: 1}}"), "S002", "unknown key `gpus`"),
        (cluster(", transfer: {eu: 0.02 USD}"), "S006", "is not per GiB"),
        (cluster(pool=POOL.replace("0.1 USD", "0.1 EUR")), "S006", "`EUR` is no currency"),
        (cluster(pool=POOL.replace("cpu: 2, ", "")), "S003", "key `cpu` is missing in a pool"),
        (cluster(pool=POOL.replace("count: 2", "count: -2")), "S007", "negative"),
        (cluster().replace("aws", "asw"), "S005", "'asw' is no provider"),
        ("clusters: {}", "S004", "not an empty one"),
    ],
)
def test_faults_of_a_fleet_are_named(fleet_faults: Faults, text: str, code: str, part: str) -> None:
    (fault,) = fleet_faults(text)
    assert fault.code == code
    assert part in fault.message


def test_all_faults_of_a_fleet_come_at_once(fleet_faults: Faults) -> None:
    pool = POOL.replace("8 GiB", "8 ms").replace("count: 2", "count: many")
    assert len(fleet_faults(cluster(", latency: x", pool))) == 3


def test_a_pool_can_be_read_by_itself(fleet: Fleet) -> None:
    pool = fleet.clusters[0].pools[0]
    assert documents.pool_from(pool.name, documents.pool_mapping(pool), name="x") == pool


def test_faults_of_a_pool_by_itself_are_named() -> None:
    with pytest.raises(InvalidInputError, match="is missing in a pool"):
        documents.pool_from("p", {"machine": "m"}, name="x")


def test_a_pipeline_is_checked_against_a_fleet(fleet: Fleet) -> None:
    text = (
        "pipeline: p\n"
        "limits: {regions: [eu, mars, westeurop], providers: [gcp, aws]}\n"
        "tasks: {a: {kind: train, gpu: {kind: a100}}, b: {kind: train, gpu: {kind: H200}}}"
    )
    spec = documents.read_pipeline(text, name="x", as_of=0.0)
    found = {fault.path: fault.candidates for fault in documents.check_against(spec, fleet)}
    assert found == {
        "limits.regions[1]": (),
        "limits.regions[2]": ("westeurope", "northeurope"),
        "limits.providers[0]": (),
        "tasks.b.gpu.kind": ("H100",),
    }


def test_names_that_a_fleet_has_not_are_told_with_all_other_faults(fleet: Fleet) -> None:
    text = (
        "pipeline: p\n"
        "limits: {regions: [mars], providers: [azur]}\n"
        "tasks:\n"
        "  a: {kind: etl, volum: 4 GiB, data in: berlin-2}\n"
        "  b: {kind: train, gpu: {kind: H200}, each: {seed: [1, 2]}}\n"
        "  c: {kind: train, gpu: 1, after: b}\n"
    )
    with pytest.raises(InvalidInputError) as caught:
        documents.read_pipeline(text, name="x", as_of=0.0, fleet=fleet)
    assert [(fault.code, fault.line) for fault in caught.value.faults] == [
        ("S016", 2),
        ("S005", 2),
        ("S002", 4),
        ("S016", 4),
        ("S016", 5),
    ]
    with pytest.raises(InvalidInputError) as caught:
        documents.pipeline_from({"limits": {"regions": "mars"}}, name="x", fleet=fleet)
    assert "limits.regions" in {fault.path for fault in caught.value.faults}


def test_data_must_lie_in_a_cluster_of_the_fleet(fleet: Fleet) -> None:
    text = (
        "pipeline: p\ntasks: {a: {kind: etl, data in: berlin-2}, b: {kind: etl, data in: berlin-1}}"
    )
    spec = documents.read_pipeline(text, name="x", as_of=0.0)
    (fault,) = documents.check_against(spec, fleet)
    assert (fault.path, fault.candidates[0]) == ("tasks.a.data in", "berlin-1")
    assert "has the name 'berlin-2'" in fault.message


@pytest.mark.parametrize(
    ("folder", "fix"),
    [("/pipe", "put it into '/pipe', or"), ("", "give the pipeline a `folder`, or")],
)
def test_what_no_cluster_of_the_fleet_can_read_is_said(fleet: Fleet, folder: str, fix: str) -> None:
    text = "pipeline: p\ntasks: {a: {kind: etl, reads: ../rows.csv}, b: {kind: etl}}"
    spec = replace(documents.read_pipeline(text, name="x", as_of=0.0), folder=folder)
    first, *others = fleet.clusters
    apart = replace(first, reads_outside=False)
    assert documents.check_against(spec, Fleet(clusters=(apart, *others))) == ()
    assert documents.check_against(spec, Fleet(clusters=())) == ()
    (fault,) = documents.check_against(spec, Fleet(clusters=(apart,)))
    assert (fault.code, fault.path) == ("S016", "tasks.a.reads")
    assert "no cluster of the fleet reads '../rows.csv'" in fault.message
    assert fault.fix.startswith(fix)


def test_what_a_fleet_has_not_at_all_is_said() -> None:
    fleet = documents.read_fleet(cluster(), name="x")
    text = "pipeline: p\ntasks: {a: {kind: train, gpu: {kind: A100}}}"
    spec = documents.read_pipeline(text, name="x", as_of=0.0)
    (fault,) = documents.check_against(spec, fleet)
    assert fault.fix == "the fleet has: none"
