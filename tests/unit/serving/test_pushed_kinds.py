"""Whatever a push takes is served: over a folder, and in place of a pipeline's model."""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import HuberRegressor, LinearRegression
from sklearn.svm import LinearSVC
from statsmodels.tsa.arima.model import ARIMA

from engine.model.errors import DamagedError, NotFoundError, RefusedError
from executors.packaging import images
from executors.packaging.repository import package, settings
from executors.packaging.repository.saving import save_model
from executors.packaging.security.policies.gate import Gate
from executors.serving import models, values
from executors.serving.packages import Packages
from executors.serving.pushed import admit
from executors.serving.runtime import loading, own
from executors.serving.runtime.settings import ModelSettings
from executors.serving.runtime.shelf import Shelf
from executors.serving.runtime.tensors import Tensor

ROWS = np.array([[0.0, 0.0], [1.0, 1.0], [0.2, 0.1], [0.9, 0.8]])
LABELS = np.array([0, 1, 0, 1])
TOML = 'name = "m"\nformat = "python"\nclass = "model:Model"\nfeatures = ["a", "b"]\n'
OWN = """\
import os, socket, subprocess
from pathlib import Path

class Model:
    def load(self, folder):
        self.more = float((folder / "more.txt").read_text())

    def predict(self, rows):
        {body}
"""
SUM = "return rows.sum(axis=1) + self.more"
NOSY = """\
reached = 0
        for look in (
            lambda: list(Path("/root").iterdir()),
            lambda: socket.create_connection(("127.0.0.1", 9)),
            lambda: subprocess.run(["/bin/true"], check=False),
            lambda: os.environ["BERTH_SECRET"],
        ):
            try:
                look()
            except (OSError, KeyError):
                continue
            reached += 1
        return {"label": (rows[:, 0] > 1) + reached}"""
LABELLED = {"rows": [[1, 2], [2, 2]], "labels": [0, 1]}
SUMMED = {"rows": [[1, 2], [2, 2]], "outputs": {"output": [4.0, 5.0]}}


def regressor(folder: Path) -> None:
    save_model(LinearRegression().fit(ROWS, LABELS), ROWS, folder, name="m")


