"""Run histories are read from CSV, and every fault of a file is named with its line."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

import forecasting
from engine.model.errors import Fault, InvalidInputError
from engine.model.specs import TaskKind
from forecasting.history import COLUMNS, read_history, write_history

HEADER = ",".join(COLUMNS)
ROW = "heart,knn,train,rows=303;model=knn;share=0.5;big=true,100,2.5,0.9,0.25,0.01,0,0,0,true"


def faults(text: str) -> Sequence[Fault]:
    with pytest.raises(InvalidInputError) as caught:
        read_history(text)
    return caught.value.faults


def test_a_row_is_a_record() -> None:
    (record,) = read_history(f"{HEADER}\n{ROW}\n")
    assert (record.pipeline, record.task, record.kind) == ("heart", "knn", TaskKind.TRAIN)
    assert record.attributes == {"rows": 303, "model": "knn", "share": 0.5, "big": True}
    assert (record.duration_seconds, record.memory_gib_peak, record.succeeded) == (2.5, 0.25, True)


def test_what_was_written_is_read_back() -> None:
    records = read_history(f"{HEADER}\n{ROW}\n{ROW.replace('true', 'false')}\n")
    assert read_history(write_history(records)) == records


@pytest.mark.parametrize(("text", "line"), [("", 0), (f"{HEADER}\n", 1)])
def test_an_empty_file_is_refused(text: str, line: int) -> None:
    (fault,) = faults(text)
    assert (fault.code, fault.line) == ("H001", line)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (HEADER.replace("kind,", ""), "lacks kind"),
        (f"{HEADER},colour", "unknown 'colour'"),
        (f"{HEADER},kind", "twice"),
    ],
)
def test_other_columns_are_refused(header: str, said: str) -> None:
    (fault,) = faults(f"{header}\n{ROW}\n")
    assert (fault.code, fault.line) == ("H002", 1)
    assert said in fault.message


def test_a_row_that_was_cut_off_is_named_by_its_line() -> None:
    (fault,) = faults(f"{HEADER}\n{ROW}\nheart,knn\n")
    assert (fault.code, fault.line) == ("H003", 3)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (",train,", ",trian,"),
        (",2.5,", ",soon,"),
        (",2.5,", ",-1,"),
        (",2.5,", ",inf,"),
        (",0,true", ",0,perhaps"),
        ("rows=303", "rows"),
    ],
)
def test_what_a_column_cannot_hold_is_named(right: str, wrong: str) -> None:
    (fault,) = faults(f"{HEADER}\n{ROW.replace(right, wrong)}\n")
    assert (fault.code, fault.line) == ("H004", 2)


def test_a_negative_duration_shows_the_text_of_its_line_and_what_to_correct() -> None:
    bad = ROW.replace(",2.5,", ",-2.5,")
    (fault,) = faults(f"{HEADER}\n{ROW}\n{bad}\n")
    assert (fault.line, fault.source_line, fault.length) == (3, bad, len(bad))
    assert "'-2.5'" in fault.message
    assert "clock or the counter" in fault.fix


def test_all_faults_are_reported_together() -> None:
    bad = ROW.replace(",train,", ",trian,").replace(",2.5,", ",soon,")
    assert [fault.line for fault in faults(f"{HEADER}\n{bad}\n{bad}\n")] == [2, 2, 3, 3]


def test_only_public_names_are_found_in_the_package() -> None:
    assert forecasting.read_history is read_history
    with pytest.raises(AttributeError, match="nothing"):
        _ = getattr(forecasting, "nothing")  # noqa: B009 - the name must not be known to a checker
