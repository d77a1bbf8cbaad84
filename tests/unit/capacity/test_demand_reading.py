"""Demand is read from CSV, and every fault of a file is named with its line."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from engine.capacity import read_demand
from engine.model.errors import Fault, InvalidInputError


def faults(text: str) -> Sequence[Fault]:
    with pytest.raises(InvalidInputError) as caught:
        read_demand(text)
    return caught.value.faults


def test_each_column_is_a_series() -> None:
    first, second = read_demand("hour,A10,T4\n0,1,2\n1,3,4\n")
    assert (first.pool, first.values) == ("A10", (1.0, 3.0))
    assert (second.pool, second.values, second.unit) == ("T4", (2.0, 4.0), "GPUs")


def test_a_byte_order_mark_and_blank_last_lines_are_no_fault() -> None:
    (only,) = read_demand("\ufeffhour,A10\n0,1\n\n\n")
    assert only.values == (1.0,)


@pytest.mark.parametrize(
    "hour", ["2026-11-22T05:00Z", "2026-11-22T05:00", "2026-11-22 06:00+01:00"]
)
def test_hours_may_be_instants(hour: str) -> None:
    (only,) = read_demand(f"hour,A10\n{hour},1\n")
    assert only.starts_at == 1_795_323_600.0


def test_missing_rows_and_empty_cells_are_unknown() -> None:
    (only,) = read_demand("hour,A10\n0,1\n3,\n4,nan\n")
    assert only.values[0] == 1.0
    assert len(only.values) == 5
    assert all(math.isnan(value) for value in only.values[1:])


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff"])
def test_an_empty_file_is_refused(text: str) -> None:
    (fault,) = faults(text)
    assert (fault.code, fault.line) == ("C001", 0)


def test_a_file_with_a_header_only_is_refused() -> None:
    (fault,) = faults("hour,A10\n")
    assert (fault.code, fault.line) == ("C001", 1)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("time,A10", "'time'"),
        ("hour", "no column"),
        ("hour,A10,A10", "2 columns are named 'A10'"),
        ("hour,,A10", "no name"),
    ],
)
def test_other_columns_are_refused(header: str, said: str) -> None:
    (fault,) = faults(f"{header}\n0,1,2\n")
    assert (fault.code, fault.line) == ("C002", 1)
    assert said in fault.message


def test_a_row_that_was_cut_off_is_named_by_its_line() -> None:
    (fault,) = faults("hour,A10,T4\n0,1,2\n1,3\n")
    assert (fault.code, fault.line, fault.source_line) == ("C003", 3, "1,3")


@pytest.mark.parametrize("cell", ["many", "-1", "inf"])
def test_what_is_no_demand_is_named(cell: str) -> None:
    (fault,) = faults(f"hour,A10\n0,{cell}\n")
    assert fault.code == "C004"
    assert repr(cell) in fault.message


@pytest.mark.parametrize("second", ["0", "1000", "2026-11-22T05:30Z", "soon", "-1"])
def test_hours_that_do_not_go_on_are_refused(second: str) -> None:
    (fault,) = faults(f"hour,A10\n0,1\n{second},1\n")
    assert (fault.code, fault.line) == ("C006", 3)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ("3", "an hour stands twice: '3' was there before"),
        ("2", "the hours are not in order: '2' comes after a later one"),
        ("1000", "a gap is too long: '1000' comes after 996 hours without a row, 744 at most"),
    ],
)
def test_it_is_said_how_hours_do_not_go_on(second: str, said: str) -> None:
    (fault,) = faults(f"hour,A10\n3,1\n{second},1\n")
    assert fault.message == said


def test_half_hours_are_refused_as_such() -> None:
    (fault,) = faults("hour,A10\n2026-11-22T05:00Z,1\n2026-11-22T05:30Z,1\n")
    assert fault.message.startswith("the rows are not a whole number of hours apart: ")


def test_of_hours_out_of_order_the_first_stands_for_all() -> None:
    rows = "".join(f"{hour},1\n" for hour in (0, 9, 2, 3, 4, 9, 10))
    late, twice = faults(f"hour,A10\n{rows}")
    assert (late.line, twice.line) == (4, 7)
    assert late.message.endswith("comes after a later one, and so on in 2 more lines")
    (pair,) = faults("hour,A10\n0,1\n0,1\n0,1\n")
    assert pair.message.endswith("and so on in 1 more line")


def test_more_gpus_than_anybody_has_are_another_unit() -> None:
    (fault,) = faults("hour,A10\n0,8589934592\n")
    assert (fault.code, fault.line) == ("C004", 2)
    assert "memory in bytes" in fault.fix


def test_faults_name_what_the_text_is_called() -> None:
    with pytest.raises(InvalidInputError) as raised:
        read_demand("hour,A10\n0,x\n", "demand.csv")
    assert raised.value.document == "demand.csv"


def test_all_faults_are_reported_but_no_more_than_twenty() -> None:
    rows = "".join(f"{hour},x\n" for hour in range(30))
    found = faults(f"hour,A10\n{rows}")
    assert [fault.line for fault in found] == list(range(2, 22))


def test_a_day_of_23_hours_has_no_gap() -> None:
    hours = ["00:00+01:00", "01:00+01:00", "03:00+02:00", "04:00+02:00"]
    rows = "".join(f"2026-03-29T{hour},{place}\n" for place, hour in enumerate(hours))
    (only,) = read_demand(f"hour,A10\n{rows}")
    assert only.values == (0.0, 1.0, 2.0, 3.0)


def test_a_day_of_25_hours_repeats_none() -> None:
    hours = ["01:00+02:00", "02:00+02:00", "02:00+01:00", "03:00+01:00"]
    rows = "".join(f"2026-10-25T{hour},{place}\n" for place, hour in enumerate(hours))
    (only,) = read_demand(f"hour,A10\n{rows}")
    assert only.values == (0.0, 1.0, 2.0, 3.0)


def test_the_repeated_hour_of_a_clock_without_offset_is_refused_with_the_fix() -> None:
    (fault,) = faults("hour,A10\n2026-10-25T02:00,1\n2026-10-25T02:00,2\n")
    assert (fault.code, fault.line, fault.source_line) == ("C006", 3, "2026-10-25T02:00,2")
    assert "with its offset" in fault.fix


def test_a_counter_that_was_reset_may_leave_its_hour_empty() -> None:
    (fault,) = faults("hour,A10\n0,5\n1,-5\n2,6\n")
    assert (fault.line, fault.source_line) == (3, "1,-5")
    assert "empty where nothing is known, as after a reset" in fault.fix
    (only,) = read_demand("hour,A10\n0,5\n1,\n2,6\n")
    assert math.isnan(only.values[1])


def test_a_column_in_another_unit_is_told_once() -> None:
    rows = "".join(f"{hour},{2**40},5\n" for hour in range(48))
    (fault,) = faults(f"hour,A100,T4\n{rows}")
    assert fault.message.startswith("nobody has so many GPUs: 'A100' is")
    assert fault.message.endswith("and so on in 47 more lines")
