"""A plain object is saved without a pickle, and the image's program answers as it did."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from sklearn.linear_model import HuberRegressor, LinearRegression, LogisticRegression
from sklearn.neighbors import LocalOutlierFactor
from statsmodels.tsa.arima.model import ARIMA

from engine.model.errors import RefusedError
from executors.packaging.repository import gates, package, settings
from executors.packaging.repository.saving import save_model

ROWS = np.array([[0.0, 0.0], [1.0, 1.0], [0.2, 0.1], [0.9, 0.8]])
LABELS = np.array([0, 1, 0, 1])


def judged(folder: Path, file: Path) -> list[gates.Gate]:
    """The tests of the folder's model that do not hold, asked by the image's program."""
    given = settings.read((folder / settings.FILE).read_text())
    code = {path.name: path.read_bytes() for path in folder.iterdir() if path != file}
    made = package.assemble(code, {file.name: file.read_bytes()}, given)
    checker = gates.Checker(gates.surroundings(given.format, None))
    found = gates.judge(made, checker)
    checker.end()
    return [gate for gate in found if not gate.holds]


@pytest.mark.parametrize("model", [LogisticRegression(C=100.0), LinearRegression()])
def test_an_estimator_becomes_onnx(tmp_path: Path, model: LogisticRegression) -> None:
    file = save_model(model.fit(ROWS, LABELS), ROWS, tmp_path / "m", name="churn")
    assert file.name == "model.onnx"
    assert judged(tmp_path / "m", file) == []
    assert "onnxruntime==" in (tmp_path / "m/requirements.txt").read_text()


@pytest.mark.xdist_group("torch")
def test_a_network_of_torch_becomes_a_program(tmp_path: Path) -> None:
    torch: Any = importlib.import_module("torch")
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    file = save_model(network, ROWS, tmp_path / "m", name="churn")
    assert file.name == "model.pt2"
    with torch.no_grad():
        wanted = network(torch.tensor(ROWS, dtype=torch.float32)).numpy()
    golden = json.loads((tmp_path / "m/golden.json").read_text())
    assert np.allclose(golden["outputs"]["output"], wanted)
    assert judged(tmp_path / "m", file) == []
    assert "torch==" in (tmp_path / "m/requirements.txt").read_text()


def test_an_arima_becomes_the_numbers_it_is_made_of(tmp_path: Path) -> None:
    values = np.cumsum(np.random.default_rng(0).normal(size=60)) + np.arange(60)
    fitted = ARIMA(values, order=(1, 1, 0)).fit()
    file = save_model(fitted, [[1], [3]], tmp_path / "m", name="load", features=["steps"])
    assert file.name == "model.npz"
    golden = json.loads((tmp_path / "m/golden.json").read_text())
    assert golden["outputs"]["output"] == pytest.approx(fitted.forecast(3)[[0, 2]])
    assert judged(tmp_path / "m", file) == []
    with np.load(file, allow_pickle=False) as kept:
        assert kept["order"].tolist() == [1, 1, 0]


@pytest.mark.slow
def test_what_onnx_cannot_hold_becomes_skops(tmp_path: Path) -> None:
    model = HuberRegressor().fit(ROWS, LABELS)
    convert = "executors.packaging.convert.to_onnx"
    with mock.patch(convert, return_value=None):
        file = save_model(model, ROWS, tmp_path / "m", name="churn", features=["age", "spend"])
    assert file.name == "model.skops"
    golden = json.loads((tmp_path / "m/golden.json").read_text())
    assert golden["outputs"]["label"] == model.predict(ROWS).tolist()
    assert judged(tmp_path / "m", file) == []
    assert '"age", "spend"' in (tmp_path / "m/model.toml").read_text()


def test_files_of_ones_own_are_kept(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text("mine")
    save_model(LogisticRegression().fit(ROWS, LABELS), ROWS, tmp_path, name="churn")
    assert (tmp_path / "model.toml").read_text() == "mine"


def test_what_cannot_be_saved_is_refused(tmp_path: Path) -> None:
    fitted = LogisticRegression().fit(ROWS, LABELS)
    for model, rows, name in (
        (object(), ROWS, "m"),
        (LocalOutlierFactor(n_neighbors=2), ROWS, "m"),
        (b"no onnx", ROWS, "m"),
        (LogisticRegression().fit(ROWS, ["a", "b", "a", "b"]), ROWS, "m"),
        (fitted, ROWS[0], "m"),
        (fitted, ROWS, "../m"),
    ):
        with pytest.raises(RefusedError):
            save_model(model, rows, tmp_path, name=name)
    assert list(tmp_path.iterdir()) == []
