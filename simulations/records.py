"""Real records to replay: a table of numbers with a class in the last column."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.model.errors import Fault, InvalidInputError

Rows = NDArray[np.float64]
_CLASSES_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Rows of shape (n, features) with a class for each."""

    names: tuple[str, ...]
    rows: Rows
    labels: NDArray[np.int64]


def read_records(path: Path) -> Records:
    """Read a CSV file whose last column is the class.

    Raises:
        InvalidInputError: when it is no table of numbers, or its last column holds no classes.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *lines = list(csv.reader(file)) or [[]]
    faults: list[Fault] = []
    values: list[list[float]] = []
    for number, line in enumerate(lines, start=2):
        try:
            values.append([float(cell) for cell in line])
        except ValueError as error:
            faults.append(Fault(code="S001", message=str(error), line=number))
        else:
            if len(line) != len(header):
                message = f"has {len(line)} cells, expected {len(header)}"
                faults.append(Fault(code="S001", message=message, line=number))
    if not values and not faults:
        faults.append(Fault(code="S001", message="has no rows", line=1))
    if faults:
        raise InvalidInputError(str(path), faults)
    table = np.array(values)
    if len(np.unique(table[:, -1])) > _CLASSES_MAX:
        message = f"its last column {header[-1]!r} holds more than {_CLASSES_MAX} classes"
        raise InvalidInputError(str(path), [Fault(code="S001", message=message)])
    return Records(
        names=tuple(header[:-1]), rows=table[:, :-1], labels=table[:, -1].astype(np.int64)
    )
