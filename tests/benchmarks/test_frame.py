"""The frame of the benchmarks: catalogue, figures, exit codes and JSON."""

import argparse
import json
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import frame


def test_catalogue_names_each_benchmark_with_a_summary() -> None:
    catalogue = frame.catalogue()
    assert "cli.start" in catalogue
    assert all(summary.endswith(".") for summary in catalogue.values())


def test_catalogue_does_not_list_the_frame() -> None:
    assert not {"frame", "__main__"} & set(frame.catalogue())


def test_unknown_name_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["nope"]) == 2
    assert "cli.start" in capsys.readouterr().err


@pytest.mark.parametrize(("value", "holds"), [(1.0, True), (2.0, True), (2.1, False)])
def test_at_most_holds_up_to_its_bar(value: float, holds: bool) -> None:
    assert frame.at_most("x", value, 2.0).holds is holds


@pytest.mark.parametrize(("value", "holds"), [(1.9, False), (2.0, True), (3.0, True)])
def test_at_least_holds_from_its_bar(value: float, holds: bool) -> None:
    assert frame.at_least("x", value, 2.0).holds is holds


def test_missing_data_names_folder_and_pattern(tmp_path: Path) -> None:
    context = frame.Context(data=tmp_path, scratch=tmp_path)
    with pytest.raises(frame.MissingDataError, match="jobs-"):
        context.file("jobs-*.csv.gz")


def test_files_are_found_by_pattern_and_sorted(tmp_path: Path) -> None:
    for name in ("jobs-b.csv", "jobs-a.csv", "other.csv"):
        (tmp_path / name).touch()
    context = frame.Context(data=tmp_path, scratch=tmp_path)
    assert [path.name for path in context.files("jobs-*.csv")] == ["jobs-a.csv", "jobs-b.csv"]


@pytest.mark.parametrize(("value", "code"), [(1.0, 0), (3.0, 1)])
def test_exit_code_says_whether_bars_hold(
    value: float, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(context: frame.Context) -> list[frame.Figure]:
        return [frame.at_most("seconds", value, 2.0, unit="s"), frame.informs("rows", 12_345)]

    fake = frame.Benchmark(name="fake", run=run, add_options=None)
    monkeypatch.setattr(frame, "load", lambda _name: fake)
    target = tmp_path / "out" / "figures.json"
    assert command.main(["fake", "--json", str(target)]) == code
    written = json.loads(target.read_text(encoding="utf-8"))
    assert set(written) == {"benchmark", "version", "date", "machine", "figures"}
    assert set(written["figures"][0]) == {"name", "value", "unit", "bar", "anchor", "holds"}


def test_a_benchmark_takes_options_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def add_options(group: argparse._ArgumentGroup) -> None:
        group.add_argument("--seconds", type=float, default=10.0)

    def run(context: frame.Context) -> list[frame.Figure]:
        return [frame.informs("seconds", context.options["seconds"])]

    fake = frame.Benchmark(name="fake", run=run, add_options=add_options)
    monkeypatch.setattr(frame, "load", lambda _name: fake)
    assert command.main(["fake", "--seconds", "2.5"]) == 0
    assert "2.5" in capsys.readouterr().out
    assert command.main(["fake"]) == 0
    assert "10" in capsys.readouterr().out


def test_table_says_no_where_a_bar_does_not_hold() -> None:
    assert frame.table([frame.at_most("seconds", 3, 2)]).endswith("NO")
