# ruff: noqa: ANN401 - scikit-learn has no types
"""Real models for the serving benchmarks: iris, a small forest, a large forest, as repositories."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from executors.packaging import convert

SEED = 7


def iris() -> tuple[Any, Any, Any, Any]:
    """Returns rows to train on and to ask, with their labels."""
    rows, labels = load_iris(return_X_y=True)
    parts: list[Any] = train_test_split(rows, labels, test_size=0.4, random_state=SEED)
    return parts[0], parts[1], parts[2], parts[3]


def logistic() -> Any:
    """Returns the classifier that every server of the comparison serves."""
    rows, _, labels, _ = iris()
    return LogisticRegression(max_iter=1000).fit(rows, labels)


def forest(trees: int = 100) -> Any:
    """Returns a forest over iris."""
    rows, _, labels, _ = iris()
    return RandomForestClassifier(trees, random_state=SEED).fit(rows, labels)


def write_skops(model: Any, folder: Path, **settings: object) -> Path:
    """Writes a version as skops, proved by its own answers."""
    folder.mkdir(parents=True, exist_ok=True)
    skops.io.dump(model, folder / "model.skops")
    _, asked, _, _ = iris()
    golden(folder, asked[:4], model.predict(asked[:4]))
    _settings(folder, settings)
    return folder


def write_onnx(model: Any, folder: Path, **settings: object) -> Path:
    """Writes a version as ONNX, converted as packages are."""
    folder.mkdir(parents=True, exist_ok=True)
    pipeline: Any = make_pipeline(model)  # fitted already
    data = convert.to_onnx(pipeline, columns=4)
    if data is None:
        raise RuntimeError("skl2onnx does not know the model")
    (folder / "model.onnx").write_bytes(data)
    _, asked, _, _ = iris()
    golden(folder, asked[:4], model.predict(asked[:4]))
    _settings(folder, settings)
    return folder


def golden(folder: Path, rows: Any, labels: Any) -> None:
    """Writes golden requests."""
    shape = list(rows.shape)
    given = {"name": "features", "datatype": "FP32", "shape": shape, "data": rows.ravel().tolist()}
    answer = {"datatype": "INT64", "shape": [len(labels)], "data": np.asarray(labels).tolist()}
    case = {"inputs": [given], "outputs": [{"name": "label", **answer}]}
    (folder / "golden.json").write_text(json.dumps([case]), encoding="utf-8")


def body(row: Any, name: str = "features", datatype: str = "FP64") -> bytes:
    """Returns an inference request for one row."""
    tensor = {"name": name, "shape": [1, len(row)], "datatype": datatype}
    return json.dumps({"inputs": [{**tensor, "data": [float(value) for value in row]}]}).encode()


def copy(version: Path, target: Path) -> None:
    """Puts a version in place of another."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(version, target)


def _settings(folder: Path, settings: dict[str, object]) -> None:
    if settings:
        (folder / "model.json").write_text(json.dumps(settings), encoding="utf-8")
