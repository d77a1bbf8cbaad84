"""What a task needs before anything like it ever ran: analytic terms by kind.

The terms are the usual complexities of the algorithms. Their constants were fitted to runs of
the built-in tasks on one core (`examples/measure_history.py`); with past runs at hand they only
serve as the shape that regression corrects.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine.model.specs import Scalar, TaskKind
from forecasting import networks
from forecasting.networks import number

BYTES_PER_CELL = 4.0
"""Of a table in text: a short number and its comma."""
DEFAULT_COLUMNS = 14
DEFAULT_ROWS = 10_000
DEFAULT_TRIALS = 8
DEFAULT_FAMILIES = ("knn", "tree", "forest", "svm")
_FOLDS = 5
_GIB = 2.0**30
_CORE_GIB_PER_SECOND = 0.008
"""Text that one core parses and checks."""
_MOST_CORES = 16.0
_SERVE_SECONDS = 0.004
"""Core-seconds for one request: HTTP, JSON and a small model."""
_SERVE_MEMORY_GIB = 0.3
_SERVE_MEGABITS = 0.04
"""Question and answer of one request, about 5 kB."""


class Quantity(StrEnum):
    """What is forecast of a run; the values are the field names of a run record."""

    DURATION = "duration_seconds"
    CPU = "cpu_cores_mean"
    MEMORY = "memory_gib_peak"
    DISK = "disk_gib"
    NETWORK = "network_mbps_mean"
    GPU_MEMORY = "gpu_memory_gib_peak"

    @property
    def label(self) -> str:
        """What people and documents call it: `duration`, or the name of a resource."""
        return _TITLES[self.value]


_TITLES = {
    "duration_seconds": "duration",
    "cpu_cores_mean": "cpu",
    "memory_gib_peak": "memory",
    "disk_gib": "disk",
    "network_mbps_mean": "network",
    "gpu_memory_gib_peak": "gpu memory",
}


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a task's input and of its search, with defaults where nothing is known."""

    rows: float
    columns: float
    trials: float
    families: tuple[str, ...]

    @property
    def gib(self) -> float:
        """The input as text, in GiB."""
        return self.rows * self.columns * BYTES_PER_CELL / _GIB


def size_of(attributes: Mapping[str, Scalar]) -> Size:
    """Return the size that attributes state or imply.

    Rows come from the volume where only that is known.
    """
    columns = number(attributes, "columns") or DEFAULT_COLUMNS
    volume = number(attributes, "volume_gib")
    implied = volume * _GIB / (BYTES_PER_CELL * columns) if volume else DEFAULT_ROWS
    model = str(attributes.get("model", ""))
    return Size(
        rows=max(number(attributes, "rows") or implied, 1.0),
        columns=max(columns, 1.0),
        trials=max(number(attributes, "trials") or DEFAULT_TRIALS, 1.0),
        families=tuple(model.split("+")) if model else DEFAULT_FAMILIES,
    )


def preset(kind: TaskKind, attributes: Mapping[str, Scalar]) -> dict[Quantity, float]:
    """Return the median that is assumed of each quantity: seconds, cores, GiB and Mbit/s."""
    size = size_of(attributes)
    if kind is TaskKind.SERVE:
        return _serve_preset(number(attributes, "requests") or 1.0)
    cores = _cores(kind, size)
    work = _work_seconds(kind, size)
    start, memory = _STARTS[kind]
    seconds = start + work / cores
    libraries = [_LIBRARIES_GIB.get(family, 0.0) for family in size.families]
    memory += max([*libraries, _NETWORK_GIB if networks.is_stated(attributes) else 0.0])
    small = kind is TaskKind.PACKAGE and _SMALL_MODELS.issuperset(size.families)
    held = 0.0 if small else size.gib
    return {
        Quantity.DURATION: seconds,
        Quantity.CPU: (start + work) / seconds,
        Quantity.MEMORY: memory + _MEMORY_FACTOR[kind] * held / cores,
        Quantity.DISK: 0.01 + 2.0 * size.gib,
        Quantity.NETWORK: min(8.0 * 1024 * held / max(seconds, 1.0), _MOST_MEGABITS),
        Quantity.GPU_MEMORY: networks.gib(attributes),
    }


