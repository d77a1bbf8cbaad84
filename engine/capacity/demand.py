"""Past demand as CSV: a column `hour`, then one column of demand for each pool.

Hours are instants (ISO 8601, UTC where no offset is given) or plain numbers counted up by one;
numbers have no date, and the report takes the last of them for the hour before it is made. Rows
may be missing and cells empty: those hours are unknown.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime
import io
import math
from collections.abc import Sequence

from engine.model.capacity import DemandSeries
from engine.model.errors import Fault, InvalidInputError

HOUR = 3_600.0
NUMBERED_BEFORE = 10 * 365 * 24 * HOUR
"""Series that end before 1980 were given by numbers: nobody counted GPUs then."""
_MOST_MISSING = 31 * 24
_MOST_FAULTS = 20
_MOST_UNITS = 1e7
"""More GPUs than the largest owners have: what is larger was counted in something else."""
_UNIT = "GPUs"


def read_demand(text: str, source: str = "demand") -> tuple[DemandSeries, ...]:
    """Return one series for each column after `hour`, in their order.

    source: what the text is called in faults.

    Raises:
        InvalidInputError: with all faults and their lines (the first 20; of hours out of order the
            first line, and how many there are): an empty file, other columns, a cut-off row, hours
            out of order, values that are not demand.
    """
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    while rows and not rows[-1]:
        rows.pop()
    if not rows:
        raise InvalidInputError(source, [_fault("C001", "the file is empty", 0)])
    header = [name.strip() for name in rows[0]]
    reader = _Reader(header)
    reader.check_header()
    if len(rows) == 1 and not reader.faults:
        message = "there is no row below the first line"
        reader.faults.append(_fault("C001", message, 1, source=",".join(header)))
    if not reader.faults:
        for line, cells in enumerate(rows[1:], start=2):
            reader.take(line, cells)
    faults = reader.all_faults()
    if faults:
        raise InvalidInputError(source, faults[:_MOST_FAULTS])
    return reader.series()


class _Reader:
    """Collects values row by row, and every fault on the way."""

    def __init__(self, header: Sequence[str]) -> None:
        self.faults: list[Fault] = []
        self._header = header
        self._columns: list[list[float]] = [[] for _ in header[1:]]
        self._first = 0.0
        self._next: float | None = None
        self._seen: set[float] = set()
        self._repeated: dict[str, list[Fault]] = {}

    def series(self) -> tuple[DemandSeries, ...]:
        """Return what was read."""
        return tuple(
            DemandSeries(pool=pool, unit=_UNIT, starts_at=self._first, values=tuple(values))
            for pool, values in zip(self._header[1:], self._columns, strict=True)
        )

    def all_faults(self) -> list[Fault]:
        """Return every fault by line; of a kind that one mistake repeats only the first."""
        first = [_with_more(found) for found in self._repeated.values()]
        return sorted([*self.faults, *first], key=lambda fault: fault.line)

    def check_header(self) -> None:
        """Refuse a first line that does not name `hour` and at least one pool, each once."""
        source = ",".join(self._header)
        if self._header[0].lower() != "hour":
            message = f"the first column is {self._header[0]!r}; it must be `hour`"
            fix = "start the first line with `hour`, then name one pool in each column"
            self.faults.append(_fault("C002", message, 1, fix=fix, source=source))
        elif len(self._header) == 1:
            message = "no column names a pool"
            fix = "add a column for each GPU model"
            self.faults.append(_fault("C002", message, 1, fix=fix, source=source))
        for name in dict.fromkeys(self._header):
            if not name or self._header.count(name) > 1:
                said = f"{self._header.count(name)} columns are named {name!r}"
                message = said if name else "a column has no name"
                self.faults.append(_fault("C002", message, 1, source=source))

    def take(self, line: int, cells: Sequence[str]) -> None:
        """Read one row: its hour must not lie before the one that is due."""
        if len(cells) != len(self._header):
            message = (
                f"a row was cut off: {len(cells)} values where the first line names "
                f"{len(self._header)}"
            )
            fix = "the file was cut off or damaged; fetch it again"
            self.faults.append(_fault("C003", message, line, fix=fix, source=",".join(cells)))
            return
        at = _instant(cells[0].strip())
        if at is None:
            message = f"an hour is unclear: {cells[0]!r} is neither a whole number nor an instant"
            fix = "write hours as 0, 1, 2 or as 2026-11-22T05:00Z"
            self.faults.append(_fault("C006", message, line, fix=fix, source=",".join(cells)))
            return
        if not self._skip_to(line, at, ",".join(cells)):
            return
        for name, cell, values in zip(self._header[1:], cells[1:], self._columns, strict=True):
            values.append(self._value(line, name, cell.strip(), ",".join(cells)))

    def _skip_to(self, line: int, at: float, source: str) -> bool:
        """Fill hours without a row; false when the hour is out of order or far away."""
        if self._next is None:
            self._first = self._next = at
        missing = (at - self._next) / HOUR
        if missing < 0 or missing > _MOST_MISSING or missing != int(missing):
            kind, said = self._wrong(at, missing)
            message = f"{kind}: {source.partition(',')[0]!r} {said}"
            fix = (
                "sort the rows by hour, keep one of each, and write hours of a zone with its offset"
            )
            fault = _fault("C006", message, line, fix=fix, source=source)
            self._repeated.setdefault(kind, []).append(fault)
            return False
        self._seen.add(at)
        for values in self._columns:
            values.extend([math.nan] * int(missing))
        self._next = at + HOUR
        return True

    def _wrong(self, at: float, missing: float) -> tuple[str, str]:
        """Return what is wrong with an hour that does not go on, and the reason in words."""
        if at in self._seen:
            return "an hour stands twice", "was there before"
        if missing != int(missing):
            return "the rows are not a whole number of hours apart", "lies between two hours"
        if missing < 0:
            return "the hours are not in order", "comes after a later one"
        said = f"comes after {missing:,.0f} hours without a row, {_MOST_MISSING} at most"
        return "a gap is too long", said

    def _value(self, line: int, name: str, cell: str, source: str) -> float:
        """Return a demand, or not-a-number where it is unknown; what is neither is a fault."""
        if not cell or cell.lower() == "nan":
            return math.nan
        try:
            value = float(cell)
        except ValueError:
            value = -1.0
        if value < 0 or math.isinf(value):
            message = f"demand is a number of at least 0: {name!r} is {cell!r}"
            fix = "correct the cell, or leave it empty where nothing is known, as after a reset"
            self.faults.append(_fault("C004", message, line, fix=fix, source=source))
        elif value > _MOST_UNITS:
            message = f"nobody has so many {_UNIT}: {name!r} is {cell!r}"
            fix = f"give demand in {_UNIT}; a number of this size is often memory in bytes"
            fault = _fault("C004", message, line, fix=fix, source=source)
            self._repeated.setdefault(f"unit of {name}", []).append(fault)
        return value


def _instant(text: str) -> float | None:
    """Return seconds since 1970 of a numbered hour or an instant; None for anything else."""
    if text.isdecimal():
        return int(text) * HOUR
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).timestamp()


def _with_more(faults: Sequence[Fault]) -> Fault:
    """Return the first of some faults of one kind, with how many lines are like it."""
    first, more = faults[0], len(faults) - 1
    if not more:
        return first
    said = f"{first.message}, and so on in {more} more {'line' if more == 1 else 'lines'}"
    return dataclasses.replace(first, message=said)


def _fault(code: str, message: str, line: int, *, fix: str = "", source: str = "") -> Fault:
    """Return a fault of a line."""
    column = 1 if line else 0
    return Fault(
        code=code,
        message=message,
        line=line,
        column=column,
        length=max(len(source), 1),
        source_line=source,
        fix=fix,
    )
