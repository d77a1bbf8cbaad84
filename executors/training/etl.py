"""The built-in `etl` task: a CSV file in, checked rows in the units of the schema out.

Reads `reads` (also `.gz`); writes `data.csv` and `schema.json`. Refuses, with file, line and what
was expected: an empty or truncated file, missing columns, rows that are mostly not numbers, and a
column whose median its unit rules out. `unit.COLUMN` (with `factor.COLUMN` for a unit that is not
known) says in what unit a column arrives when that is not the schema's. `time_column` names a
column with the time of each record, by which its age is told; it is no feature unless the schema
has it.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from executors.tasks.context import BadInputError, Origin, Task, write_json
from executors.training import deliveries, units

_REJECTED_SHARE_MAX = 0.05
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Column:
    """A column with the unit it should have, the one it arrives in, and the factor between."""

    name: str
    unit: str = ""
    input_unit: str = ""
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in the units of the schema; None where there was no value."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[float | None]]
    rejected: int

    def values(self, index: int) -> list[float]:
        """Return the values of a column that are there."""
        return [value for row in self.rows if (value := row[index]) is not None]


def run(task: Task) -> None:
    """Read, check, convert, write."""
    path = task.reads
    schema: Mapping[str, str] = task.spec.get("schema") or {}
    target = task.spec.get("target")
    deliveries.tell(task, path, open_text)
    with open_text(path) as file:
        table = read(file, path, schema=schema, target=target, settings=task.settings)
    for index, column in enumerate(table.columns):
        check_plausible(path, column, table.values(index))
    _write(task, path, table, target)
    cells = len(table.rows) * len(table.columns)
    nulls = sum(value is None for row in table.rows for value in row)
    origin = Origin("etl", f"task:{task.pipeline}/{task.name}")
    rows = len(table.rows)
    task.signal(origin, "rows", rows, shape="count")
    task.signal(origin, "nulls_share", nulls / cells, shape="share", weight=cells)
    task.signal(origin, "rejected_rows", table.rejected, shape="count")
    task.write_outputs({"rows": rows, "nulls": nulls, "columns": len(table.columns)})


def open_text(path: Path) -> TextIO:
    """Open a file of comma-separated values, with or without a byte order mark, or its `.gz`.

    Raises:
        BadInputError: when it cannot be read.
    """
    try:
        binary = gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # noqa: SIM115 - the caller closes it
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read: {error.strerror}") from error
    return io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")


def read(
    file: TextIO,
    path: Path,
    *,
    schema: Mapping[str, str],
    target: str | None,
    settings: Mapping[str, object],
) -> Table:
    """Read a table.

    Raises:
        BadInputError: when it is empty, truncated, undecodable, lacks columns or rows.
    """
    lines = _lines(file, path)
    header = [name.strip() for name in next(lines, (0, []))[1]]
    wanted = [*schema, *([target] if target else [])]
    if not any(header):
        raise BadInputError(f"{path}:1: is empty; expected a header with {_listed(wanted)}")
    _check_header(path, header, wanted)
    # The time of a record is no feature, and need not be a number.
    time_column = str(settings.get("time_column", ""))
    drops = time_column in header and time_column not in wanted
    place = header.index(time_column) if drops else len(header)
    names = [*header[:place], *header[place + 1 :]]
    columns = [_column(path, name, schema.get(name, ""), settings) for name in names]
    rows: list[list[float | None]] = []
    rejected: list[str] = []
    short = ""
    for number, cells in lines:
        short = ""
        if len(cells) < len(header):
            short = f"{path}:{number}: has {len(cells)} of {len(header)} fields"
            rejected.append(short)
            continue
        if drops:
            del cells[place]
        row, fault = _numbers(cells, columns)
        if fault:
            rejected.append(f"{path}:{number}: {fault}")
        else:
            rows.append(row)
    if short:
        raise BadInputError(f"{short}; the file is truncated")
    if not rows and not rejected:
        raise BadInputError(f"{path}:2: has a header and no rows; expected at least one")
    if len(rejected) > _REJECTED_SHARE_MAX * (len(rows) + len(rejected)):
        total = len(rows) + len(rejected)
        raise BadInputError(f"{rejected[0]}; {len(rejected)} of {total} rows cannot be read")
    return Table(columns=columns, rows=rows, rejected=len(rejected))


def check_plausible(path: Path, column: Column, values: Sequence[float]) -> None:
    """Refuse a column whose median cannot be in its unit.

    Raises:
        BadInputError: with the unit it looks like and the parameter that says so.
    """
    limits = units.plausible(column.unit)
    if limits is None or not values:
        return
    median = statistics.median(values)
    if limits[0] <= median <= limits[1]:
        return
    like = units.likely_units(column.name, median=median, wanted=column.unit)
    hint = f"; it looks like {like[0]}: set `unit.{column.name}` to it" if like else ""
    raise BadInputError(
        f"{path}:1: column {column.name!r} has the median {median:.4g} {column.unit},"
        f" expected {limits[0]:g} to {limits[1]:g}{hint}"
    )


def _lines(file: TextIO, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of every line that is not blank."""
    reader = csv.reader(file)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInputError(f"{path}:{reader.line_num + 1}: is not text: {error}") from error
    except EOFError as error:
        raise BadInputError(f"{path}:{reader.line_num}: the file is truncated") from error
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read: {error}") from error


def _check_header(path: Path, header: Sequence[str], wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in header]
    if missing:
        raise BadInputError(f"{path}:1: has no column {_listed(missing)}; found {_listed(header)}")
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise BadInputError(f"{path}:1: names {_listed(repeated)} more than once")


def _column(path: Path, name: str, unit: str, settings: Mapping[str, object]) -> Column:
    """Return a column with the conversion that the run asks for."""
    arrives_in = str(settings.get(f"unit.{name}", unit))
    given = settings.get(f"factor.{name}")
    if isinstance(given, int | float):
        return Column(name, unit, arrives_in, float(given))
    known = units.factor(name, arrives_in=arrives_in, wanted=unit)
    if known is None:
        raise BadInputError(
            f"{path}:1: no factor from {arrives_in!r} to {unit!r} is known for column {name!r};"
            f" set `factor.{name}` too"
        )
    return Column(name, unit, arrives_in, known)


def _numbers(cells: Sequence[str], columns: Sequence[Column]) -> tuple[list[float | None], str]:
    """Return a row in the schema's units, and what is wrong with it or ""."""
    row: list[float | None] = []
    for cell, column in zip(cells, columns, strict=False):
        text = cell.strip()
        if text.lower() in deliveries.NULLS:
            row.append(None)
            continue
        try:
            row.append(float(text) * column.factor)
        except ValueError:
            return [], f"column {column.name!r} holds {text!r}, expected a number"
    return row, ""


def _write(task: Task, path: Path, table: Table, target: str | None) -> None:
    """Write the rows and what is known about their columns."""
    with (task.outputs / "data.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(column.name for column in table.columns)
        writer.writerows(
            ["nan" if value is None else repr(value) for value in row] for row in table.rows
        )
    columns = [
        {"name": c.name, "unit": c.unit, "input_unit": c.input_unit, "factor": c.factor}
        for c in table.columns
    ]
    source = {"name": path.name, "digest": _digest(path)}
    document = {"columns": columns, "target": target or table.columns[-1].name, "source": source}
    write_json(task.outputs / "schema.json", document)


def _digest(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            hasher.update(chunk)
    return f"sha256:{hasher.hexdigest()}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names) or "at least one column"
