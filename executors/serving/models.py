"""A packaged model ready to answer: loaded, checked on its own example, never changed again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.model.errors import DamagedError
from engine.model.identifiers import Digest
from executors.packaging import images
from executors.packaging.images import Image
from executors.serving import aside, values
from executors.serving.runtime import onnx_runner, own, pickles
from executors.serving.runtime.loading import INLINE_BYTES_MAX
from executors.serving.runtime.onnx_runner import RUNTIME_ERRORS as RUNTIME_ERRORS
from executors.serving.runtime.processes import Processes
from executors.serving.values import Answers, Named

Rows = NDArray[np.float64]
Predict = Callable[[Rows], tuple[NDArray[np.int64], NDArray[np.float32] | None]]
_AGAIN = "package the model again"
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
    image: Image,
    names: frozenset[str],
    processes: Processes | None = None,
    *,
    pickle: str = "",
    unpacked: Path | None = None,
) -> ServedModel:
    """Load a package and let it answer its example.

    processes: where a large model, or what runs code, is loaded; here without. pickle: digest of
    the package whose pickle may be loaded. unpacked: where the package lies, in the process that
    may run its class.

    Raises:
        DamagedError: when the package is not what it says, or answers its example wrongly.
        RefusedError: when it is another pickle, or has a class that may not be run here.
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
        example = image.document("example.json")
        named = _named(image, processes, unpacked, is_valued=bool(example.get("outputs")))
        answers = None
        if named is not None and example.get("outputs"):
            answers = values.proved(image.digest, named, example, len(features))
        model = ServedModel(
            name=str(metadata["name"]),
            digest=image.digest,
            names=names | {image.digest},
            features=features,
            classes=tuple(int(label) for label in metadata["classes"]),
            has_probabilities=bool(metadata["probabilities"]),
            family=str(metadata["family"]),
            factors=np.array([feature.factor for feature in features]),
            predict=_predict_of(image, processes, named, answers),
            answers=answers,
        )
        if answers is not None:
            return model
        rows = np.array(example["rows"], dtype=np.float64).reshape(-1, len(features))
        expected = np.array(example["labels"], dtype=np.int64)
    except (KeyError, TypeError, ValueError) as error:
        message = f"the metadata of package {image.digest} is damaged: {error!r}"
        raise DamagedError(message, fix=_AGAIN) from error
    chances = _check(model, rows, expected)
    return replace(model, has_probabilities=chances is not None)


def _check(
    model: ServedModel, rows: Rows, expected: NDArray[np.int64]
) -> NDArray[np.float32] | None:
    """Let the model answer rows whose answers are known; they are in the model's own units.

    Returns the probabilities, where it gives some.
    """
    try:
        labels, chances = model.predict(rows)
    except values.FAILURES as error:
        message = f"package {model.digest} fails on its own example: {error}"
        raise DamagedError(message, fix=_AGAIN) from error
    if not np.array_equal(labels, expected):
        wrong = int(np.sum(labels != expected)) if labels.shape == expected.shape else len(expected)
        message = f"package {model.digest} answers {wrong} of its {len(expected)} examples wrongly"
        raise DamagedError(message, fix=_AGAIN)
    return chances


def _predict_of(
    image: Image, processes: Processes | None, named: Named | None, answers: Answers | None
) -> Predict:
    """Return what answers labels; of a model that answers values, what refuses to."""
    if answers is not None:
        return _no_labels
    if named is not None:
        return lambda rows: values.labels_of(named(rows), len(rows))
    return _predictor(image, processes, with_probabilities=bool(image.metadata["probabilities"]))


def _no_labels(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
    """Refuse to answer labels: the model answers values."""
    raise ValueError(f"the model answers values, no labels, to {len(rows)} rows")


def _named(
    image: Image, processes: Processes | None, unpacked: Path | None, *, is_valued: bool
) -> Named | None:
    """Return what answers by the names of outputs: values, or whatever a class of one's own does.

    None where a package of another kind answers labels.
    """
    if image.metadata.get("format") == own.FORMAT:
        if unpacked is not None:
            return own.load(unpacked)
        if processes is None:
            raise own.refused()
        files = {f"{own.FOLDER}/{n}": data for n, data in own.as_it_is(image.files).items()}
        there = aside.ModelAside(files, processes, leave=image.digest)
        return lambda rows: dict(zip(there.outputs, there.run(rows), strict=True))
    if not is_valued:
        return None
    file, data = _file_of(image)
    other = _elsewhere(file, data, processes)
    if other is not None:
        names = other.outputs if file.endswith(".onnx") else values.OF_ESTIMATORS
        return lambda rows: dict(zip(names, other.run(rows), strict=True))
    if file.endswith(_PICKLE):
        return values.of_estimator(pickles.load(data))
    return values.of_file(file, data)


def _file_of(image: Image) -> tuple[str, bytes]:
    """Return the name and the bytes of a package's model."""
    file = str(image.metadata["file"])
    if file not in image.files:
        raise DamagedError(f"{file!r} is missing from the model package", fix=_AGAIN)
    return file, image.files[file]


def _elsewhere(file: str, data: bytes, processes: Processes | None) -> aside.ModelAside | None:
    """Return a large model, or a pickle, in a process of its own; None for what is loaded here."""
    is_pickle = file.endswith(_PICKLE)
    is_large = file.endswith((".onnx", ".skops")) and len(data) > INLINE_BYTES_MAX
    if processes is None or not (is_large or is_pickle):
        return None
    allowed = images.digest_of(data) if is_pickle else ""
    return aside.ModelAside({f"model{Path(file).suffix}": data}, processes, leave=allowed)


def _predictor(image: Image, processes: Processes | None, *, with_probabilities: bool) -> Predict:
    """Return the function that runs the model file of a package that answers labels."""
    file, data = _file_of(image)
    there = _elsewhere(file, data, processes)
    if there is not None:
        return lambda rows: aside.labels_of(there, rows, with_probabilities=with_probabilities)
    if file.endswith(_PICKLE):
        return _estimator(pickles.load(data), with_probabilities=with_probabilities)
    if file.endswith(".onnx"):
        return _onnx(data, with_probabilities=with_probabilities)
    if file.endswith(".skops"):
        return _skops(data, with_probabilities=with_probabilities)
    if file.endswith(".pt2"):
        return _torch(data, with_probabilities=with_probabilities)
    raise DamagedError(f"{file!r} is none of ONNX, skops and torch", fix=_AGAIN)


def _onnx(data: bytes, *, with_probabilities: bool) -> Predict:
    """Return the function that runs an ONNX model in this thread only."""
    session = onnx_runner.session(data)
    name = session.get_inputs()[0].name
    with_probabilities &= "probabilities" in [output.name for output in session.get_outputs()]
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
    with_probabilities &= hasattr(model, "predict_proba")

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
