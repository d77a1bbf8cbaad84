"""A packaged model ready to answer: loaded, checked on its own example, never changed again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.model.errors import DamagedError
from engine.model.identifiers import Digest
from executors.packaging import images
from executors.packaging.images import Image
from executors.serving import aside
from executors.serving.runtime import onnx_runner, pickles
from executors.serving.runtime.loading import INLINE_BYTES_MAX
from executors.serving.runtime.onnx_runner import RUNTIME_ERRORS as RUNTIME_ERRORS
from executors.serving.runtime.processes import Processes

Rows = NDArray[np.float64]
Predict = Callable[[Rows], tuple[NDArray[np.int64], NDArray[np.float32] | None]]
_AGAIN = "package the model again"
_SERIES = ".arima.json"
_PICKLE = ".pkl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A column of the input: the unit the model knows and the one in which requests arrive."""

    name: str
    unit: str
    input_unit: str
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Answers for some rows.

    labels: (rows,); probabilities: (rows, classes) or None for a model without;
    rows: what the model saw, in its own units.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32] | None
    rows: Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a model gives that answers values, not labels: names of its outputs, and how.

    run: of rows in the model's units, one array for each output, its first dimension the rows.
    """

    names: tuple[str, ...]
    run: Callable[[Rows], Sequence[NDArray[np.float64]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """One version of a model. `names` are all digests under which people may ask for it.

    answers: of a model that answers values; `predict` then refuses. pickle: of one that is
    a pickle, who allowed it and why.
    """

    name: str
    digest: Digest
    names: frozenset[str]
    features: tuple[Feature, ...]
    classes: tuple[int, ...]
    has_probabilities: bool
    family: str
    factors: Rows
    predict: Predict
    answers: Answers | None = None
    pickle: str = ""

    def infer(self, rows: Rows) -> Prediction:
        """Answer rows of shape (n, features) in the units in which requests arrive.

        Raises:
            ValueError: when the model answers values, not labels.
        """
        converted = rows * self.factors
        labels, probabilities = self.predict(converted)
        return Prediction(labels=labels, probabilities=probabilities, rows=converted)


def load(
    image: Image, names: frozenset[str], processes: Processes | None = None, *, pickle: str = ""
) -> ServedModel:
    """Load a package and let it answer its example.

    processes: where a large model, or a pickle, is loaded; here without. pickle: digest of the
    package whose pickle may be loaded.

    Raises:
        DamagedError: when the package is not what it says, or answers its example wrongly.
        RefusedError: when it is another pickle.
    """
    file = str(image.metadata.get("file"))
    if file.endswith(_PICKLE) and pickle != image.digest:
        raise pickles.refused(file)
    metadata = image.metadata
    try:
        features = tuple(
            Feature(
                name=str(column["name"]),
                unit=str(column["unit"]),
                input_unit=str(column["input_unit"]),
                factor=float(column["factor"]),
            )
            for column in metadata["features"]
        )
        answers = _answers_of(image)
        model = ServedModel(
            name=str(metadata["name"]),
            digest=image.digest,
            names=names | {image.digest},
            features=features,
            classes=tuple(int(label) for label in metadata["classes"]),
            has_probabilities=bool(metadata["probabilities"]),
            family=str(metadata["family"]),
            factors=np.array([feature.factor for feature in features]),
            predict=_no_labels
            if answers is not None
            else _predictor(image, processes, with_probabilities=bool(metadata["probabilities"])),
            answers=answers,
        )
        example = image.document("example.json")
        rows = np.array(example["rows"], dtype=np.float64).reshape(-1, len(features))
        if answers is not None:
            values = {n: np.array(v, dtype=np.float64) for n, v in example["outputs"].items()}
            _check_values(model.digest, answers, rows, values)
            return model
        expected = np.array(example["labels"], dtype=np.int64)
    except (KeyError, TypeError, ValueError) as error:
        message = f"the metadata of package {image.digest} is damaged: {error!r}"
        raise DamagedError(message, fix=_AGAIN) from error
    _check(model, rows, expected)
    return model


def _check(model: ServedModel, rows: Rows, expected: NDArray[np.int64]) -> None:
    """Let the model answer rows whose answers are known; they are in the model's own units."""
    try:
        labels, _ = model.predict(rows)
    except RUNTIME_ERRORS as error:
        message = f"package {model.digest} fails on its own example: {error}"
        raise DamagedError(message, fix=_AGAIN) from error
    if not np.array_equal(labels, expected):
        wrong = int(np.sum(labels != expected)) if labels.shape == expected.shape else len(expected)
        message = f"package {model.digest} answers {wrong} of its {len(expected)} examples wrongly"
        raise DamagedError(message, fix=_AGAIN)


