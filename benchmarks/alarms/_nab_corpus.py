"""Series of the Numenta Anomaly Benchmark and their labelled windows, read by pattern."""

from __future__ import annotations

import csv
import datetime
import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import frame
from benchmarks.alarms._nab_score import Labelled

ROOT = "alarms/nab"
WINDOWS = f"{ROOT}/combined_windows.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series in order of its rows: times in seconds, values, labels."""

    times: NDArray[np.float64]
    values: NDArray[np.float64]
    labelled: Labelled


def read_corpus(context: frame.Context, pattern: str = "*/*") -> list[Series]:
    """Return every series below `alarms/nab` that has labels and whose name matches."""
    with context.file(WINDOWS).open(encoding="utf-8") as file:
        windows: dict[str, list[list[str]]] = json.load(file)
    found: list[Series] = []
    for path in context.files(f"{ROOT}/*/*.csv*"):
        name = f"{path.parent.name}/{path.name.removesuffix('.gz')}"
        if name in windows and Path(name).match(f"{pattern}.csv"):
            found.append(_read(path, name, windows[name]))
    if not found:
        raise frame.MissingDataError(context.data, f"{ROOT}/{pattern}.csv")
    return found


def _read(path: Path, name: str, windows: list[list[str]]) -> Series:
    """Return one series; a window's edges are rows with exactly those times."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        rows = [(_seconds(row["timestamp"]), float(row["value"])) for row in csv.DictReader(file)]
    first_row: dict[float, int] = {}
    for number, (at, _) in enumerate(rows):
        first_row.setdefault(at, number)
    return Series(
        times=np.array([at for at, _ in rows]),
        values=np.array([value for _, value in rows]),
        labelled=Labelled(
            name=name.removesuffix(".csv"),
            rows=len(rows),
            windows=tuple(
                (first_row[_seconds(first)], first_row[_seconds(last)]) for first, last in windows
            ),
        ),
    )


def _seconds(text: str) -> float:
    """Return seconds of a time without a zone."""
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp()
