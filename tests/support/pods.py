"""Nodes and pods for tests of packing: small amounts that are easily full."""

from __future__ import annotations

import random

from placement.packing.histogram import Histogram
from placement.packing.nodes import Binding, Node, PodShape
from placement.packing.packer import Packer
from placement.packing.policies import FillSettings, Policy

QUICK = FillSettings(streams=4, length=8)


def node(name: str, *, gpus: int = 2, cpus: int = 16, model: str = "T4") -> Node:
    return Node(name=name, cpu_milli=cpus * 1000, memory_mib=65536, gpus=gpus, model=model)


def shape(
    *, cpus: int = 1, gpus: int = 1, milli: int = 1000, models: tuple[str, ...] = ()
) -> PodShape:
    return PodShape(
        cpu_milli=cpus * 1000,
        memory_mib=1024,
        gpus=gpus,
        gpu_milli=milli if gpus else 0,
        models=models,
    )


SHAPES = (
    shape(milli=500),
    shape(milli=300, cpus=4),
    shape(milli=200),
    shape(cpus=2),
    shape(gpus=2),
    shape(gpus=0, cpus=6),
    shape(milli=700, models=("T4",)),
    shape(milli=400, models=("V100", "T4")),
)


def nodes(chance: random.Random, count: int = 4) -> list[Node]:
    return [
        node(
            f"n{number}",
            gpus=chance.choice((0, 1, 2, 4)),
            cpus=chance.choice((4, 8, 16)),
            model=chance.choice(("T4", "V100")),
        )
        for number in range(count)
    ]


def packer(given: list[Node], policy: Policy = Policy.FILL) -> Packer:
    return Packer(given, Histogram.of(SHAPES), policy=policy, settings=QUICK)


def room(packed: Packer) -> tuple[list[int], ...]:
    """What is left, without the versions."""
    left = packed.room
    return (
        left.cpu_milli.tolist(),
        left.memory_mib.tolist(),
        left.pods.tolist(),
        left.devices_milli.tolist(),
    )


def by_name(packed: Packer) -> dict[str, Binding]:
    return dict(packed.bindings)
