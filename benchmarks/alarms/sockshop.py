"""Avg@5 of the faulty service and metric in Sock Shop, with the alarm in time and 60 s late.

Reads `alarms/sock-shop*.tar.gz`: a folder a fault, named `SERVICE-RESOURCE`, with runs of
`normal.csv` and `anomalous.csv`, one row a second. Late: the first 60 anomalous rows join the
normal ones. Ties count by expectation.
"""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alarms.localization import levels
from alarms.localization.levels import Numbers
from benchmarks import frame
from benchmarks.alarms import _ranking

LATE_ROWS = 60
Columns = Mapping[tuple[str, str], Numbers]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run of one fault."""

    name: str
    service: str
    metric: str
    normal: Columns
    anomalous: Columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Means over all cases."""

    service: float
    metric: float
    service_first: float
    metric_first: float


def run(context: frame.Context) -> Iterable[frame.Figure]:
    """Rank services and metrics of every case."""
    found = [case for path in context.files("alarms/sock-shop*.tar.gz") for case in cases(path)]
    if context.quick:
        found = found[::3]
    timely = score(found)
    late = score([postponed(case) for case in found])
    services = _ranking.mean([len({key[0] for key in case.normal}) for case in found])
    yield frame.at_least(
        f"service Avg@5, {len(found)} cases",
        timely.service,
        0.98,
        anchor=f"chance {3 / services:.2f}; BARO .99",
    )
    yield frame.at_least("metric Avg@5", timely.metric, 0.93, anchor="mean shift .93")
    yield frame.at_most(
        "service Avg@5, drop when 60 s late",
        timely.service - late.service,
        0.03,
        anchor="mean shift 1.00 to .87",
    )
    yield frame.at_most("metric Avg@5, drop when 60 s late", timely.metric - late.metric, 0.03)
    yield frame.informs("service top-1", timely.service_first)
    yield frame.informs("metric top-1", timely.metric_first)


def score(found: Iterable[Case]) -> Score:
    """Return the means over cases."""
    rows: list[tuple[float, float, float, float]] = []
    for case in found:
        ranking = levels.moved(case.normal, case.anomalous)
        services = {one.entity: one.score for one in ranking}
        metrics = {f"{one.entity}_{name}": value for one in ranking for name, value in one.metrics}
        truth = f"{case.service}_{case.metric}"
        rows.append(
            (
                _ranking.average_hit(services, case.service),
                _ranking.average_hit(metrics, truth),
                _ranking.hit(services, case.service, 1),
                _ranking.hit(metrics, truth, 1),
            )
        )
    means = [_ranking.mean([row[column] for row in rows]) for column in range(4)]
    return Score(service=means[0], metric=means[1], service_first=means[2], metric_first=means[3])


def postponed(case: Case) -> Case:
    """Return a case of which the alarm came late."""
    normal = {
        key: np.concatenate([values, case.anomalous[key][:LATE_ROWS]])
        for key, values in case.normal.items()
    }
    anomalous = {key: values[LATE_ROWS:] for key, values in case.anomalous.items()}
    return Case(
        name=case.name,
        service=case.service,
        metric=case.metric,
        normal=normal,
        anomalous=anomalous,
    )


def cases(path: Path) -> list[Case]:
    """Return the cases of an archive, by name."""
    with tarfile.open(path) as archive:
        files = {
            member.name: stream.read().decode()
            for member in archive.getmembers()
            if member.isfile() and (stream := archive.extractfile(member)) is not None
        }
    found: list[Case] = []
    for name in sorted(files):
        folder, _, file = name.rpartition("/")
        if file != "normal.csv":
            continue
        service, _, metric = folder.split("/")[-2].rpartition("-")
        found.append(
            Case(
                name=folder,
                service=service,
                metric=metric,
                normal=_columns(files[name]),
                anomalous=_columns(files[f"{folder}/anomalous.csv"]),
            )
        )
    return found


def _columns(text: str) -> Columns:
    header, *rows = csv.reader(io.StringIO(text))
    values = np.array([[float(cell) if cell else np.nan for cell in row] for row in rows])
    return {
        (name.partition("_")[0], name.partition("_")[2]): values[:, index]
        for index, name in enumerate(header)
        if "_" in name
    }
