"""Which machines fit a task, cheapest median run first, and which GPU models would do."""

from __future__ import annotations

from collections.abc import Mapping

from engine.model.fleet import Fleet, NodeShape
from engine.model.profiles import MachineFit, Quantiles
from engine.model.resources import Resource

_HOUR = 3_600.0


def gpu_models(fleet: Fleet, memory_gib: float) -> tuple[str, ...]:
    """Return the fleet's GPU models with so much memory, cheapest GPU-hour first."""
    prices: dict[str, float] = {}
    for cluster in fleet.clusters:
        for pool in cluster.pools:
            shape = pool.shape
            if shape.gpu_count and shape.gpu_memory_gib >= memory_gib:
                price = pool.price_micro_dollars_per_hour / shape.gpu_count
                prices[shape.gpu_model] = min(price, prices.get(shape.gpu_model, price))
    return tuple(sorted(prices, key=lambda model: (prices[model], model)))


def machines_that_fit(
    fleet: Fleet,
    needs: Mapping[Resource, float],
    models: tuple[str, ...],
    duration: Quantiles | None,
    replicas: int,
) -> tuple[MachineFit, ...]:
    """Return every pool whose node holds the task, or one of its replicas.

    The median run costs the dominant share of a node for its time there; a serve task (no
    duration) costs all its replicas for an hour.

    Args:
        fleet: All clusters; whether they are reachable or allowed is for placement to say.
        needs: Peak of each resource, of all replicas together.
        models: GPU models that would do; empty when none is needed.
        duration: In reference seconds.
        replicas: Processes that share the needs evenly.
    """
    fits: list[MachineFit] = []
    gpus = needs.get(Resource.GPU, 0.0)
    for cluster in fleet.clusters:
        for pool in cluster.pools:
            share = _share(pool.shape, needs, replicas)
            if share > 1.0 or (models and pool.shape.gpu_model not in models):
                continue
            seconds = None if duration is None else duration.p50 / pool.speed_of(gpus)
            hours = 1.0 if seconds is None else seconds / _HOUR
            cost = pool.price_micro_dollars_per_hour * share * replicas * hours
            fits.append(
                MachineFit(
                    machine=pool.shape.machine,
                    cluster=cluster.name,
                    pool=pool.name,
                    duration_seconds_p50=seconds,
                    cost_micro_dollars=round(cost),
                )
            )
    return tuple(sorted(fits, key=lambda fit: (fit.cost_micro_dollars, fit.cluster, fit.pool)))


def _share(shape: NodeShape, needs: Mapping[Resource, float], replicas: int) -> float:
    """Return the dominant share of a node that one replica takes; above 1 when it does not fit.

    GPU memory is per GPU and is not shared out: it fits or does not.
    """
    shares = [0.0]
    for resource, needed in needs.items():
        has = shape.resources.of(resource)
        if needed > 0 and resource is Resource.GPU_MEMORY:
            shares.append(0.0 if has >= needed else 2.0)
        elif needed > 0:
            shares.append(needed / replicas / has if has > 0 else 2.0)
    return max(shares)
