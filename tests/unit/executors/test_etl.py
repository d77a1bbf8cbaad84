"""The etl task: what it accepts, converts and refuses."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from executors.tasks.context import BadInputError
from tests.support.heart_tasks import CSV, ETL, HeartTasks

LINES = CSV.read_text(encoding="utf-8-sig").splitlines()


def with_chol(factor: float) -> str:
    rows = [line.split(",") for line in LINES[1:]]
    changed = [[*row[:4], str(float(row[4]) * factor), *row[5:]] for row in rows]
    return "\n".join([LINES[0], *(",".join(row) for row in changed)]) + "\n"


def etl(tmp_path: Path, text: str | bytes, **spec: object) -> HeartTasks:
    path = tmp_path / "data.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = HeartTasks(tmp_path / "home")
    found.run("etl", "etl", **{**ETL, "reads": str(path), **spec})
    return found


def refusal(tmp_path: Path, text: str | bytes, **spec: object) -> str:
    with pytest.raises(BadInputError) as caught:
        etl(tmp_path, text, **spec)
    return str(caught.value)


def test_the_published_file_is_read_as_it_is(tmp_path: Path) -> None:
    found = HeartTasks(tmp_path)
    assert found.run("etl", "etl", **ETL) == {"rows": 303, "nulls": 0, "columns": 14}


def test_it_measures_itself(tmp_path: Path) -> None:
    found = HeartTasks(tmp_path)
    found.run("etl", "etl", **ETL)
    values = {each["name"]: each["value"] for each in found.signals("etl")}
    age = values.pop("source_age_seconds")
    assert age >= 0
    assert values == {"columns": 14, "rows": 303, "nulls_share": 0.0, "rejected_rows": 0}


def test_a_gzipped_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(CSV.read_bytes()))
    found = HeartTasks(tmp_path / "home")
    assert found.run("etl", "etl", **{**ETL, "reads": str(tmp_path / "x.csv.gz")})["rows"] == 303


def test_a_cut_gzip_file_is_truncated(tmp_path: Path) -> None:
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(CSV.read_bytes())[:500])
    with pytest.raises(BadInputError, match="truncated"):
        HeartTasks(tmp_path / "home").run(
            "etl", "etl", **{**ETL, "reads": str(tmp_path / "x.csv.gz")}
        )


def test_a_file_that_is_no_gzip_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.csv.gz").write_text("plain")
    with pytest.raises(BadInputError, match="cannot be read"):
        HeartTasks(tmp_path / "home").run(
            "etl", "etl", **{**ETL, "reads": str(tmp_path / "x.csv.gz")}
        )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ":1: is empty; expected a header with 'age'"),
        (LINES[0] + "\n", ":2: has a header and no rows"),
        ("a,b\n1,2\n", ":1: has no column 'age', 'trestbps'"),
        ("\n".join(LINES)[:-9], "fields; the file is truncated"),
        (LINES[0].replace("sex", "age") + "\n" + LINES[1], "names 'age' more than once"),
        (b"\xff\xfe\x00a", "is not text"),
        (LINES[0] + "\n" + LINES[1].replace("233", "high"), "'chol' holds 'high'"),
    ],
)
def test_bad_files_are_refused_with_place_and_reason(
    tmp_path: Path, text: str | bytes, expected: str
) -> None:
    message = refusal(tmp_path, text)
    assert expected in message
    assert message.startswith(str(tmp_path / "data.csv"))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="No such file"):
        HeartTasks(tmp_path).run("etl", "etl", **{**ETL, "reads": "absent.csv"})


def test_a_task_that_reads_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="says no file"):
        HeartTasks(tmp_path).run("etl", "etl")


def test_a_few_bad_rows_are_rejected_and_counted(tmp_path: Path) -> None:
    found = etl(tmp_path, "\n".join([*LINES[:5], "x,y", *LINES[5:]]) + "\n")
    assert found.values("etl")["rows"] == 303
    assert next(s["value"] for s in found.signals("etl") if s["name"] == "rejected_rows") == 1


def test_empty_cells_are_nulls(tmp_path: Path) -> None:
    found = etl(tmp_path, "\n".join(LINES).replace(",233,", ",NA,") + "\n")
    assert found.values("etl")["nulls"] > 0
    assert "nan" in (found.outputs("etl") / "data.csv").read_text()


def test_another_unit_is_refused_with_the_remedy(tmp_path: Path) -> None:
    message = refusal(tmp_path, with_chol(1 / 38.67))
    assert "'chol' has the median 6.2" in message
    assert "it looks like mmol/L: set `unit.chol`" in message


def test_the_remedy_converts_back(tmp_path: Path) -> None:
    found = etl(tmp_path, with_chol(1 / 38.67), overrides={"unit.chol": "mmol/L"})
    first = (found.outputs("etl") / "data.csv").read_text().splitlines()[1].split(",")
    assert float(first[4]) == pytest.approx(233.0)
    schema = json.loads((found.outputs("etl") / "schema.json").read_text())
    chol = next(column for column in schema["columns"] if column["name"] == "chol")
    assert chol == {"name": "chol", "unit": "mg/dL", "input_unit": "mmol/L", "factor": 38.67}


def test_a_unit_without_a_known_factor_asks_for_one(tmp_path: Path) -> None:
    assert "set `factor.chol` too" in refusal(
        tmp_path, with_chol(1.0), overrides={"unit.chol": "grains"}
    )


def test_a_factor_may_be_given(tmp_path: Path) -> None:
    overrides = {"unit.chol": "grains", "factor.chol": 2.0}
    found = etl(tmp_path, with_chol(0.5), overrides=overrides)
    first = (found.outputs("etl") / "data.csv").read_text().splitlines()[1].split(",")
    assert float(first[4]) == pytest.approx(233.0)


def test_units_of_every_kind_are_refused_when_implausible(tmp_path: Path) -> None:
    assert "expected 20 to 300" in refusal(
        tmp_path, "age,thalach,target\n50,1.5,1\n", schema={"thalach": "bpm"}
    )
