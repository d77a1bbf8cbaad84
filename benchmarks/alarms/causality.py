"""Directed F1 of which telecom alarms lead to which, against graphs drawn by experts.

Reads `alarms/telecom/*.tar.gz`, each with `Alarm.csv` and `DAG.npy`. The number of edges is not
given to the method and its settings are those of the product.
"""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alarms.localization import precedence
from alarms.localization.precedence import Firing
from benchmarks import frame

TIMES_THP = 1.08
THP_F1 = {18: 0.5765, 24: 0.3719, 25: 0.3387}
"""Published F1 of THP by the number of kinds of alarms in a set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Alarms of one network and the edges between kinds of alarms."""

    name: str
    kinds: int
    firings: list[Firing]
    edges: set[tuple[str, str]]


def run(context: frame.Context) -> Iterable[frame.Figure]:
    """Score every network."""
    for path in context.files("alarms/telecom/*.tar.gz"):
        network = read(path)
        found = {(one.first, one.then) for one in precedence.precedences(network.firings)}
        right = len(found & network.edges)
        f1 = 2.0 * right / (len(found) + len(network.edges))
        chance = 2.0 * len(network.edges) / (len(network.edges) + network.kinds**2)
        name = f"{network.name}: directed F1, {len(found)} of {len(network.edges)} edges"
        thp = THP_F1.get(network.kinds)
        if thp is None:
            yield frame.informs(name, f1, anchor=f"all pairs {chance:.3f}")
        else:
            anchor = f"THP {thp:.3f}; all pairs {chance:.3f}"
            yield frame.at_least(name, f1, TIMES_THP * thp, anchor=anchor)
        loose = {frozenset(edge) for edge in found} & {frozenset(e) for e in network.edges}
        yield frame.informs(
            f"{network.name}: F1 without direction",
            2.0 * len(loose) / (len(found) + len(network.edges)),
        )


def read(path: Path) -> Network:
    """Read one archive."""
    with tarfile.open(path) as archive:
        files = {
            Path(member.name).name: stream.read()
            for member in archive.getmembers()
            if member.isfile() and (stream := archive.extractfile(member)) is not None
        }
    graph = np.load(io.BytesIO(files["DAG.npy"]))
    rows = csv.DictReader(io.StringIO(files["Alarm.csv"].decode()))
    firings = [
        Firing(alarm=row["alarm_id"], place=row["device_id"], at=float(row["start_timestamp"]))
        for row in rows
    ]
    return Network(
        name=path.name.partition(".")[0],
        kinds=len(graph),
        firings=firings,
        edges={(str(one), str(other)) for one, other in np.argwhere(graph > 0)},
    )
