"""Holidays are read as days of a zone, and lines that are no dates are named."""

from __future__ import annotations

import pytest

from engine.capacity import read_holidays
from engine.model.errors import InvalidInputError

HOUR = 3_600.0


def test_each_date_is_a_day_of_the_zone() -> None:
    ((start, end),) = read_holidays("date,name\n\n# closed\n1970-01-02,New Year\n", zone="UTC")
    assert (start, end) == (24 * HOUR, 48 * HOUR)
    ((start, end),) = read_holidays("2026-03-29", zone="Europe/Paris")
    assert end - start == 23 * HOUR


def test_dates_count_once_and_in_order() -> None:
    days = read_holidays("1970-01-03\n1970-01-02\n1970-01-03\n")
    assert [start / HOUR for start, _ in days] == [24.0, 48.0]


def test_lines_that_are_no_dates_are_named_together() -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_holidays("1970-01-02\nChristmas\n25.12.2026,x\n")
    assert [(f.line, f.source_line) for f in caught.value.faults] == [
        (2, "Christmas"),
        (3, "25.12.2026,x"),
    ]


@pytest.mark.parametrize("zone", ["Mars/Olympus", "/etc"])
def test_an_unknown_zone_is_named(zone: str) -> None:
    with pytest.raises(InvalidInputError, match=zone):
        read_holidays("1970-01-02", zone=zone)
