"""What a file is, before it is checked: its columns with their types, and how new it is.

A source that changed is told even where the etl task refuses what it delivered. Types are those of
the first rows; a cell more or less that is no number makes no other type.
"""

from __future__ import annotations

import csv
import itertools
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from executors.tasks.context import Origin, Task

ROWS_TYPED = 1_000
NULLS = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
_NUMBER, _TEXT, _EMPTY = "number", "text", "empty"
_FAULTS = (OSError, EOFError, UnicodeDecodeError, csv.Error)

Open = Callable[[Path], TextIO]


def tell(task: Task, path: Path, opened: Open, *, now: float | None = None) -> None:
    """Tell columns and ages of a file as signals of a task; of one that cannot be read, nothing.

    The parameter `time_column` names the column with the time of each record, in seconds since
    1970 or by ISO 8601, in UTC where no zone is given.
    """
    now = time.time() if now is None else now
    origin = Origin("etl", f"task:{task.pipeline}/{task.name}")
    try:
        found = columns(path, opened)
        newest = newest_record(path, opened, str(task.settings.get("time_column", "")))
        changed_at = path.stat().st_mtime
    except _FAULTS:
        return  # what is wrong with it is told by whoever reads all of it
    schema = "\n".join(f"{name}:{kind}" for name, kind in sorted(found.items()))
    labelled = Origin(origin.layer, origin.subject, {"schema": schema})
    task.signal(labelled, "columns", len(found))
    task.signal(origin, "source_age_seconds", max(0.0, now - changed_at), unit="s")
    if newest is not None:
        task.signal(origin, "newest_record_age_seconds", max(0.0, now - newest), unit="s")


def columns(path: Path, opened: Open) -> dict[str, str]:
    """Return the type of each column that a file's header names."""
    with opened(path) as file:
        lines = csv.reader(file)
        header = [_name(cell) for cell in next(lines, [])]
        rows = list(itertools.islice(lines, ROWS_TYPED))
    return {
        name: _type_of(row[place].strip() for row in rows if place < len(row))
        for place, name in enumerate(header)
        if name
    }


def newest_record(path: Path, opened: Open, column: str) -> float | None:
    """Return the time of the newest record; None without a column that tells it."""
    if not column:
        return None
    with opened(path) as file:
        lines = csv.reader(file)
        header = [_name(cell) for cell in next(lines, [])]
        if column not in header:
            return None
        place = header.index(column)
        return max(_times(lines, place), default=None)


def _times(lines: Iterable[Sequence[str]], place: int) -> Iterator[float]:
    for cells in lines:
        at = _time(cells[place].strip()) if place < len(cells) else math.nan
        if math.isfinite(at):
            yield at


def _time(text: str) -> float:
    """Return a time as seconds since 1970; no number for what is no time."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return math.nan
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def _name(cell: str) -> str:
    return " ".join(cell.split())


def _type_of(cells: Iterable[str]) -> str:
    """Return what most cells with a value hold; of as many, text."""
    kinds = Counter(_kind(cell) for cell in cells if cell.lower() not in NULLS)
    if not kinds:
        return _EMPTY
    return _NUMBER if kinds[_NUMBER] > kinds[_TEXT] else _TEXT


def _kind(cell: str) -> str:
    try:
        float(cell)
    except ValueError:
        return _TEXT
    return _NUMBER
