"""F1 and top-3 of the attribute combination behind incidents of a streaming service.

Reads `alarms/streaming-stalls/*.csv` and `anomaly.yaml`. Each incident has viewers (`cnt`) and
stalled viewers (`value`) by attributes over some minutes; the method is told the minute of the
alarm and sees nothing later. F1 compares the first answer with the true combinations, exactly.
Top-3 is the share of true combinations among the first three answers.
"""

from __future__ import annotations

import csv
import gzip
import io
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from alarms.localization import common as product
from alarms.localization.common import Table
from benchmarks import frame
from benchmarks.alarms import _ranking

Attributes = Mapping[str, str]
COUNTS = ("min", "value", "cnt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident with its true combinations."""

    name: str
    at: float
    causes: Sequence[Attributes]
    path: Path


def run(context: frame.Context) -> Iterable[frame.Figure]:
    """Localise every incident."""
    incidents = read(context)
    if context.quick:
        incidents = incidents[::4]
    seconds: list[float] = []
    beliefs: list[float] = []
    first_right = cause_count = third_right = any_right = 0
    for incident in incidents:
        table = table_of(incident.path)
        start = time.process_time()
        found = product.common(table, incident.at, most=3)
        seconds.append(time.process_time() - start)
        answers = [dict(one.attributes) for one in found]
        beliefs += [one.belief for one in found[:1]]
        causes = [dict(cause) for cause in incident.causes]
        cause_count += len(causes)
        first_right += bool(answers) and answers[0] in causes
        third_right += sum(cause in answers for cause in causes)
        any_right += any(cause in answers for cause in causes)
    f1 = 2.0 * first_right / (len(incidents) + cause_count)
    yield frame.at_least(
        f"F1 of the first answer, {len(incidents)} incidents",
        f1,
        0.70,
        anchor="RobustSpot .647; scan statistic .619",
    )
    yield frame.at_least(
        f"top-3, {cause_count} causes", third_right / cause_count, 0.93, anchor="scan .904"
    )
    yield frame.informs("top-3, incidents with any cause found", any_right / len(incidents))
    yield frame.at_most(
        "CPU time, mean", _ranking.mean(seconds), 0.2, unit="s", anchor="RobustSpot .26"
    )
    yield frame.informs("CPU time, longest", max(seconds), unit="s")
    yield frame.informs(
        "mean belief in the first answer",
        _ranking.mean(beliefs),
        anchor=f"calibrated if near {first_right / len(incidents):.3f}",
    )


def read(context: frame.Context) -> list[Incident]:
    """Return the incidents of all folders with an `anomaly.yaml`, sorted by path."""
    incidents: list[Incident] = []
    for labels in context.files("alarms/streaming-stalls*/anomaly.yaml"):
        for label in YAML(typ="safe").load(labels.read_text(encoding="utf-8")):
            paths = sorted(labels.parent.glob(f"{label['data']}.csv*"))
            cause = label["cause"]
            causes = cause if isinstance(cause, list) else [cause]
            incidents += [
                Incident(
                    name=str(label["data"]),
                    at=float(label["timestamp"]),
                    causes=[{str(k): str(v) for k, v in one.items()} for one in causes],
                    path=path,
                )
                for path in paths
            ]
    return sorted(incidents, key=lambda incident: str(incident.path))


def table_of(path: Path) -> Table:
    """Read the counts of one incident."""
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    names = [name for name in rows[0] if name not in COUNTS]
    return Table(
        attributes={name: [row[name] for row in rows] for name in names},
        at=np.array([float(row["min"]) for row in rows]),
        cases=np.array([float(row["value"]) for row in rows]),
        trials=np.array([float(row["cnt"]) for row in rows]),
    )
