"""From the train task to answers: packages of the three, and the two back ends on their own."""

from __future__ import annotations

import importlib
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.model.errors import DamagedError
from executors.packaging import images, package
from executors.packaging.images import Image
from executors.packaging.security.scanning.offline import OfflineScanner
from executors.serving import models
from executors.serving.packaged import PackagedRunner
from executors.serving.runtime import loading, torch_runner
from executors.serving.runtime.settings import ModelSettings, decode
from executors.tasks.context import Task, write_json
from executors.training.operations.task import description
from executors.training.operations.template import Trained


def packaged(trained: Trained, folder: Path) -> Image:
    """The image that the package task makes of a trained template."""
    upstream = folder / "inputs" / "train"
    upstream.mkdir(parents=True)
    (folder / "outputs").mkdir()
    (upstream / trained.file).write_bytes(trained.weights)
    write_json(upstream / "template.json", description(trained))
    write_json(upstream / "example.json", trained.example)
    write_json(upstream / "experiment.json", {"data": {"metric.csv": "sha256:00"}})
    parameters = {"task": {"name": "package"}, "pipeline": "operations", "seed": 0}
    (folder / "parameters.json").write_text(json.dumps(parameters))
    environment = {
        "BERTH_PARAMETERS": str(folder / "parameters.json"),
        "BERTH_INPUTS": str(folder / "inputs"),
        "BERTH_OUTPUTS": str(folder / "outputs"),
    }
    package.run(Task.from_environment(environment))
    return images.read_image(folder / "outputs")


def answers(image: Image, rows: object) -> dict[str, Any]:
    runner = PackagedRunner(models.load(image, frozenset()))
    found = runner.run([np.array(rows, dtype=np.float64)])
    return dict(zip((spec.name for spec in runner.outputs), found, strict=True))


def test_a_packaged_forecast_answers_each_row_of_steps(forecast: Trained, tmp_path: Path) -> None:
    found = answers(packaged(forecast, tmp_path), [[3], [1]])
    expected = forecast.example["outputs"]
    assert sorted(found) == ["lower", "mean", "upper"]
    assert found["mean"] == pytest.approx([expected["mean"][2], expected["mean"][0]])


@pytest.mark.parametrize("steps", [0, 1.5, 20_000])
def test_a_forecast_refuses_steps_that_are_none(
    steps: float, forecast: Trained, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="steps"):
        answers(packaged(forecast, tmp_path), [[steps]])


def test_a_packaged_detector_labels_as_it_was_trained(detector: Trained, tmp_path: Path) -> None:
    image = packaged(detector, tmp_path)
    rows = detector.example["rows"]
    found = answers(image, rows)
    assert found["label"].tolist() == detector.example["labels"]
    assert found["probability"].shape == (len(rows), 2)
    assert image.metadata["baseline_is"] == "robust z-score"


def test_a_packaged_program_of_torch_labels_as_it_was_trained(
    locator: Trained, tmp_path: Path
) -> None:
    found = answers(packaged(locator, tmp_path), locator.example["rows"])
    assert found["label"].tolist() == locator.example["labels"]
    assert found["probability"].sum(axis=1) == pytest.approx(1.0)


def test_a_package_that_answers_its_example_otherwise_is_refused(
    forecast: Trained, tmp_path: Path
) -> None:
    image = packaged(forecast, tmp_path)
    wrong = json.loads(image.files["example.json"])
    wrong["outputs"]["mean"][0] += 100.0
    files = {**image.files, "example.json": images.canonical(wrong)}
    bad = Image(digest=image.digest, labels={}, files=files)
    with pytest.raises(DamagedError, match="'mean' of its example"):
        models.load(bad, frozenset())


# ------------------------------------------------------ back ends on their own


def version(folder: Path, trained: Trained, golden: object, settings: object = None) -> Path:
    """A folder of the standalone server."""
    folder.mkdir()
    (folder / trained.file).write_bytes(trained.weights)
    (folder / "golden.json").write_text(json.dumps([golden]))
    if settings:
        (folder / "model.json").write_text(json.dumps(settings))
    return folder


def golden_forecast(trained: Trained) -> dict[str, Any]:
    mean = trained.example["outputs"]["mean"]
    steps = {"name": "steps", "datatype": "INT64", "shape": [1], "data": [len(mean)]}
    answer = {"name": "mean", "datatype": "FP64", "shape": [len(mean)], "data": mean}
    return {"inputs": [steps], "outputs": [answer]}


def test_the_arima_back_end_answers_as_the_model_did(forecast: Trained, tmp_path: Path) -> None:
    folder = version(tmp_path / "1", forecast, golden_forecast(forecast))
    runner = loading.open_runner(folder, ModelSettings())
    mean, lower, upper = runner.run([np.array([2])])
    assert len(mean) == len(lower) == len(upper) == 2
    assert runner.platform == "statsmodels_arima"


