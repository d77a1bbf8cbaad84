"""What is lost or started twice when a cluster, its network or the engine fails, on a real server.

The control plane is real (etcd, API server, controllers, scheduler); a node is played that ends
pods as it is told. Before the API server stands a proxy that cuts, swallows, hangs and answers in
its place. The names are those of the fault list: F1 kill -9 of the engine, F3 lost answers, F4
conflicts, F5 the API server killed and a watch that is too old, F6 requests refused for a time, F7
an outage, F8 a connection that is open and silent, F16 pods that die in every way, F18 a Job that
somebody deletes, F20 a Job that the cluster refuses. `--only F4,F7` runs some; `--kills` and
`--outage` set how many and how long.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

from benchmarks import frame
from benchmarks.kubernetes import _faults, _kills, _world

FAULTS: dict[str, Callable[[_faults.Stage], Iterator[frame.Figure]]] = {
    "F3": _faults.lost_answers,
    "F4": _faults.conflicts,
    "F5": _faults.too_old,
    "F6": _faults.patience,
    "F7": _faults.outage,
    "F8": _faults.silence,
    "F16": _faults.deaths,
    "F18": _faults.deleted,
    "F20": _faults.refused,
}


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds which faults, how many kills, and how long outages last."""
    group.add_argument("--only", default="", help="names with commas between, such as F4,F7")
    group.add_argument("--kills", type=int, default=1000, help="kill -9 of the engine")
    group.add_argument("--outage", type=float, default=600.0, help="seconds of an outage")
    group.add_argument("--seed", type=int, default=1, help="of what is random")


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures."""
    options = context.options
    chosen = str(options["only"]).split(",") if options["only"] else ["F1", *FAULTS]
    outage = 8.0 if context.quick else float(options["outage"])
    kills = 10 if context.quick else int(options["kills"])
    with _world.control_plane(context) as made:
        place = _world.place(made)
        if "F1" in chosen:
            # First, while this process has no threads: the engines that are killed are its forks.
            yield from _kills.figures(place, context.scratch, kills, int(options["seed"]))
        if chosen == ["F1"]:
            return
        with _faults.stage(place, context.scratch, outage) as stage:
            for name, fault in FAULTS.items():
                if name in chosen:
                    yield from fault(stage)
