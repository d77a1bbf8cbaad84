"""What a delivery tells of itself, and what the watch makes of one that changed."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from alarms import HypothesisTree
from alarms.detection.detector import StatisticalDetector
from engine.model import documents
from engine.model.alarms import Alarm, Cause, CauseKind
from engine.model.signals import Signal
from engine.testing.watch_suites import group
from executors.tasks.context import BadInputError
from executors.training import deliveries
from executors.training.etl import open_text
from tests.support.heart_tasks import CSV, ETL, HeartTasks

ROWS = list(csv.reader(CSV.read_text(encoding="utf-8-sig").splitlines()))
RECORDS = """at,value,site
2026-01-02T03:04:05+00:00,1,a
2026-01-05T00:00:00,2,b
,3,b
soon,4,b
2026-01-03T00:00:00Z,5,
6
"""


def without(column: str) -> list[list[str]]:
    place = ROWS[0].index(column)
    return [[*row[:place], *row[place + 1 :]] for row in ROWS]


def renamed(column: str, name: str) -> list[list[str]]:
    return [[name if each == column else each for each in ROWS[0]], *ROWS[1:]]


def spelled(column: str) -> list[list[str]]:
    place = ROWS[0].index(column)
    return [ROWS[0], *([*row[:place], "high", *row[place + 1 :]] for row in ROWS[1:])]


def written(path: Path, rows: list[list[str]]) -> Path:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    path.write_text(text.getvalue())
    return path


def watched(tmp_path: Path, *deliveries_of_days: list[list[str]]) -> tuple[list[Alarm], Cause]:
    """Run the etl task on one delivery after the other; return the alarms, and the first cause."""
    signals: list[Signal] = []
    for day, rows in enumerate(deliveries_of_days):
        tasks = HeartTasks(tmp_path / str(day))
        path = written(tmp_path / "delivery.csv", rows)
        try:
            tasks.run("etl", "etl", **{**ETL, "reads": str(path)})
        except BadInputError:
            assert day == len(deliveries_of_days) - 1
        lines = (tasks.home / "etl" / "signals.jsonl").read_text().splitlines()
        signals += [documents.decode(Signal, line) for line in lines]
    alarms = list(StatisticalDetector().observe(signals))
    return alarms, HypothesisTree().causes(group(*alarms), signals, ())[0]


def test_a_column_that_upstream_drops_is_a_schema_alarm_of_the_kind_data(tmp_path: Path) -> None:
    assert "chol" in ETL["schema"]
    (alarm, *_), cause = watched(tmp_path, ROWS, ROWS, without("chol"))
    assert (alarm.signal, alarm.test) == ("columns", "schema")
    assert alarm.message.endswith("changed: column chol is gone")
    assert cause.kind is CauseKind.DATA
    assert "column chol is gone" in cause.title


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: renamed("chol", "cholesterol"), "column chol is gone; column cholesterol is new"),
        (lambda: spelled("chol"), "column chol holds text, was number"),
        (lambda: [[*row, "7"] if row is not ROWS[0] else [*row, "bmi"] for row in ROWS], "bmi is"),
    ],
)
def test_what_was_renamed_retyped_or_added_is_named(
    tmp_path: Path, change: Callable[[], list[list[str]]], said: str
) -> None:
    alarms, cause = watched(tmp_path, ROWS, change())
    (alarm,) = [each for each in alarms if each.signal == "columns"]
    assert said in alarm.message
    assert cause.kind is CauseKind.DATA


def told(tmp_path: Path, path: Path, **parameters: str) -> dict[str, float]:
    tasks = HeartTasks(tmp_path / "home")
    tasks.run("etl", "etl", reads=str(path), parameters=parameters)
    return {each["name"]: each["value"] for each in tasks.signals("etl")}


def test_the_newest_record_tells_its_age(tmp_path: Path) -> None:
    path = tmp_path / "records.csv"
    path.write_text("at,value\n2026-01-02T03:04:05+00:00,1\n2026-01-05T00:00:00,2\n")
    found = told(tmp_path, path, time_column="at")
    assert found["newest_record_age_seconds"] > 0
    table = (tmp_path / "home" / "etl" / "outputs" / "data.csv").read_text()
    assert table.splitlines() == ["value", "1.0", "2.0"]


def test_times_are_read_in_utc_unless_they_say_more(tmp_path: Path) -> None:
    path = tmp_path / "records.csv"
    path.write_text(RECORDS)
    assert deliveries.newest_record(path, open_text, "at") == 1_767_571_200.0
    assert deliveries.newest_record(path, open_text, "value") == 5.0
    assert deliveries.newest_record(path, open_text, "site") is None
    assert deliveries.newest_record(path, open_text, "elsewhere") is None
    assert deliveries.newest_record(path, open_text, "") is None


def test_types_are_those_of_most_cells(tmp_path: Path) -> None:
    path = tmp_path / "records.csv"
    path.write_text("a, b  c ,d,,e\n1,x,,9,1\n2,3,na,9,x\nx,y,null,9\n")
    found = deliveries.columns(path, open_text)
    assert found == {"a": "number", "b c": "text", "d": "empty", "e": "text"}


def test_a_file_tells_when_it_was_written(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", [["a"], ["1"]])
    os.utime(path, (path.stat().st_mtime - 5_000, path.stat().st_mtime - 5_000))
    assert told(tmp_path, path)["source_age_seconds"] >= 5_000


def test_a_file_that_cannot_be_read_tells_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"a,b\n\xff\xfe,1\n")
    tasks = HeartTasks(tmp_path / "home")
    with pytest.raises(BadInputError, match="is not text"):
        tasks.run("etl", "etl", reads=str(path))
    assert not (tasks.home / "etl" / "signals.jsonl").exists()
