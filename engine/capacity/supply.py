"""What a fleet has of a GPU model, and what one more node of it costs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.model.fleet import Cluster, Fleet, NodeShape, Pool, Provider
from engine.model.identifiers import FREE, MicroDollars

_NOISE = re.compile(r"NVIDIA|TESLA|SXM\d?|PCIE|NVL\d*")
_MEMORY = re.compile(r"(\d+)(?:GB|GIB)?")
_MODEL = re.compile(r"[A-Z]{1,3}\d+[A-Z]?")
_MEMORY_TOLERANCE = 0.15
"""Sellers count in GB, machines in GiB, and drivers keep some for themselves."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The cheapest way to one more node of a model.

    price_micro_dollars_per_hour: of a whole node; owned: on premises, so bought, not rented.
    """

    machine: str
    units_per_node: int
    price_micro_dollars_per_hour: MicroDollars
    owned: bool


@dataclass(frozen=True, slots=True)
class Supply:
    """Units of a model over all clusters; `offer` is None where the fleet has none."""

    units: float
    offer: Offer | None


def supply_of(fleet: Fleet, pool: str) -> Supply:
    """Return the fleet's supply of a GPU model, whatever way its name is written.

    Clusters that do not answer count: a report looks weeks ahead.
    """
    model, memory = _parts(pool)
    found = [
        (cluster, each)
        for cluster in fleet.clusters
        for each in cluster.pools
        if each.shape.gpu_count and _is(each.shape, model, memory)
    ]
    units = sum(each.node_count * each.shape.gpu_count for _, each in found)
    offers = sorted(
        (_offer(cluster, each) for cluster, each in found),
        key=lambda o: (o.price_micro_dollars_per_hour / o.units_per_node, o.machine),
    )
    return Supply(float(units), offers[0] if offers else None)


def unit_price(offer: Offer | None) -> MicroDollars:
    """Return the price of one unit for an hour; nothing where there is no offer."""
    if offer is None:
        return FREE
    return MicroDollars(round(offer.price_micro_dollars_per_hour / offer.units_per_node))


def _offer(cluster: Cluster, pool: Pool) -> Offer:
    """Return one pool as an offer of more of its nodes."""
    return Offer(
        machine=pool.shape.machine,
        units_per_node=pool.shape.gpu_count,
        price_micro_dollars_per_hour=pool.price_micro_dollars_per_hour,
        owned=cluster.provider is Provider.ON_PREMISES,
    )


def _is(shape: NodeShape, model: str, memory: float | None) -> bool:
    """Return whether a node has GPUs of this model, and of this memory where it is named."""
    if _parts(shape.gpu_model)[0] != model:
        return False
    return memory is None or abs(shape.gpu_memory_gib - memory) <= _MEMORY_TOLERANCE * memory


def _parts(name: str) -> tuple[str, float | None]:
    """Return model and GiB of memory: `NVIDIA A100-SXM4-80GB` and `a100-80` are the same."""
    words = [word for word in re.split(r"[\s_-]+", name.upper()) if not _NOISE.fullmatch(word)]
    memory = _MEMORY.fullmatch(words[-1]) if words else None
    if len(words) > 1 and memory and _MODEL.fullmatch(words[0]):
        return "-".join(words[:-1]), float(memory.group(1))
    return "-".join(words), None