def test_the_arima_back_end_refuses_another_answer(forecast: Trained, tmp_path: Path) -> None:
    golden = golden_forecast(forecast)
    golden["outputs"][0]["data"] = [0.0] * golden["outputs"][0]["shape"][0]
    folder = version(tmp_path / "1", forecast, golden)
    with pytest.raises(DamagedError, match="otherwise"):
        loading.open_runner(folder, ModelSettings())


@pytest.mark.parametrize("text", ["{}", "[", '{"series": "x", "order": [1], "parameters": []}'])
def test_a_damaged_arima_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "model.arima.json").write_text(text)
    with pytest.raises(DamagedError, match="no ARIMA model"):
        loading.open_runner(tmp_path, ModelSettings())


def torch_settings(trained: Trained) -> dict[str, Any]:
    rows = {"name": "features", "datatype": "FP32", "shape": [-1, len(trained.features)]}
    label = {"name": "label", "datatype": "INT64", "shape": [-1]}
    chances = {"name": "probability", "datatype": "FP32", "shape": [-1, len(trained.classes)]}
    return {"inputs": [rows], "outputs": [label, chances]}


def golden_labels(trained: Trained) -> dict[str, Any]:
    rows = trained.example["rows"]
    shape = [len(rows), len(rows[0])]
    data = [value for row in rows for value in row]
    given = {"name": "features", "datatype": "FP32", "shape": shape, "data": data}
    labels = trained.example["labels"]
    answer = {"name": "label", "datatype": "INT64", "shape": [len(labels)], "data": labels}
    return {"inputs": [given], "outputs": [answer]}


def test_the_torch_back_end_answers_as_the_model_did(locator: Trained, tmp_path: Path) -> None:
    settings = torch_settings(locator)
    folder = version(tmp_path / "1", locator, golden_labels(locator), settings)
    found = decode((folder / "model.json").read_bytes(), "model.json")
    runner = loading.open_runner(folder, found)
    rows = np.array(locator.example["rows"][:1], dtype=np.float32)
    label, chances = runner.run([rows])
    assert label.tolist() == locator.example["labels"][:1]
    assert chances.shape == (1, 4)
    assert runner.stackable
    with pytest.raises(ValueError, match=r"."):
        runner.run([rows[:, :-1]])


def test_the_torch_back_end_wants_its_tensors_named(locator: Trained, tmp_path: Path) -> None:
    folder = version(tmp_path / "1", locator, golden_labels(locator))
    with pytest.raises(DamagedError, match="does not say its inputs"):
        loading.open_runner(folder, ModelSettings())


@pytest.mark.parametrize("name", ["model.pt", "model.pt2"])
def test_a_damaged_file_of_torch_is_refused(name: str, locator: Trained, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04N.")
    settings = decode(json.dumps(torch_settings(locator)).encode(), "model.json")
    with pytest.raises(DamagedError, match="no model of torch"):
        loading.open_runner(tmp_path, settings)


class Marks:
    """Leaves a mark where it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = str(place)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (self.place,)


def rewritten(data: bytes, record: str, content: bytes) -> bytes:
    """A program of torch with another content of its record, or one more."""
    torch: Any = importlib.import_module("torch")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    found[record] = content
    target = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(target)
    for name, each in found.items():
        if not name.startswith(".data") and name not in {"byteorder", "version"}:
            writer.write_record(name, each, len(each))
    writer.write_end_of_file()
    return target.getvalue()


@pytest.mark.parametrize("record", ["data/sample_inputs/model.pt", "data/constants/opaque_obj_0"])
def test_a_program_of_torch_runs_nothing_that_it_holds(
    record: str, locator: Trained, tmp_path: Path
) -> None:
    torch: Any = importlib.import_module("torch")
    evil = io.BytesIO()
    torch.save((Marks(tmp_path / "mark"),), evil)
    harmful = rewritten(locator.weights, record, evil.getvalue())
    settings = decode(json.dumps(torch_settings(locator)).encode(), "model.json")
    (tmp_path / "model.pt2").write_bytes(harmful)
    with pytest.raises(DamagedError, match="no model of torch"):
        loading.open_runner(tmp_path, settings)
    with pytest.raises(DamagedError, match="no model of torch"):
        torch_runner.program(harmful)
    assert not (tmp_path / "mark").exists()


def test_a_program_of_a_template_holds_no_pickle(locator: Trained, tmp_path: Path) -> None:
    (tmp_path / "model.pt2").write_bytes(locator.weights)
    assert not OfflineScanner().scan(tmp_path).findings