def _serve_preset(requests_per_second: float) -> dict[Quantity, float]:
    """Return the needs at the peak: cores of all replicas, memory and disk of one of them."""
    return {
        Quantity.DURATION: 1.0,
        Quantity.CPU: 0.02 + _SERVE_SECONDS * requests_per_second,
        Quantity.MEMORY: _SERVE_MEMORY_GIB,
        Quantity.DISK: 0.05,
        Quantity.NETWORK: _SERVE_MEGABITS * requests_per_second,
        Quantity.GPU_MEMORY: 0.0,
    }


_STARTS = {
    TaskKind.ETL: (0.05, 0.02),
    TaskKind.FEATURES: (0.25, 0.045),
    TaskKind.TRAIN: (2.75, 0.15),
    TaskKind.EVALUATE: (0.05, 0.02),
    TaskKind.PACKAGE: (2.4, 0.2),
}
"""Seconds and GiB of an interpreter with the libraries of the kind, before any data."""
_LIBRARIES_GIB = {"arima": 0.45, "transformer": 0.75, "graph": 0.75}
"""GiB that the models of operations take more: statsmodels (measured: 0.45 in all), torch."""
_NETWORK_GIB = _LIBRARIES_GIB["transformer"]
"""Who states a network trains it by torch or the like."""
_MEMORY_FACTOR = {
    TaskKind.ETL: 6.0,
    TaskKind.FEATURES: 6.0,
    TaskKind.TRAIN: 12.0,
    TaskKind.EVALUATE: 6.0,
    TaskKind.PACKAGE: 2.0,
}
"""GiB in memory for one GiB of text, in tasks that hold it all."""


_SMALL_MODELS = frozenset({"tree", "boosting", "logistic", "arima", "transformer", "graph"})
"""Families whose models do not grow with the rows: to package one takes no room for the data."""
_MOST_MEGABITS = 1_000.0
"""A task without runs is not taken to be faster with its data than a link of 1 Gbit/s."""


def _cores(kind: TaskKind, size: Size) -> float:
    """Return how many cores the work is spread over: one, and more for large tables."""
    if kind not in {TaskKind.ETL, TaskKind.FEATURES}:
        return 1.0
    wanted = size.gib / 4.0
    return min(max(1.0, 2.0 ** math.ceil(math.log2(max(wanted, 1.0)))), _MOST_CORES)


def _work_seconds(kind: TaskKind, size: Size) -> float:
    """Return core-seconds beside the start."""
    if kind is TaskKind.TRAIN:
        return _FOLDS * size.trials * sum(_fit_seconds(f, size) for f in size.families)
    if kind is TaskKind.PACKAGE:
        return 1.0
    return size.gib / _CORE_GIB_PER_SECOND


def _fit_seconds(family: str, size: Size) -> float:
    """Return core-seconds of one fit and its scoring, by the family's complexity."""
    rows, columns = size.rows, size.columns
    sorted_rows = rows * math.log2(rows + 2.0)
    match family:
        case "knn":
            return 3e-3 + 5e-11 * rows * rows * columns
        case "tree":
            return 3e-3 + 1.2e-8 * sorted_rows * columns
        case "forest":
            return 0.05 + 2.3e-7 * sorted_rows * math.sqrt(columns)
        case "svm":
            return 5e-3 + 7e-10 * rows * rows * columns
        case "boosting":
            return 0.15 + 5e-7 * rows * columns
        case "logistic":
            return 3e-3 + 5e-7 * rows * columns
        case "arima" | "transformer" | "graph":
            # Trained once, without folds and trials: what a minute of one core is, undone below.
            return 60.0 / (_FOLDS * size.trials)
        case _:
            return 0.2 + 1e-6 * rows * columns