def _check_values(
    digest: str, answers: Answers, rows: Rows, expected: Mapping[str, NDArray[np.float64]]
) -> None:
    """Let a model that answers values answer its example."""
    try:
        found = dict(zip(answers.names, answers.run(rows), strict=True))
    except RUNTIME_ERRORS as error:
        message = f"package {digest} fails on its own example: {error}"
        raise DamagedError(message, fix=_AGAIN) from error
    for name, values in expected.items():
        mine = found.get(name)
        if mine is None or mine.shape != values.shape or not np.allclose(mine, values, rtol=1e-4):
            message = f"package {digest} answers {name!r} of its example otherwise"
            raise DamagedError(message, fix=_AGAIN)


def _no_labels(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
    """Refuse to answer labels: the model answers values."""
    raise ValueError(f"the model answers values, no labels, to {len(rows)} rows")


def _answers_of(image: Image) -> Answers | None:
    """Return how a package that answers values does so; None for one that answers labels."""
    file = str(image.metadata["file"])
    if not file.endswith(_SERIES):
        return None
    if file not in image.files:
        raise DamagedError(f"{file!r} is missing from the model package", fix=_AGAIN)
    # Takes seconds, and few packages are forecasts.
    from executors.serving.runtime import forecast_runner  # noqa: PLC0415

    forecast = forecast_runner.ForecastRunner(image.files[file])
    return Answers(names=forecast_runner.NAMES, run=lambda rows: forecast.at(rows[:, 0]))


def _predictor(image: Image, processes: Processes | None, *, with_probabilities: bool) -> Predict:
    """Return the function that runs the model file of a package."""
    file = str(image.metadata["file"])
    if file not in image.files:
        raise DamagedError(f"{file!r} is missing from the model package", fix=_AGAIN)
    is_pickle = file.endswith(_PICKLE)
    is_large = file.endswith((".onnx", ".skops")) and len(image.files[file]) > INLINE_BYTES_MAX
    if processes is not None and (is_large or is_pickle):
        allowed = images.digest_of(image.files[file]) if is_pickle else ""
        there = aside.ModelAside(file, image.files[file], processes, pickle=allowed)
        return lambda rows: aside.labels_of(there, rows, with_probabilities=with_probabilities)
    if is_pickle:
        model = pickles.load(image.files[file])
        return _estimator(model, with_probabilities=with_probabilities)
    if file.endswith(".onnx"):
        return _onnx(image.files[file], with_probabilities=with_probabilities)
    if file.endswith(".skops"):
        return _skops(image.files[file], with_probabilities=with_probabilities)
    if file.endswith(".pt2"):
        return _torch(image.files[file], with_probabilities=with_probabilities)
    raise DamagedError(f"{file!r} is none of ONNX, skops, torch and series", fix=_AGAIN)


def _onnx(data: bytes, *, with_probabilities: bool) -> Predict:
    """Return the function that runs an ONNX model in this thread only."""
    session = onnx_runner.session(data)
    name = session.get_inputs()[0].name
    outputs = ["label", "probabilities"] if with_probabilities else ["label"]

    def predict(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
        found: Sequence[Any] = session.run(outputs, {name: rows.astype(np.float32)})
        return found[0], found[1] if with_probabilities else None

    return predict


def _skops(data: bytes, *, with_probabilities: bool) -> Predict:
    """Return the function that runs a skops model; only types of numpy and scikit-learn load."""
    # Takes seconds, and almost every package is ONNX.
    from executors.serving.runtime import sklearn_runner  # noqa: PLC0415

    return _estimator(sklearn_runner.load(data), with_probabilities=with_probabilities)


def _estimator(model: Any, *, with_probabilities: bool) -> Predict:  # noqa: ANN401 - any estimator
    """Return the function that asks an estimator of scikit-learn."""

    def predict(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
        labels = np.asarray(model.predict(rows), dtype=np.int64)
        chances = model.predict_proba(rows).astype(np.float32) if with_probabilities else None
        return labels, chances

    return predict


def _torch(data: bytes, *, with_probabilities: bool) -> Predict:
    """Return the function that runs an exported program of torch that answers labels."""
    # Takes seconds and an extra, and few packages are of torch.
    from executors.serving.runtime import torch_runner  # noqa: PLC0415

    call = torch_runner.program(data)

    def predict(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
        found = call([rows.astype(np.float32)])
        return found[0], found[1] if with_probabilities else None

    return predict
