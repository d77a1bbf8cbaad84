"""Clouds with pipelines, as their file defines them: pools, tasks, run times, money.

Nothing here knows Berth: the anchor plans on this and the checker judges every plan by it.

* A task runs on nodes of one pool, from its start to its end, without a break: on one node, or,
  when it needs several GPUs and no node there has as many, in equal parts on the fewest nodes
  that hold it, all at once. It holds its cores, memory and GPUs there; each of its GPUs must have
  the memory asked for.
* `cpu_hours` are shared by the task's cores; `gpu_hours_on_t4` by its GPUs, which are as many
  times faster than a T4 as the file says of their model.
* Money is the dominant share of each node times its price times the run time, and the data that
  move: the input from where it lies, and each task's output to where it is read.
* A pipeline starts no earlier than its hour, must end by its deadline, and stays on the
  continents of its residency. It is kept when all its tasks run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.frame import BenchmarkError

Amounts = tuple[float, float, float]
"""Cores, GiB of memory, GPUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Nodes of one kind in one cluster; `room` is what one node has."""

    index: int
    cluster: str
    name: str
    continent: str
    room: Amounts
    gpu_model: str
    gpu_memory_gib: float
    nodes: int
    usd_per_hour: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task; `work_hours` are core-hours, or hours of a T4 when it needs GPUs."""

    name: str
    kind: str
    after: str | None
    work_hours: float
    needs: Amounts
    gpu_memory_gib: float
    output_gb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One pipeline: a chain of tasks over data that lie somewhere."""

    name: str
    data_cluster: str
    data_gb: float
    continents: tuple[str, ...]
    earliest_hour: float
    deadline_hour: float
    weight: float
    tasks: tuple[Task, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A task on a pool: how long it runs there and what that costs, without moves of data.

    part: what it holds of each of so many nodes.
    """

    pool: Pool
    nodes: int
    part: Amounts
    hours: float
    usd: float


@dataclass(frozen=True)
class World:
    """One file."""

    name: str
    pools: tuple[Pool, ...]
    pipelines: tuple[Pipeline, ...]
    transfer_usd_per_gb: Mapping[str, Mapping[str, float]]
    gpu_speed: Mapping[str, float]
    raw: Mapping[str, Any]

    @cached_property
    def ways(self) -> dict[tuple[str, str], tuple[Way, ...]]:
        """By pipeline and task the pools that an empty world would let it run on."""
        return {
            (pipeline.name, task.name): tuple(
                way for pool in self.pools if (way := self._way(pipeline, task, pool)) is not None
            )
            for pipeline in self.pipelines
            for task in pipeline.tasks
        }

    def moved_usd(self, gigabytes: float, source: str, target: str) -> float:
        """Return what moving data from one cluster to another costs."""
        return gigabytes * self.transfer_usd_per_gb[source][target]

    def read_usd(self, pipeline: Pipeline, position: int, source: str, target: str) -> float:
        """Return what a task pays for its input, which lies in `source`, when it runs in `target`.

        position: of the task in the chain; the first reads the pipeline's data.
        """
        volume = pipeline.tasks[position - 1].output_gb if position else pipeline.data_gb
        return self.moved_usd(volume, source, target)

    def _way(self, pipeline: Pipeline, task: Task, pool: Pool) -> Way | None:
        if pipeline.continents and pool.continent not in pipeline.continents:
            return None
        gpus = task.needs[2]
        if gpus and pool.gpu_memory_gib < task.gpu_memory_gib:
            return None
        parts = ((nodes, _part(task, nodes)) for nodes in range(1, max(int(gpus), 1) + 1))
        nodes, part = next(
            (way for way in parts if all(n <= h for n, h in zip(way[1], pool.room, strict=True))),
            (0, task.needs),
        )
        if not 0 < nodes <= pool.nodes:
            return None
        speed = self.gpu_speed[pool.gpu_model] if gpus else 1.0
        hours = task.work_hours / (gpus or task.needs[0]) / speed
        share = max(n / has for n, has in zip(part, pool.room, strict=True) if has)
        usd = share * nodes * pool.usd_per_hour * hours
        return Way(pool=pool, nodes=nodes, part=part, hours=hours, usd=usd)


def read(path: Path) -> World:
    """Return the world of a file.

    Raises:
        BenchmarkError: The tasks of a pipeline are no chain.
    """
    raw = json.loads(path.read_text(encoding="utf-8"))
    pools = [
        Pool(
            index=0,
            cluster=cluster["name"],
            name=pool["sku"],
            continent=cluster["continent"],
            room=(float(pool["cpu"]), float(pool["memory_gib"]), float(pool["gpu_count"])),
            gpu_model=pool["gpu_model"] or "",
            gpu_memory_gib=float(pool["gpu_memory_gib"]),
            nodes=pool["nodes"],
            usd_per_hour=float(pool["usd_per_hour"]),
        )
        for cluster in raw["clusters"]
        for pool in cluster["pools"]
    ]
    return World(
        name=path.stem,
        pools=tuple(_numbered(pools)),
        pipelines=tuple(_pipeline(entry) for entry in raw["pipelines"]),
        transfer_usd_per_gb=raw["transfer_usd_per_gb"],
        gpu_speed=raw["gpu_speed_relative_to_t4"],
        raw=raw,
    )


def _part(task: Task, nodes: int) -> Amounts:
    """Return what each of so many nodes holds; GPUs are whole."""
    share = math.ceil(task.needs[2] / nodes) / task.needs[2] if nodes > 1 else 1.0
    cpu, memory, gpus = task.needs
    return (cpu * share, memory * share, gpus * share)


def _numbered(pools: list[Pool]) -> list[Pool]:
    return [replace(pool, index=index) for index, pool in enumerate(pools)]


def _pipeline(entry: Mapping[str, Any]) -> Pipeline:
    tasks = tuple(_task(task) for task in entry["tasks"])
    before = [None, *(task.name for task in tasks)]
    if [task.after for task in tasks] != before[:-1]:
        raise BenchmarkError(f"the tasks of {entry['name']!r} are no chain in their order")
    return Pipeline(
        name=entry["name"],
        data_cluster=entry["data_cluster"],
        data_gb=float(entry["data_gb"]),
        continents=tuple(entry["residency"] or ()),
        earliest_hour=float(entry["earliest_start_hour"]),
        deadline_hour=float(entry["deadline_hour"]),
        weight=float(entry["sla_weight"]),
        tasks=tasks,
    )


def _task(entry: Mapping[str, Any]) -> Task:
    gpus = float(entry.get("gpus", 0))
    return Task(
        name=entry["name"],
        kind=entry["kind"],
        after=entry["after"],
        work_hours=float(entry["gpu_hours_on_t4"] if gpus else entry["cpu_hours"]),
        needs=(float(entry["cpu"]), float(entry["memory_gib"]), gpus),
        gpu_memory_gib=float(entry.get("gpu_memory_gib", 0.0)),
        output_gb=float(entry["output_gb"]),
    )
