"""Reads systems with labelled faults: alerts by fault, labels, topology.

A system is a folder with `label.csv`, `metric/metrics.json`, `trace/traces.json`,
`log/logs.json` and `topology.json`, each of them plain or gzipped.
"""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alarms.grouping.alert import Alert
from benchmarks import frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One injected fault with its label, which no method may read."""

    number: str
    entity: str
    level: str
    kind: str
    started_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """An alert and the fault during which it was recorded."""

    alert: Alert
    fault: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """All that is known of one system.

    Attributes:
        edges: Source, target and label of every edge of the topology.
        types: Type of every entity of the topology.
    """

    name: str
    faults: Sequence[Fault]
    firings: Sequence[Firing]
    edges: Sequence[tuple[str, str, str]]
    types: Mapping[str, str]


def systems(context: frame.Context) -> list[System]:
    """Return every system in the data folder."""
    folders = sorted({path.parent for path in context.files("alarms/*/label.csv*")})
    return [system(folder) for folder in folders]


def system(folder: Path) -> System:
    """Read one system."""
    rows = list(csv.DictReader(io.StringIO(_text(folder, "label.csv"))))
    faults = [
        Fault(
            number=row["fault_id"],
            entity=row["fault_entity"],
            level=row.get("fault_level", ""),
            kind=row.get("fault_type", ""),
            started_at=float(row["fault_st_time"]),
        )
        for row in rows
    ]
    topology = json.loads(_text(folder, "topology.json"))
    firings = [*_metrics(folder), *_traces(folder), *_logs(folder, rows)]
    firings.sort(key=lambda firing: (firing.alert.at, firing.alert.alert_id))
    return System(
        name=folder.name,
        faults=faults,
        firings=firings,
        edges=[(e["source"], e["target"], e.get("label", "")) for e in topology["edges"]],
        types={node["id"]: node.get("type", "") for node in topology["nodes"]},
    )


def _metrics(folder: Path) -> Iterator[Firing]:
    for fault, rows in _json(folder, "metric/metrics.json").items():
        for number, (at, entity, host, metric, side) in enumerate(rows):
            alert = Alert(
                alert_id=f"metric/{fault}/{number}",
                at=float(at) / 1000,
                name=f"{metric} {side}",
                entity=entity,
                related=(host,) if host else (),
            )
            yield Firing(alert=alert, fault=fault, source="metric")


def _traces(folder: Path) -> Iterator[Firing]:
    for fault, rows in _json(folder, "trace/traces.json").items():
        for number, (at, caller, callee, operation, what) in enumerate(rows):
            alert = Alert(
                alert_id=f"trace/{fault}/{number}",
                at=float(at) / 1000,
                name=f"{operation} {what}",
                entity=callee or caller,
                related=(caller,) if caller and callee and caller != callee else (),
            )
            yield Firing(alert=alert, fault=fault, source="trace")


def _logs(folder: Path, labels: Sequence[Mapping[str, str]]) -> Iterator[Firing]:
    """Yield every line of a log alert; lines carry local time, as the labels do beside UTC."""
    zone = {row["fault_id"]: _offset(row) for row in labels}
    for fault, rows in _json(folder, "log/logs.json").items():
        for number, (entity, template, lines, *_) in enumerate(rows):
            for part, line in enumerate(lines):
                at = _seconds(line.partition(" | ")[0]) - zone.get(fault, 0.0)
                alert = Alert(
                    alert_id=f"log/{fault}/{number}.{part}",
                    at=at,
                    name=f"log {template}",
                    entity=entity,
                )
                yield Firing(alert=alert, fault=fault, source="log")


def _offset(row: Mapping[str, str]) -> float:
    return _seconds(row["fault_datetime"]) - float(row["fault_st_time"])


def _seconds(text: str) -> float:
    when = datetime.datetime.fromisoformat(text.strip())
    return when.replace(tzinfo=datetime.UTC).timestamp()


def _json(folder: Path, name: str) -> dict[str, list[Any]]:
    try:
        content = json.loads(_text(folder, name))
    except FileNotFoundError:
        return {}
    return dict(content)


def _text(folder: Path, name: str) -> str:
    plain, packed = folder / name, folder / f"{name}.gz"
    if packed.exists():
        return gzip.decompress(packed.read_bytes()).decode()
    return plain.read_text(encoding="utf-8")
