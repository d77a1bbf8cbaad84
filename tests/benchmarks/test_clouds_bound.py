"""The bound on what any plan of all clouds can cost, on worlds whose best plan is plain to see."""

import pytest

from benchmarks.placement import _clouds_bound as bound
from benchmarks.placement._clouds_world import Pipeline, Pool, Task, World


def world(*, deadline_hour: float) -> World:
    """Two runs of two hours that each need a whole node: one node is cheap, the other dear."""
    pools = tuple(
        Pool(
            index=index,
            cluster=cluster,
            name="node",
            continent="eu",
            room=(4.0, 16.0, 0.0),
            gpu_model="",
            gpu_memory_gib=0.0,
            nodes=1,
            usd_per_hour=price,
        )
        for index, (cluster, price) in enumerate((("cheap", 1.0), ("dear", 3.0)))
    )
    task = Task(
        name="t",
        kind="etl",
        after=None,
        work_hours=8.0,
        needs=(4.0, 8.0, 0.0),
        gpu_memory_gib=0.0,
        output_gb=0.0,
    )
    pipelines = tuple(
        Pipeline(
            name=name,
            data_cluster="cheap",
            data_gb=10.0,
            continents=(),
            earliest_hour=0.0,
            deadline_hour=deadline_hour,
            weight=1.0,
            tasks=(task,),
        )
        for name in "pq"
    )
    free = {name: {"cheap": 0.0, "dear": 0.05} for name in ("cheap", "dear")}
    return World(
        name="two",
        pools=pools,
        pipelines=pipelines,
        transfer_usd_per_gb=free,
        gpu_speed={},
        raw={},
    )


@pytest.mark.parametrize(
    ("deadline_hour", "usd"),
    [
        (2.0, 2.0 + 6.0 + 0.5),  # one of them has to go where it is dear, with its data
        (4.0, 2.0 + 2.0),  # one after the other
    ],
)
def test_room_over_time_bounds_what_all_pipelines_cost(deadline_hour: float, usd: float) -> None:
    found = bound.least_usd(world(deadline_hour=deadline_hour), {"p": 2.0, "q": 2.0})
    assert found == pytest.approx(usd)


def test_no_pipeline_costs_less_than_alone_and_only_those_named_count() -> None:
    assert bound.least_usd(world(deadline_hour=4.0), {"p": 3.0}) == pytest.approx(3.0)
