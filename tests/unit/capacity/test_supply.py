"""The fleet's supply of a GPU model is found whatever way its name is written."""

from __future__ import annotations

import pytest

from engine.capacity.supply import supply_of, unit_price
from engine.model.fleet import Cluster, Fleet, NodeShape, Pool, Provider
from engine.model.identifiers import ClusterName, MicroDollars, PoolName


def pool(
    model: str, *, memory: float = 80.0, nodes: int = 3, gpus: int = 4, price: int = 8
) -> Pool:
    shape = NodeShape(
        machine=f"{model or 'cpu'}x{gpus}",
        cpu_cores=8,
        memory_gib=64,
        gpu_model=model,
        gpu_count=gpus,
        gpu_memory_gib=memory,
    )
    dollars = MicroDollars(price * 1_000_000)
    return Pool(
        name=PoolName("p"), shape=shape, node_count=nodes, price_micro_dollars_per_hour=dollars
    )


def fleet(*pools: Pool, provider: Provider = Provider.AWS) -> Fleet:
    return Fleet(
        clusters=tuple(
            Cluster(
                name=ClusterName(f"c{number}"),
                provider=provider,
                region="r",
                continent="eu",
                pools=(each,),
            )
            for number, each in enumerate(pools)
        )
    )


@pytest.mark.parametrize(
    "name",
    ["A100", "a100-80", "A100-SXM4-80GB", "NVIDIA A100 80GB", "nvidia_tesla_a100_pcie_80GiB"],
)
def test_a_name_may_be_written_in_many_ways(name: str) -> None:
    assert supply_of(fleet(pool("A100")), name).units == 12.0


@pytest.mark.parametrize("name", ["A100-40", "A10", "A800-SXM4-80GB", "GPU-series-1", "", "80"])
def test_another_model_or_memory_is_another_pool(name: str) -> None:
    found = supply_of(fleet(pool("A100"), pool("GPU-series-2")), name)
    assert (found.units, found.offer) == (0.0, None)


def test_a_number_in_a_name_is_not_always_memory() -> None:
    assert supply_of(fleet(pool("GPU-series-1", memory=96)), "GPU-series-1").units == 12.0


def test_supply_is_the_sum_over_clusters() -> None:
    assert supply_of(fleet(pool("T4"), pool("T4", nodes=2, gpus=1)), "T4").units == 14.0


def test_nodes_without_gpus_are_no_supply() -> None:
    assert supply_of(fleet(pool("", gpus=0)), "").units == 0.0


def test_the_cheapest_unit_is_offered() -> None:
    found = supply_of(fleet(pool("T4", price=8), pool("T4", gpus=1, price=1)), "T4")
    assert found.offer is not None
    assert (found.offer.machine, found.offer.owned) == ("T4x1", False)
    assert unit_price(found.offer) == 1_000_000


def test_machines_on_premises_are_owned() -> None:
    found = supply_of(fleet(pool("T4"), provider=Provider.ON_PREMISES), "T4")
    assert found.offer is not None
    assert found.offer.owned


def test_what_nobody_offers_has_no_price() -> None:
    assert unit_price(None) == 0
