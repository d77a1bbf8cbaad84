"""Reads faults of the past: what fired in each, which entity was at fault, and the topology.

    alerts.csv      case, entity, signal           one line for each alert of a case
    labels.csv      case, entity                   the entity at fault; cases in order of time
    topology.json   {"nodes": [{"id", "type"}], "edges": [{"source", "target", "label"}]}

Each may be gzipped (`alerts.csv.gz`). Alerts of entities outside the topology are left out, and
counted.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from executors.tasks.context import BadInputError

ALERTS, LABELS, TOPOLOGY = "alerts.csv", "labels.csv", "topology.json"
_BYTES_MAX = 1 << 30
_NODES_MAX = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """Faults of one system, in order of time.

    entities: of the topology, in its order, with their types. edges: places of source and target,
    and the relation. fired: of each case the pairs (place of the entity, signal) that fired.
    culprits: of each case the place of the entity at fault. strangers: alerts left out.
    """

    entities: tuple[str, ...]
    types: tuple[str, ...]
    edges: tuple[tuple[int, int, str], ...]
    fired: Sequence[frozenset[tuple[int, str]]]
    culprits: Sequence[int]
    strangers: int


def load(folder: Path) -> Cases:
    """Read a folder of cases.

    Raises:
        BadInputError: naming the file and the line at fault, or an entity that is not there.
    """
    nodes, edges = _topology(folder)
    places = {name: place for place, (name, _) in enumerate(nodes)}
    labels = _rows(folder, LABELS, ("case", "entity"))
    fired: dict[str, set[tuple[int, str]]] = {}
    culprits = []
    for case, entity in labels:
        if entity not in places:
            raise BadInputError(f"{LABELS}: case {case!r} blames {entity!r}, not in {TOPOLOGY}")
        if case in fired:
            raise BadInputError(f"{LABELS} has case {case!r} twice")
        fired[case] = set()
        culprits.append(places[entity])
    strangers = 0
    for case, entity, signal in _rows(folder, ALERTS, ("case", "entity", "signal")):
        if case in fired and entity in places:
            fired[case].add((places[entity], signal))
        else:
            strangers += 1
    return Cases(
        entities=tuple(name for name, _ in nodes),
        types=tuple(kind for _, kind in nodes),
        edges=tuple((places[s], places[t], label) for s, t, label in edges),
        fired=[frozenset(pairs) for pairs in fired.values()],
        culprits=culprits,
        strangers=strangers,
    )


def _topology(folder: Path) -> tuple[list[tuple[str, str]], list[tuple[str, str, str]]]:
    """Return entities with types, and relations."""
    try:
        document: Any = json.loads(_text(folder, TOPOLOGY))
        nodes = [(str(node["id"]), str(node.get("type", ""))) for node in document["nodes"]]
        edges = [
            (str(edge["source"]), str(edge["target"]), str(edge.get("label", "")))
            for edge in document["edges"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInputError(f"{TOPOLOGY} is no topology: {error!r}") from error
    names = {name for name, _ in nodes}
    if not 1 < len(nodes) <= _NODES_MAX or len(names) < len(nodes):
        message = f"{TOPOLOGY} has {len(nodes)} nodes of {len(names)} names"
        raise BadInputError(f"{message}, expected 2 to {_NODES_MAX}, each once")
    foreign = sorted({end for edge in edges for end in edge[:2]} - names)
    if foreign:
        raise BadInputError(f"{TOPOLOGY}: edges name {', '.join(foreign[:3])}, which no node is")
    return nodes, edges


def _rows(folder: Path, name: str, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the wanted columns of a CSV file."""
    reader = csv.DictReader(io.StringIO(_text(folder, name)))
    missing = [column for column in columns if column not in (reader.fieldnames or ())]
    if missing:
        raise BadInputError(f"{name} lacks the columns {', '.join(missing)}")
    found = []
    for number, row in enumerate(reader, start=2):
        values = tuple(row[column] for column in columns)
        if not all(values):
            raise BadInputError(f"line {number} of {name} lacks one of {', '.join(columns)}")
        found.append(values)
    return found


def _text(folder: Path, name: str) -> str:
    """Return the text of a file, plain or gzipped."""
    plain, packed = folder / name, folder / f"{name}.gz"
    try:
        with gzip.open(packed) if packed.exists() else plain.open("rb") as file:
            data = file.read(_BYTES_MAX + 1)
        if len(data) > _BYTES_MAX:
            raise BadInputError(f"{name} is larger than 1 GiB")
        return data.decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise BadInputError(f"{name} of {str(folder)!r} cannot be read: {error}") from error
