"""Reads measured values of a metric: CSV files with a time and a value, plain or gzipped."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from executors.tasks.context import BadInputError, Scalar

_BYTES_MAX = 1 << 30
_STEPS_MAX = 2_000_000
_COLUMNS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One metric: values with times in seconds, oldest first; labels are 1 within an anomaly.

    labels are None where the file has none.
    """

    name: str
    times: NDArray[np.float64]
    values: NDArray[np.float64]
    labels: NDArray[np.bool_] | None = None


def load_all(source: Path, settings: Mapping[str, Scalar]) -> list[Series]:
    """Read the file, or every CSV file of the folder, sorted by name.

    settings: `time`, `value` and `label` name the columns; by default the first that is called
    `timestamp`, `time` or `hour`, the first called `value` or else the first other one, `label`.

    Raises:
        BadInputError: when there is none, or one holds no series.
    """
    if source.is_dir():
        paths = sorted([*source.glob("*.csv"), *source.glob("*.csv.gz")])
    else:
        paths = [source]
    if not paths:
        raise BadInputError(f"{str(source)!r} holds no file *.csv or *.csv.gz")
    return [load(path, settings) for path in paths]


def load(path: Path, settings: Mapping[str, Scalar]) -> Series:
    """Read one file; of several values at one time the mean is kept.

    Raises:
        BadInputError: naming the file, and the line or the column at fault.
    """
    rows = csv.reader(io.StringIO(_text(path)))
    header = [name.strip() for name in next(rows, [])]
    if len(header) < _COLUMNS:
        raise BadInputError(f"{path.name} has the columns {header}: a time and a value are needed")
    time = _column(path, header, settings.get("time"), ("timestamp", "timestamp_anon", "time"), 0)
    value = _column(path, header, settings.get("value"), ("value",), 1 if time == 0 else 0)
    label = header.index("label") if "label" in header else None
    found: dict[float, tuple[float, int, bool]] = {}
    for number, row in enumerate(rows, start=2):
        try:
            at, measured, marked = _values(row, time, value, label)
        except (ValueError, IndexError) as error:
            raise BadInputError(f"line {number} of {path.name} is no value: {error}") from error
        if math.isfinite(measured) and math.isfinite(at):
            total, count, was = found.get(at, (0.0, 0, False))
            found[at] = (total + measured, count + 1, was or marked)
    times = sorted(found)
    if len(times) < _COLUMNS:
        raise BadInputError(f"{path.name} holds {len(times)} values, at least 2 are needed")
    return Series(
        name=path.name.partition(".csv")[0],
        times=np.array(times),
        values=np.array([found[at][0] / found[at][1] for at in times]),
        labels=None if label is None else np.array([found[at][2] for at in times]),
    )


def regular(series: Series, step_seconds: float | None = None) -> tuple[NDArray[np.float64], float]:
    """Return the means over equal steps, gaps filled by straight lines, and the step in seconds.

    The step is the median distance of values where none is given.

    Raises:
        BadInputError: when that makes over two million steps, or fewer than two.
    """
    step = step_seconds or float(np.median(np.diff(series.times)))
    places = np.floor((series.times - series.times[0]) / step + 1e-9).astype(np.int64)
    count = int(places[-1]) + 1
    if not _COLUMNS <= count <= _STEPS_MAX:
        raise BadInputError(f"{series.name} has {count} steps of {step:g} s, expected 2 to 2e6")
    sums = np.bincount(places, weights=series.values, minlength=count)
    seen = np.bincount(places, minlength=count)
    there = np.flatnonzero(seen)
    values = np.interp(np.arange(count), there, sums[there] / seen[there])
    return np.asarray(values, dtype=np.float64), step


def _values(row: list[str], time: int, value: int, label: int | None) -> tuple[float, float, bool]:
    """Return time, value and label of a line; an empty line has none that is finite."""
    if not row:
        return math.nan, math.nan, False
    marked = label is not None and float(row[label]) > 0
    return _seconds(row[time]), float(row[value]), marked


def _column(
    path: Path, header: list[str], wanted: Scalar | None, usual: tuple[str, ...], default: int
) -> int:
    """Return the place of a column by its name, or by names that are usual."""
    if wanted is not None:
        if wanted not in header:
            raise BadInputError(f"{path.name} has no column {wanted!r}, only {', '.join(header)}")
        return header.index(str(wanted))
    return next((header.index(name) for name in usual if name in header), default)


def _seconds(text: str) -> float:
    """Return a time: a number, or a date and time (UTC where it names no zone)."""
    try:
        return float(text)
    except ValueError:
        when = datetime.datetime.fromisoformat(text.strip())
        return (when if when.tzinfo else when.replace(tzinfo=datetime.UTC)).timestamp()


def _text(path: Path) -> str:
    """Return the text of a file, unpacked; one that unpacks to over 1 GiB is refused."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(_BYTES_MAX + 1)
        if len(data) > _BYTES_MAX:
            raise BadInputError(f"{path.name} is larger than 1 GiB")
        return data.decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path.name} cannot be read as text: {error}") from error
