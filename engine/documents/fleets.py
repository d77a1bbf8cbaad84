"""Fleets from YAML: clusters of pools of nodes, with prices."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from engine.documents.codecs.base import Flag, Schema, Text, Whole, Word
from engine.documents.codecs.containers import Listed, Mapped
from engine.documents.codecs.forms import Field, Form, Named, Values, present
from engine.documents.codecs.money import PER_GIB, PER_HOUR
from engine.documents.codecs.quantities import (
    AVAILABILITY,
    CPU,
    DISK,
    GPU_MEMORY,
    GRACE,
    MEMORY,
    NETWORK,
    ROUND_TRIP,
    Quantity,
)
from engine.documents.sources import Node, TroubleError, from_plain
from engine.documents.yaml_text import parse_yaml
from engine.model.errors import Fault, InvalidInputError
from engine.model.fleet import Cluster, Fleet, NodeShape, Pool, Provider
from engine.model.identifiers import ClusterName, PoolName
from engine.model.resources import Resource

INTERRUPTIONS = Quantity(
    "a number of interruptions", "0.05/h", {"/h": 1.0, "/day": 1 / 24}, "/h", 0, 1_000
)
SPEED = Quantity("a speed", "1.2", {"x": 1.0}, "x", 0.01, 100, bare=True)

GPUS = Form[dict[str, Any]](
    "the GPUs of a node",
    {
        "kind": Field(Text("a GPU model"), "GPU model", required=True),
        "count": Field(Whole(1, 64), "GPUs of a node", required=True),
        "memory": Field(GPU_MEMORY, "memory of each GPU", required=True),
    },
    dict,
    lambda v: v,
)


def _build_pool(values: Values) -> Pool:
    gpu: Values = values.get("gpu", {})
    shape = NodeShape(
        machine=values["machine"],
        cpu_cores=values["cpu"],
        memory_gib=values["memory"],
        **present(values, disk_gib="disk", network_mbps="network"),
        **present(gpu, gpu_model="kind", gpu_count="count", gpu_memory_gib="memory"),
    )
    return Pool(
        name=PoolName(""),
        shape=shape,
        node_count=values["count"],
        price_micro_dollars_per_hour=values["price"],
        **present(values, spot_micro_dollars_per_hour="spot", speed="speed", gpu_speed="gpu speed"),
        **present(values, taints="taints", interruptions_per_hour="interruptions"),
    )


def _take_pool(pool: Pool) -> Values:
    shape = pool.shape
    gpu = {"kind": shape.gpu_model, "count": shape.gpu_count, "memory": shape.gpu_memory_gib}
    return {
        "machine": shape.machine,
        "count": pool.node_count,
        "cpu": shape.cpu_cores,
        "memory": shape.memory_gib,
        "disk": shape.disk_gib,
        "network": shape.network_mbps,
        "gpu": gpu if shape.gpu_count else None,
        "price": pool.price_micro_dollars_per_hour,
        "spot": pool.spot_micro_dollars_per_hour,
        "speed": pool.speed,
        "gpu speed": pool.gpu_speed,
        "taints": pool.taints or None,
        "interruptions": pool.interruptions_per_hour or None,
    }


POOL = Form[Pool](
    "a pool",
    {
        "machine": Field(Text("a machine"), "kind of machine", required=True),
        "count": Field(Whole(0, 100_000), "nodes", required=True),
        "cpu": Field(CPU, "cores of a node", required=True),
        "memory": Field(MEMORY, "memory of a node", required=True),
        "disk": Field(DISK, "local disk of a node"),
        "network": Field(NETWORK, "bandwidth of a node"),
        "gpu": Field(GPUS, "GPUs of a node: `{kind: T4, count: 1, memory: 16 GiB}`"),
        "price": Field(PER_HOUR, "of a whole node, on demand: `0.34 USD per hour`", required=True),
        "spot": Field(PER_HOUR, "the same when it may be interrupted"),
        "speed": Field(SPEED, "reference seconds that pass in one second; 2 is twice as fast"),
        "gpu speed": Field(SPEED, "the same for tasks that use its GPUs"),
        "taints": Field(Listed(Text("a taint")), "what a task must tolerate"),
        "interruptions": Field(
            INTERRUPTIONS, "how often a node is taken away, of machines sold that way: `1/day`"
        ),
    },
    _build_pool,
    _take_pool,
)
POOLS = Named[Pool](
    POOL, lambda name, pool: dataclasses.replace(pool, name=PoolName(name)), lambda p: p.name, 1_000
)

_QUOTA = {
    Resource.CPU: CPU,
    Resource.MEMORY: MEMORY,
    Resource.GPU: Quantity("a number of GPUs", "8", {"GPUs": 1.0}, "GPUs", 0, 100_000, bare=True),
    Resource.DISK: DISK,
    Resource.NETWORK: NETWORK,
}
QUOTA = Form[dict[Resource, float]](
    "a quota",
    {item.value: Field(codec, f"most {item.value} at a time") for item, codec in _QUOTA.items()},
    lambda v: {Resource(key): value for key, value in v.items()},
    lambda q: {item.value: value for item, value in q.items()},
)


def _build_cluster(values: Values) -> Cluster:
    return Cluster(
        name=ClusterName(""),
        provider=Provider(values["provider"]),
        region=values["region"],
        continent=values["continent"],
        pools=values["pools"],
        **present(
            values,
            executor="executor",
            availability="availability",
            latency_ms="latency",
            reachable="reachable",
            serves="serves",
            grace_seconds="grace",
            transfer_micro_dollars_per_gib="transfer",
            quota="quota",
        ),
    )


CLUSTER = Form[Cluster](
    "a cluster",
    {
        "provider": Field(Word(tuple(Provider), "provider"), "who owns it", required=True),
        "region": Field(Text("a region"), "the provider's name of its region", required=True),
        "continent": Field(
            Text("a continent"), "`eu`, `us`, ...: stands for regions", required=True
        ),
        "executor": Field(
            Text("an executor"), "what runs its tasks: `local`, `containers`, `kubernetes`"
        ),
        "availability": Field(AVAILABILITY, "share of 30 days in which it answers"),
        "latency": Field(ROUND_TRIP, "round trip between callers and servers"),
        "reachable": Field(Flag(), "false keeps tasks away"),
        "serves": Field(Flag(), "false keeps services away"),
        "grace": Field(GRACE, "longest time in which a stopped process may live on"),
        "transfer": Field(Mapped(PER_GIB, "prices by region"), "moving data out, by receiver"),
        "quota": Field(Mapped(QUOTA, "quotas by owner"), "most that one owner may hold"),
        "pools": Field(POOLS, "nodes of one shape each, by name", required=True),
    },
    _build_cluster,
    lambda c: {
        "provider": c.provider,
        "region": c.region,
        "continent": c.continent,
        "executor": c.executor,
        "availability": c.availability,
        "latency": c.latency_ms,
        "reachable": c.reachable,
        "serves": None if c.serves else False,
        "grace": c.grace_seconds,
        "transfer": c.transfer_micro_dollars_per_gib or None,
        "quota": c.quota or None,
        "pools": c.pools,
    },
)
CLUSTERS = Named[Cluster](
    CLUSTER,
    lambda name, cluster: dataclasses.replace(cluster, name=ClusterName(name)),
    lambda c: c.name,
    1_000,
)

FLEET = Form[Fleet](
    "a fleet",
    {"clusters": Field(CLUSTERS, "clusters by name", required=True)},
    lambda v: Fleet(clusters=v["clusters"]),
    lambda f: {"clusters": f.clusters},
)


def read_fleet(text: str, *, name: str) -> Fleet:
    """Read a fleet from YAML.

    Raises:
        InvalidInputError: with all faults, each with line, column, caret length and code.
    """
    root, faults = parse_yaml(text, name)
    return _fleet(root, name, faults)


def fleet_from(mapping: Mapping[str, object], *, name: str) -> Fleet:
    """Read a fleet from plain data.

    Raises:
        InvalidInputError: with all faults, each placed by its path.
    """
    return _fleet(from_plain(mapping, name), name, [])


def _fleet(root: Node, name: str, faults: list[Fault]) -> Fleet:
    values = FLEET.gather(root, faults)
    if faults:
        raise InvalidInputError(name, sorted(faults, key=lambda item: (item.line, item.column)))
    return FLEET.build(values)


def fleet_mapping(fleet: Fleet) -> dict[str, object]:
    """Return a fleet as plain data that `fleet_from` reads back as the same value."""
    return FLEET.write(fleet)


def pool_from(pool: str, mapping: Mapping[str, object], *, name: str) -> Pool:
    """Read one pool from plain data.

    Raises:
        InvalidInputError: with all faults, each placed by its path.
    """
    try:
        return dataclasses.replace(POOL.read(from_plain(mapping, name)), name=PoolName(pool))
    except TroubleError as error:
        raise InvalidInputError(name, error.faults) from error


def pool_mapping(pool: Pool) -> dict[str, object]:
    """Return a pool as plain data that `pool_from` reads back as the same value."""
    return POOL.write(pool)


def fleet_schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of a fleet document."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://berth.invalid/schema/fleet.json",
        "title": "Berth fleet",
        **FLEET.schema(),
    }
