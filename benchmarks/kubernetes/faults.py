"""What is lost or started twice when a cluster, its network or the engine fails, on a real server.

The control plane is real (etcd, API server, controllers, scheduler); a node is played that ends
pods as it is told. Before the API server stands a proxy that cuts, swallows, hangs and answers in
its place. The names are those of the fault list: F1 kill -9 of the engine, F3 lost answers, F4
conflicts, F5 the API server killed and a watch that is too old, F6 requests refused for a time, F7
an outage, F8 a connection that is open and silent, F9 a cluster cut off while it runs tasks, F10
the engine restarted meanwhile, F11 clocks that jump, F12 two engines that both lead, F16 pods that
die in every way, F17 a node that is lost, F18 a Job that somebody deletes or edits, F20 a Job that
the cluster refuses; and F2, three replicas killed and halted at random; and G1, less important
tasks that give way while the answers to that are lost. `--only F4,F7` runs some;
`--kills`, `--outage` and `--tasks` set how many and how long.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence

from benchmarks import frame
from benchmarks.kubernetes import (
    _faults,
    _giving_way,
    _kills,
    _objects,
    _outages,
    _partitions,
    _replicas,
    _world,
)

FAULTS: dict[str, Callable[[_faults.Stage], Iterator[frame.Figure]]] = {
    "F3": _faults.lost_answers,
    "F4": _faults.conflicts,
    "F5": _outages.too_old,
    "F6": _outages.patience,
    "F7": _outages.outage,
    "F8": _outages.silence,
    "F11": _replicas.clock_jumps,
    "F12": _replicas.split_brain,
    "F16": _faults.deaths,
    "F17": _objects.node_lost,
    "F18": _objects.changed,
    "F20": _objects.refused,
    "G1": _giving_way.gives_way,
}
PARTITIONS = {"F9": ("partition", False), "F10": ("restart in a partition", True)}
FORKING = ("F1", "F2")


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds which faults, how many kills, and how long outages last."""
    group.add_argument("--only", default="", help="names with commas between, such as F4,F7")
    group.add_argument("--kills", type=int, default=1000, help="kill -9 of the engine")
    group.add_argument("--tasks", type=int, default=2000, help="tasks of the flood of F2")
    group.add_argument("--outage", type=float, default=600.0, help="seconds of an outage")
    group.add_argument("--seed", type=int, default=1, help="of what is random")


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures; each is told at once too, since a run of all of them takes an hour."""
    for figure in figures(context):
        sys.stderr.write(f"{figure.name}: {figure.value:.4g} {figure.unit} ({figure.bar})\n")
        yield figure


def figures(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures of the faults that were chosen."""
    options = context.options
    every = [*FORKING, *FAULTS, *PARTITIONS]
    chosen = str(options["only"]).split(",") if options["only"] else every
    unknown = [name for name in chosen if name not in every]
    if unknown:
        raise frame.BenchmarkError(f"no fault {unknown[0]!r}; known: {', '.join(every)}")
    outage = 8.0 if context.quick else float(options["outage"])
    kills = 10 if context.quick else int(options["kills"])
    tasks = 100 if context.quick else int(options["tasks"])
    seed = int(options["seed"])
    with _world.control_plane(context) as made:
        place = _world.place(made)
        if "F1" in chosen:
            # First, while this process has no threads: the engines that are killed are its forks.
            yield from _kills.figures(place, context.scratch, kills, seed)
        if "F2" in chosen:
            yield from _replicas.replicas(place, context.scratch, tasks, seed)
        if set(chosen) <= set(FORKING):
            return
        with _faults.stage(place, context.scratch, outage) as stage:
            for name, fault in FAULTS.items():
                if name in chosen:
                    yield from fault(stage)
            yield from partitions(stage, [name for name in PARTITIONS if name in chosen])


def partitions(stage: _faults.Stage, chosen: Sequence[str]) -> Iterator[frame.Figure]:
    """Yields the figures of clusters that are cut off, each with an engine of its own."""
    stage.node.script = _faults.runs_on
    for name in chosen:
        home = stage.scratch / f"partition-{name}"
        with _partitions.harbour(stage.place.plane, stage.node, home) as world:
            label, restarts = PARTITIONS[name]
            yield from _partitions.partition(world, f"{name} {label}", restarts=restarts)
