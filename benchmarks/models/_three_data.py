"""What the three models of operations learn from: real data, laid out as the templates read it."""

import csv
import datetime
import gzip
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import frame
from benchmarks.alarms import _faults

SERIES_MOST = 8
QUICK_SERIES_MOST = 3
JUDGED_FROM = 0.5
"""The detector is judged on the newer half of a series; one without labels there says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One model to be made.

    family: as a pipeline names it. data: what it reads. settings: of the first training;
    other: of the second, which gives another model. cost: the anchor of its quality.
    """

    name: str
    family: str
    data: Path
    settings: dict[str, int]
    other: dict[str, int]


def materials(context: frame.Context, folder: Path) -> list[Material]:
    """Lays the data of all three out below a folder."""
    folder.mkdir()
    steps = 150 if context.quick else 400
    return [
        Material(
            name="demand-forecast",
            family="arima",
            data=_metric(context, folder),
            settings={"season": 24},
            other={"season": 24, "history": 300},
        ),
        Material(
            name="metric-anomalies",
            family="transformer",
            data=_labelled(context, folder / "metrics"),
            settings={"steps": steps},
            other={"steps": steps // 2},
        ),
        Material(
            name="root-causes",
            family="graph",
            data=_cases(context, folder / "faults"),
            settings={"steps": steps // 3, "folds": 5},
            other={"steps": steps // 6, "folds": 2},
        ),
    ]


def _metric(context: frame.Context, folder: Path) -> Path:
    """Copies an hourly metric of a service."""
    found = context.file("forecasting/*hourly*total*.csv*")
    return Path(shutil.copy(found, folder / found.name))


def _labelled(context: frame.Context, folder: Path) -> Path:
    """Writes metrics of machines with labels from the windows that people marked."""
    folder.mkdir()
    windows = json.loads(context.file("alarms/nab/*windows*.json").read_text(encoding="utf-8"))
    most = QUICK_SERIES_MOST if context.quick else SERIES_MOST
    for name, marked in sorted(windows.items()):
        found = sorted(context.data.glob(f"alarms/nab/{name}*"))
        if not found or not name.startswith("real"):
            continue
        lines = _marked(found[0], marked)
        if any(line.endswith(",1") for line in lines[int(len(lines) * JUDGED_FROM) :]):
            text = "\n".join(("timestamp,value,label", *lines))
            (folder / f"{Path(name).stem}.csv").write_text(text + "\n", encoding="utf-8")
        if len(list(folder.iterdir())) == most:
            break
    return folder


def _marked(path: Path, marked: Sequence[Sequence[str]]) -> list[str]:
    """Returns the lines of a metric, 1 at their end within a window."""
    when = datetime.datetime.fromisoformat
    spans = [(when(first), when(last)) for first, last in marked]
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    return [
        f"{row['timestamp']},{row['value']},"
        f"{int(any(first <= when(row['timestamp']) <= last for first, last in spans))}"
        for row in csv.DictReader(text.splitlines())
    ]


def _cases(context: frame.Context, folder: Path) -> Path:
    """Writes the faults of the first system: what fired, who was at fault, what calls what."""
    folder.mkdir()
    system = _faults.systems(context)[0]
    nodes = [{"id": name, "type": kind} for name, kind in system.types.items()]
    edges = [{"source": s, "target": t, "label": label} for s, t, label in system.edges]
    topology = json.dumps({"nodes": nodes, "edges": edges})
    (folder / "topology.json").write_text(topology, encoding="utf-8")
    faults = sorted(system.faults, key=lambda fault: (fault.started_at, fault.number))
    labels = [(fault.number, fault.entity) for fault in faults]
    alerts = sorted({(f.fault, f.alert.entity, _signal(f)) for f in system.firings})
    _write(folder / "labels.csv", ("case", "entity"), labels)
    _write(folder / "alerts.csv", ("case", "entity", "signal"), alerts)
    return folder


def _signal(firing: _faults.Firing) -> str:
    """Returns what fired; an alarm of a call says who called."""
    if firing.source == "trace":
        return " from ".join((firing.alert.name, *firing.alert.related))
    return firing.alert.name


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
