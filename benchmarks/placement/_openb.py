"""The openb traces and the protocol of FGD (ATC '23): what arrives, in which order, what counts.

The published orders come from Go's generator and are read from a file. A trace or seed that is
not in it gets an order of our own, drawn in the same way by another generator.
"""

import csv
import dataclasses
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import frame
from placement.packing.nodes import Node, PodShape

FOLDER = "placement/openb/"
POD_LISTS = FOLDER + "openb_pod_list_*.csv"
ARRIVED_PERCENT = 130
PODS_MAX = 1001
CLONES_MAX = 1_000_000
WHOLE_MILLI = 1000
PUBLISHED_POLICIES = {"fgd": "06-FGD", "bestfit": "05-BestFit"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One list of pods: the shape of each, sorted by name."""

    name: str
    shapes: tuple[PodShape, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """One replay's input.

    Attributes:
        pods: Indices into the trace's shapes, in the order of arrival.
        nodes: Nodes in the order in which ties are broken.
        published: Whether the order is the published one.
    """

    pods: NDArray[np.int64]
    nodes: tuple[Node, ...]
    published: bool


def read_nodes(context: frame.Context) -> list[Node]:
    """Returns the nodes that have GPUs, sorted by name."""
    path = context.file(FOLDER + "openb_node_list_*.csv")
    with path.open(encoding="utf-8", newline="") as lines:
        nodes = [
            Node(
                name=row["sn"],
                cpu_milli=int(row["cpu_milli"]),
                memory_mib=int(row["memory_mib"]),
                gpus=int(row["gpu"]),
                model=row["model"],
                pods_max=PODS_MAX,
            )
            for row in csv.DictReader(lines)
            if int(row["gpu"]) > 0
        ]
    return sorted(nodes, key=lambda node: node.name)


def read_trace(path: Path) -> Trace:
    """Reads one list of pods; `gpu_spec` and the columns of time may be missing."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = sorted(csv.DictReader(lines), key=lambda row: row["name"])
    name = path.stem.removeprefix("openb_pod_list_")
    return Trace(name=name, shapes=tuple(_shape(row) for row in rows))


def _shape(row: dict[str, str]) -> PodShape:
    gpus = int(row["num_gpu"])
    models = (row.get("gpu_spec") or "").split("|")
    return PodShape(
        cpu_milli=int(row["cpu_milli"]),
        memory_mib=int(row["memory_mib"]),
        gpus=gpus,
        gpu_milli=int(row["gpu_milli"]) if gpus else 0,
        models=tuple(model for model in models if model),
    )


def arrivals(context: frame.Context, trace: Trace, nodes: Sequence[Node], seed: int) -> Arrivals:
    """Returns the published order of a trace and seed, or one of our own."""
    key = f"{trace.name}_{seed}"
    paths = sorted(context.data.glob(FOLDER + "event_orders*.npz"))
    for path in paths:
        with np.load(path) as orders:
            names = (f"{key}/order", f"{key}/noderank")
            if all(name in orders.files for name in names):
                order, rank = (orders[name].astype(np.int64) for name in names)
                if len(rank) == len(nodes) and order.max() < len(trace.shapes):
                    return _arrivals(order, nodes, np.argsort(rank), published=True)
    generator = np.random.default_rng([seed, zlib.crc32(trace.name.encode())])
    order = _tuned(trace, sum(node.gpus for node in nodes) * WHOLE_MILLI, generator)
    return _arrivals(order, nodes, generator.permutation(len(nodes)), published=False)


def _arrivals(
    order: NDArray[np.int64], nodes: Sequence[Node], ranked: NDArray[np.int64], *, published: bool
) -> Arrivals:
    return Arrivals(pods=order, nodes=tuple(nodes[i] for i in ranked), published=published)


def _tuned(trace: Trace, total_milli: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Returns a random order, with clones or gaps so that 130 % of the GPUs are asked for.

    As published, clones stop by the milli of one of a pod's GPUs, not of all of them.
    """
    target = total_milli * ARRIVED_PERCENT // 100
    order = list(generator.permutation(len(trace.shapes)))
    asked = sum(shape.total_gpu_milli for shape in trace.shapes)
    while asked > target and order:
        gone = order.pop(int(generator.integers(len(order))))
        asked -= trace.shapes[gone].total_gpu_milli
    for _ in range(CLONES_MAX):
        clone = int(generator.integers(len(trace.shapes)))
        if asked + trace.shapes[clone].gpu_milli > target:
            break
        order.append(clone)
        asked += trace.shapes[clone].total_gpu_milli
    return np.array(order, dtype=np.int64)


def expected(
    context: frame.Context, column: str, *, kind: str
) -> dict[tuple[str, str, int], float]:
    """Returns published values by trace, policy and seed; `kind` is "alloc" or "frag"."""
    found = {}
    for path in sorted(context.data.glob(f"{FOLDER}expected_{kind}*.csv")):
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                trace = row["workload"].removeprefix("openb_pod_list_")
                for policy, published in PUBLISHED_POLICIES.items():
                    if row["sc_policy"] == published and row.get(column):
                        found[trace, policy, int(row["seed"])] = float(row[column])
    return found


def in_bucket(values: Iterable[float], arrived: Sequence[float], percent: int) -> list[float]:
    """Returns the values of events whose arrived percentage rounds to this one, or next to it.

    Where pods are so large against the cluster that none comes near, the nearest count.
    """
    pairs = [
        (value, abs(round(share, 0) - percent))
        for value, share in zip(values, arrived, strict=True)
    ]
    exact = [value for value, distance in pairs if distance == 0]
    nearest = max(1.0, min(distance for _, distance in pairs))
    return exact or [value for value, distance in pairs if distance <= nearest]
