"""Reads the PetShop archive: graph of calls, normal metrics, issues with their true cause.

`python -m benchmarks.alarms._petshop ARCHIVE` prints a digest of all rankings, for runs with
other hash seeds.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alarms.localization.flows import FlowCause, FlowFinder, Measure, Numbers, Series

HEADER_ROWS = 4
PERCENT = 100.0
Column = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Columns by node, metric and statistic; each of shape (rows)."""

    columns: Mapping[Column, Numbers]
    rows: int

    def part(self, start: int, stop: int | None = None) -> Metrics:
        """Return some rows."""
        cut = {key: values[start:stop] for key, values in self.columns.items()}
        return Metrics(columns=cut, rows=len(range(self.rows)[start:stop]))

    def series(self, metric: str, statistic: str) -> dict[str, Series]:
        """Return requests and level of every node; availability becomes a share of errors."""
        found: dict[str, Series] = {}
        for (node, name, kind), values in self.columns.items():
            requests = self.columns.get((node, "requests", "Sum"))
            if name == metric and kind == statistic and requests is not None:
                level = 1.0 - values / PERCENT if metric == "availability" else values
                found[node] = Series(requests=requests, level=level)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One incident: the alarmed node and metric, and the node that caused it."""

    name: str
    node: str
    metric: str
    statistic: str
    cause: str
    metrics: Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One traffic pattern."""

    name: str
    calls: Sequence[tuple[str, str]]
    normal: Metrics
    issues: Sequence[Issue]


def scenarios(path: Path) -> list[Scenario]:
    """Return every scenario of an archive, by name."""
    with tarfile.open(path) as archive:
        files = {
            member.name: stream.read().decode()
            for member in archive.getmembers()
            if member.isfile() and (stream := archive.extractfile(member)) is not None
        }
    folders = sorted(name.rpartition("/")[0] for name in files if name.endswith("/graph.csv"))
    return [_scenario(folder, files) for folder in folders]


def _scenario(folder: str, files: Mapping[str, str]) -> Scenario:
    issues: list[Issue] = []
    for name in sorted(files):
        if not (name.startswith(f"{folder}/") and name.endswith("/target.json")):
            continue
        label = json.loads(files[name])
        target = label["target"]
        issues.append(
            Issue(
                name=name.removesuffix("/target.json"),
                node=target["node"],
                metric=target["metric"],
                statistic=target["agg"],
                cause=label["root_cause"]["node"],
                metrics=_metrics(files[name.replace("target.json", "metrics.csv")]),
            )
        )
    return Scenario(
        name=folder.rpartition("/")[2],
        calls=_calls(files[f"{folder}/graph.csv"]),
        normal=_metrics(files[f"{folder}/noissue/metrics.csv"]),
        issues=issues,
    )


def _calls(text: str) -> list[tuple[str, str]]:
    header, *rows = csv.reader(io.StringIO(text))
    return [
        (row[0], callee)
        for row in rows
        for callee, cell in zip(header[1:], row[1:], strict=True)
        if cell and float(cell) != 0.0
    ]


def _metrics(text: str) -> Metrics:
    nodes, names, kinds, *rows = csv.reader(io.StringIO(text))
    rows = [row for row in rows if row[0][:1].isdigit()]
    values = np.array([[float(cell) if cell else np.nan for cell in row[1:]] for row in rows])
    keys = list(zip(nodes[1:], names[1:], kinds[1:], strict=True))
    return Metrics(
        columns={key: values[:, index] for index, key in enumerate(keys)}, rows=len(rows)
    )


def finder(scenario: Scenario, normal: Metrics, metric: str, statistic: str) -> FlowFinder:
    """Return what knows normal times of one metric."""
    measure = Measure.ERRORS if metric == "availability" else Measure.SECONDS
    return FlowFinder(scenario.calls, normal.series(metric, statistic), measure)


def rankings(scenario: Scenario) -> list[tuple[Issue, list[FlowCause]]]:
    """Return the causes of every issue."""
    known: dict[tuple[str, str], FlowFinder] = {}
    found: list[tuple[Issue, list[FlowCause]]] = []
    for issue in scenario.issues:
        key = (issue.metric, issue.statistic)
        if key not in known:
            known[key] = finder(scenario, scenario.normal, *key)
        present = issue.metrics.series(*key)
        found.append((issue, known[key].causes(issue.node, present)))
    return found


def digest(path: Path) -> str:
    """Return a hash of all rankings of an archive."""
    lines = [
        f"{issue.name} {causes!r}"
        for scenario in scenarios(path)
        for issue, causes in rankings(scenario)
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


if __name__ == "__main__":
    print(digest(Path(sys.argv[1])))