def estimator(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("executors.packaging.convert.to_onnx", lambda *_, **__: None)
        save_model(HuberRegressor().fit(ROWS, LABELS), ROWS, folder, name="m")


def network(folder: Path) -> None:
    torch: Any = importlib.import_module("torch")
    layers = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    save_model(layers, ROWS, folder, name="m")


def series(folder: Path) -> None:
    walk = np.cumsum(np.random.default_rng(0).normal(size=60)) + np.arange(60)
    fitted = ARIMA(walk, order=(1, 1, 0)).fit()
    save_model(fitted, [[1], [3]], folder, name="m", features=["steps"])


def own_class(folder: Path, body: str = SUM, golden: object = SUMMED) -> None:
    (folder / "weights").mkdir(parents=True)
    (folder / "model.toml").write_text(TOML)
    (folder / "model.py").write_text(OWN.format(body=body))
    (folder / "weights" / "more.txt").write_text("1")
    (folder / "golden.json").write_text(json.dumps(golden))


def packaged(folder: Path, make: Callable[[Path], None] = own_class) -> Path:
    """The package of a model, as a push writes it; a version of the model `m`."""
    work = folder / "work"
    make(work)
    given = settings.read((work / settings.FILE).read_text())
    code = {p.name: p.read_bytes() for p in work.iterdir() if p.is_file()}
    weights = {p.name: p.read_bytes() for p in work.glob("weights/*")}
    made = package.assemble(code, weights or {given.file: code[given.file]}, given)
    layout = folder / "served" / "m" / "1"
    images.write_image(layout, made.files, labels={images.FORMAT: given.format.value})
    return layout


def asked_over_a_folder(folder: Path, rows: object) -> dict[str, Any]:
    """What a server over a folder answers for the model."""
    allowed = functools.partial(admit, Gate({"BERTH_HOME": str(folder)}))

    async def served() -> dict[str, Any]:
        shelf = Shelf(folder=folder / "served", admit=allowed)
        try:
            servable = (await shelf.load("m")).current.default
            given = Tensor("features", "FP64", np.array(rows, dtype=np.float64))
            found = await servable.infer([given], deadline=float("inf"))
        finally:
            await shelf.close()
        return dict(zip((spec.name for spec in servable.outputs), found, strict=True))

    return asyncio.run(served())


def asked_in_a_pipeline(layout: Path, rows: object) -> dict[str, Any]:
    """What a pipeline's server answers for the model."""
    packages = Packages("m", {})
    try:
        model = packages.load("x", layout)
        given = np.array(rows, dtype=np.float64)
        if model.answers is None:
            found = model.infer(given)
            return {"label": found.labels, "probability": found.probabilities}
        names = [spec.name for spec in model.answers.outputs]
        return dict(zip(names, model.answers.run(given), strict=True))
    finally:
        packages.processes.close()


@pytest.mark.parametrize(
    "make",
    [
        regressor,
        pytest.param(estimator, marks=pytest.mark.slow),
        pytest.param(network, marks=pytest.mark.xdist_group("torch")),
        series,
        own_class,
    ],
)
def test_it_answers_as_it_was_saved(tmp_path: Path, make: Callable[[Path], None]) -> None:
    layout = packaged(tmp_path, make)
    example = images.read_image(layout).document("example.json")
    found = asked_over_a_folder(tmp_path, example["rows"])
    also = asked_in_a_pipeline(layout, example["rows"])
    for name, expected in example["outputs"].items():
        assert found[name] == pytest.approx(np.array(expected), rel=1e-4)
        assert also[name] == pytest.approx(np.array(expected), rel=1e-4)


@pytest.mark.parametrize("file", ["model.onnx", "model.skops"])
def test_a_large_one_that_answers_values_is_loaded_elsewhere(
    tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "INLINE_BYTES_MAX", 0)
    layout = packaged(tmp_path, regressor if file == "model.onnx" else estimator)
    example = images.read_image(layout).document("example.json")
    found = asked_in_a_pipeline(layout, example["rows"])
    ((name, expected),) = example["outputs"].items()
    assert found[name] == pytest.approx(np.array(expected), rel=1e-4)


def test_a_classifier_that_has_no_probabilities_gives_none(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("executors.packaging.convert.to_onnx", lambda *_, **__: None)
            save_model(LinearSVC(C=100.0).fit(ROWS, LABELS), ROWS, folder, name="m")

    layout = packaged(tmp_path, make)
    assert asked_in_a_pipeline(layout, ROWS)["probability"] is None


# ------------------------------------------------------------ classes of one's own


def test_a_class_of_ones_own_reaches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BERTH_SECRET", "sesame")
    layout = packaged(tmp_path, functools.partial(own_class, body=NOSY, golden=LABELLED))
    assert asked_over_a_folder(tmp_path, [[5, 0], [0, 5]])["label"].tolist() == [1, 0]
    assert asked_in_a_pipeline(layout, [[5, 0], [0, 5]])["label"].tolist() == [1, 0]


def test_a_class_of_ones_own_runs_nowhere_else(tmp_path: Path) -> None:
    layout = packaged(tmp_path)
    with pytest.raises(RefusedError, match="class of its own"):
        models.load(images.read_image(layout), frozenset())
    unpacked = own.Unpacked(layout)
    with pytest.raises(RefusedError, match="class of its own"):
        loading.open_runner(unpacked.folder, ModelSettings())
    unpacked.remove()


@pytest.mark.parametrize(
    ("body", "golden", "says"),
    [
        ("return rows.sum(axis=1)", SUMMED, "'output' of its example otherwise"),
        ("return rows[:1, 0]", SUMMED, "of its example otherwise"),
        ("raise OSError('no disk')", SUMMED, "no disk"),
        ("return {}", LABELLED, "no `label`"),
        ("return {'label': rows[:1, 0]}", LABELLED, "with 1 labels"),
        ("os._exit(3)", SUMMED, "did not come up"),
        ("this is no Python", SUMMED, "cannot be loaded"),
    ],
)
def test_a_class_that_does_not_answer_is_refused_and_leaves_nothing(
    tmp_path: Path, body: str, golden: object, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = packaged(tmp_path, functools.partial(own_class, body=body, golden=golden))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    with pytest.raises(DamagedError, match=says):
        asked_over_a_folder(tmp_path, [[1, 2]])
    assert list(scratch.iterdir()) == []
    with pytest.raises(DamagedError, match=says):
        asked_in_a_pipeline(layout, [[1, 2]])


def test_rows_that_a_class_does_not_answer_each_are_an_error(tmp_path: Path) -> None:
    body = "return rows[:2].sum(axis=1) + 1"
    packaged(tmp_path, functools.partial(own_class, body=body))
    with pytest.raises(Exception, match="each of 3 rows"):
        asked_over_a_folder(tmp_path, [[1, 2], [2, 2], [3, 3]])


# ------------------------------------------------------------------- bad packages


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("model.txt", b"", "is no model"),
        ("model.npz", b"PK\x03\x04", "no ARIMA"),
        ("model.npz", b"{}", "no ARIMA"),
        ("model.onnx", b"x", "no ONNX"),
    ],
)
def test_files_that_are_no_models_are_refused(name: str, data: bytes, says: str) -> None:
    with pytest.raises(DamagedError, match=says):
        values.of_file(name, data)


def test_a_layout_without_an_image_or_labels(tmp_path: Path) -> None:
    images.write_image(tmp_path / "one", {"metadata.json": b"{}"}, labels={})
    assert images.newest_labels(tmp_path / "one") == {}
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (tmp_path / "none" / "index.json").write_text('{"manifests": []}')
    with pytest.raises(NotFoundError, match="no image"):
        images.newest_labels(tmp_path / "none")
