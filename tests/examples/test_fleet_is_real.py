"""The example fleet has the shapes, prices and transfer costs of the published tables beside it."""

import csv
from pathlib import Path

import pytest

from engine.documents import fleets
from engine.model.fleet import Cluster, Fleet, Pool, Provider

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MICRO = 1_000_000


def read(name: str) -> list[dict[str, str]]:
    with (EXAMPLES / "data" / name).open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def example_fleet() -> Fleet:
    text = (EXAMPLES / "fleet.yaml").read_text(encoding="utf-8")
    return fleets.read_fleet(text, name="fleet.yaml")


FLEET = example_fleet()
MACHINES = {(row["provider"], row["region"], row["machine"]): row for row in read("machines.csv")}
IN_CLOUDS = [c for c in FLEET.clusters if c.provider is not Provider.ON_PREMISES]
CLOUD_POOLS = [pytest.param(c, p, id=f"{c.name}-{p.name}") for c in IN_CLOUDS for p in c.pools]


def test_there_are_five_clusters_in_three_regions_of_two_clouds_and_one_on_premises() -> None:
    assert len(IN_CLOUDS) >= 5
    assert len({cluster.region for cluster in IN_CLOUDS}) >= 3
    assert {cluster.provider for cluster in IN_CLOUDS} == {Provider.AWS, Provider.AZURE}
    assert len(FLEET.clusters) > len(IN_CLOUDS)


@pytest.mark.parametrize(("cluster", "pool"), CLOUD_POOLS)
def test_price_is_the_published_one(cluster: Cluster, pool: Pool) -> None:
    row = MACHINES[cluster.provider.value, cluster.region, pool.shape.machine]
    assert pool.price_micro_dollars_per_hour == round(float(row["usd_per_hour"]) * MICRO)


@pytest.mark.parametrize(("cluster", "pool"), CLOUD_POOLS)
def test_shape_is_the_published_one(cluster: Cluster, pool: Pool) -> None:
    row = MACHINES[cluster.provider.value, cluster.region, pool.shape.machine]
    shape = pool.shape
    assert shape.cpu_cores == float(row["cpu_cores"])
    assert shape.memory_gib == float(row["memory_gib"])
    assert (shape.gpu_model, shape.gpu_count) == (row["gpu_model"], int(row["gpu_count"]))
    assert shape.gpu_memory_gib == pytest.approx(float(row["gpu_memory_gib"]), abs=0.01)
    if row["network_mbps"]:
        assert shape.network_mbps == float(row["network_mbps"])


@pytest.mark.parametrize("cluster", IN_CLOUDS, ids=lambda cluster: str(cluster.name))
def test_moving_data_out_costs_what_the_tables_say(cluster: Cluster) -> None:
    rows = {(r["provider"], r["source"], r["destination"]): r for r in read("transfer-costs.csv")}
    regions = {other.region: other.provider for other in FLEET.clusters}
    for receiver, price in cluster.transfer_micro_dollars_per_gib.items():
        inside = regions[receiver] is cluster.provider
        if cluster.provider is Provider.AZURE:
            key = ("azure", "europe", "europe" if inside else "internet")
        else:
            key = ("aws", cluster.region, receiver if inside else "internet")
        assert price == round(float(rows[key]["usd_per_gb"]) * MICRO), receiver
