"""What moving data between regions costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.model.fleet import Cluster
from engine.model.specs import TaskKind, TaskSpec
from placement.problem.branches import in_order

_HANDS_ON = {TaskKind.ETL, TaskKind.FEATURES}
# What training and packaging hand on is a model: small beside the data it was made from.


def price_per_gib(source: Cluster, target: Cluster) -> int:
    """Return micro-dollars for a GiB; inside a region and where no price is given, nothing."""
    if source.region == target.region:
        return 0
    prices = source.transfer_micro_dollars_per_gib
    return int(prices.get(target.region, prices.get(target.continent, 0)))


def volumes(tasks: Sequence[TaskSpec]) -> Mapping[str, float]:
    """Return the GiB each task hands on: as stated, else its volume, else that of what it reads."""
    handed: dict[str, float] = {}
    for task in in_order(tasks):
        upstream = max((handed.get(name, 0.0) for name in task.after), default=0.0)
        own = upstream if task.volume_gib is None else task.volume_gib
        if task.output_gib is not None:
            handed[task.name] = task.output_gib
        else:
            handed[task.name] = own if task.kind in _HANDS_ON else 0.0
    return handed


def cost(volume_gib: float, probability: float, source: Cluster, target: Cluster) -> int:
    """Return the expected micro-dollars of one move of data."""
    return round(volume_gib * probability * price_per_gib(source, target))
