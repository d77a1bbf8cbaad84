"""What the models of operations learn, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from executors.packaging.repository import settings as repository
from executors.tasks.context import BadInputError
from executors.training.operations import folder, series, template
from executors.training.operations.template import Order, Template, Trained, WeightsFormat


def order(source: Path, **settings: str | float) -> Order:
    return Order(source=source, settings=settings, seed=1)


def test_a_forecast_of_a_season_is_about_as_good_as_the_season_itself(forecast: Trained) -> None:
    assert forecast.quality > -0.3
    assert forecast.figures["mean_absolute_error"] < 3
    assert forecast.figures["coverage_95"] > 0.7


def test_a_forecast_lies_within_its_interval(forecast: Trained) -> None:
    found = forecast.example["outputs"]
    assert np.all(np.array(found["lower"]) < found["mean"])
    assert np.all(np.array(found["mean"]) < found["upper"])


def test_a_detector_finds_a_spike_that_is_labelled(detector: Trained) -> None:
    assert detector.quality == 1.0
    assert detector.figures["anomalies"] == 1
    assert detector.losses[-1] < detector.losses[0]


def test_a_locator_blames_who_is_down_not_who_is_slow(locator: Trained) -> None:
    assert locator.quality > 0.9
    assert locator.classes == ("front", "cart", "shop", "pay")
    assert locator.figures["alerts_left_out"] == 24
    assert locator.format is WeightsFormat.TORCH


def test_the_same_seed_trains_the_same_network(data: Path, locator: Trained) -> None:
    settings = {"folds": 2, "steps": 40, "format": "torch"}
    again = template.train(Template.LOCATOR, order(data / "faults", **settings))
    assert again.outputs() == locator.outputs()


def test_what_is_written_is_a_folder_that_the_repository_reads(
    forecast: Trained, tmp_path: Path
) -> None:
    folder.write(forecast, tmp_path / "load", "load")
    found = repository.read((tmp_path / "load" / "model.toml").read_text())
    assert (found.name, found.file, found.classes) == ("load", "model.arima.json", ())
    assert json.loads((tmp_path / "load" / "golden.json").read_text())["outputs"]["mean"]


def test_a_file_that_people_changed_is_kept(forecast: Trained, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("numpy==2.0.0\n")
    folder.write(forecast, tmp_path, "load")
    assert (tmp_path / "requirements.txt").read_text() == "numpy==2.0.0\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("timestamp,value\n1,2\n", "1 values"),
        ("timestamp,value\n1,2\nx,3\n", "line 3"),
        ("value\n1\n", "a time and a value"),
    ],
)
def test_bad_metrics_are_refused_by_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text(text)
    with pytest.raises(BadInputError, match=message):
        series.load(path, {})


def test_gaps_of_a_metric_are_bridged_by_straight_lines(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("timestamp,value\n0,1\n10,2\n20,3\n40,5\n")
    values, step = series.regular(series.load(path, {}))
    assert step == 10
    assert values.tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("kind", "source", "settings", "message"),
    [
        ("arima", "metric.csv", {"season": 90}, "at least"),
        ("arima", "metric.csv", {"season": "many"}, "not a whole number"),
        ("arima", "metric.csv", {"value": "load"}, "no column 'load'"),
        ("transformer", "metric.csv", {"window": 400}, "has 2000 values"),
        ("transformer", "metric.csv", {"format": "pickle"}, "'onnx' or 'torch'"),
        ("transformer", "metric.csv", {"flagged": 2}, "share"),
        ("graph", "faults", {"folds": 50}, "at least 100"),
        ("graph", ".", {}, "topology.json"),
    ],
)
def test_what_cannot_be_trained_is_said(
    kind: str, source: str, settings: dict[str, str | float], message: str, data: Path
) -> None:
    pytest.importorskip("torch")
    with pytest.raises(BadInputError, match=message):
        template.train(Template(kind), order(data / source, **settings))


def test_a_case_that_blames_a_stranger_is_refused(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    for name in ("alerts.csv", "topology.json"):
        (tmp_path / name).write_bytes((data / "faults" / name).read_bytes())
    (tmp_path / "labels.csv").write_text("case,entity\n0,nobody\n")
    with pytest.raises(BadInputError, match="blames 'nobody'"):
        template.train(Template.LOCATOR, order(tmp_path))


def test_a_template_does_not_race_with_others() -> None:
    with pytest.raises(BadInputError, match="cannot race"):
        template.template_of(["arima", "knn"])
    assert template.template_of(["knn", "tree"]) is None
