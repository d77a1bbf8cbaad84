"""Holidays as text: a date a line (`2026-12-25`), behind a comma its name."""

from __future__ import annotations

import datetime
import zoneinfo

from engine.model.errors import Fault, InvalidInputError

_DOCUMENT = "holidays"
_MOST_FAULTS = 20
_DAY = datetime.timedelta(days=1)


def read_holidays(text: str, *, zone: str = "UTC") -> tuple[tuple[float, float], ...]:
    """Return the instants at which each holiday begins and ends, in order of time, each once.

    Empty lines, lines that begin with `#`, and a first line `date` are passed over.

    Args:
        text: The lines.
        zone: IANA name of the zone whose days are meant; its clock may make them 23 or 25 hours.

    Raises:
        InvalidInputError: with every line that is no date (the first 20), and for a zone that is
            not known.
    """
    try:
        where = zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
        message = f"the zone {zone!r} is not known"
        fault = Fault(code="C006", message=message, fix="write an IANA name: Europe/Paris")
        raise InvalidInputError(_DOCUMENT, [fault]) from error
    days: set[datetime.date] = set()
    faults: list[Fault] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        cell = line.partition(",")[0].strip()
        if not cell or cell.startswith("#") or (number == 1 and cell.lower() == "date"):
            continue
        try:
            days.add(datetime.date.fromisoformat(cell))
        except ValueError:
            faults.append(_fault(number, cell, line))
    if faults:
        raise InvalidInputError(_DOCUMENT, faults[:_MOST_FAULTS])
    midnight = datetime.time()
    return tuple(
        (
            datetime.datetime.combine(day, midnight, where).timestamp(),
            datetime.datetime.combine(day + _DAY, midnight, where).timestamp(),
        )
        for day in sorted(days)
    )


def _fault(number: int, cell: str, line: str) -> Fault:
    """Return the fault of a line that is no date."""
    return Fault(
        code="C006",
        message=f"line {number}: {cell!r} is no date",
        line=number,
        column=1,
        length=max(len(line), 1),
        source_line=line,
        fix="write dates as 2026-12-25",
    )
