"""A capacity report of one pool that runs short, and the fleet it is about."""

from __future__ import annotations

from api.report import provisioning
from engine.capacity.options import Assumptions, answer, options_for
from engine.capacity.supply import supply_of
from engine.model.capacity import CapacityReport, DemandForecast, PoolOutlook
from engine.model.fleet import Cluster, Fleet, NodeShape, Pool, Provider

SHAPE = NodeShape(
    machine="p4d.24xlarge",
    cpu_cores=96.0,
    memory_gib=1152.0,
    gpu_count=8,
    gpu_memory_gib=40.0,
    gpu_model="A100",
)
CHOSEN = provisioning.NodeClass()


def fleet(provider: Provider = Provider.AWS) -> Fleet:
    """Return a fleet of two nodes with eight GPUs each."""
    pool = Pool(name="gpu", shape=SHAPE, node_count=2, price_micro_dollars_per_hour=32_000_000)
    cluster = Cluster(name="east", provider=provider, region="r", continent="us", pools=(pool,))
    return Fleet(clusters=(cluster,))


def report(
    peak: float, provider: Provider = Provider.AWS, name: str = "NVIDIA A100/40 GB"
) -> CapacityReport:
    """Return a report whose demand peaks at so many GPUs, where there are sixteen."""
    demand = [10.0] * 23 + [peak]
    supply = supply_of(fleet(provider), "A100")
    options = options_for(demand, 16.0, supply.offer, Assumptions(flexible_share=0.0))
    forecast = DemandForecast(
        pool=name, unit="GPU", starts_at=0.0, hours=(), method="m", mase=0.5, coverage={}
    )
    outlook = PoolOutlook(
        pool=name,
        unit="GPU",
        supply=16.0,
        machine=SHAPE.machine,
        price_micro_dollars_per_unit_hour=4_000_000,
        history=(),
        forecast=forecast,
        short_from=82_800.0 if peak > 16 else None,
        short_by=max(0.0, peak - 16),
        hours_short=int(peak > 16),
        options=options,
        answer=answer(options),
    )
    return CapacityReport(
        report_id="c-a",
        version="0",
        as_of=0.0,
        horizon_hours=24,
        seed=0,
        source="demand.csv",
        pools=(outlook,),
        verdict="",
    )
