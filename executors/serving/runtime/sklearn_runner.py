"""Models of scikit-learn as skops files; nothing in them is executed on loading."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.model.errors import DamagedError
from executors.persistence import skops_io
from executors.serving.runtime.runners import FREE, TensorSpec
from executors.serving.runtime.tensors import Array, datatype_of

LABEL = "label"
PROBABILITY = "probability"
VALUE = "value"
TRUSTED = ("numpy.", "sklearn.")


class SklearnRunner:
    """A classifier (outputs `label`, `probability`) or regressor (output `value`).

    outputs: names of those to give, all by default.
    """

    platform = "sklearn"
    stackable = True

    def __init__(self, source: Path | bytes, outputs: Sequence[str] = ()) -> None:
        """Load a model.

        Raises:
            DamagedError: when the source is no skops file or holds types of other libraries.
        """
        model = self._model = self._read(source)
        width = int(getattr(model, "n_features_in_", FREE))
        names = tuple(str(name) for name in getattr(model, "feature_names_in_", ()))
        self.inputs = (
            TensorSpec(name="features", datatype="FP64", shape=(FREE, width), columns=names),
        )
        known = _outputs(model)
        wanted = [name for name in known if not outputs or name in outputs]
        if len(wanted) < len(outputs):
            message = f"the model has the outputs {list(known)}, not {list(outputs)}"
            raise DamagedError(message, fix="correct `outputs` in model.json")
        self.outputs = tuple(known[name] for name in wanted)

    def run(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """Return the outputs."""
        return [self._answer(spec.name, inputs[0]) for spec in self.outputs]

    @staticmethod
    def _read(source: Path | bytes) -> Any:  # noqa: ANN401 - any estimator
        """Return the estimator of a file or its bytes."""
        return load(source)

    def _answer(self, name: str, rows: Array) -> Array:
        method = self._model.predict_proba if name == PROBABILITY else self._model.predict
        found = np.asarray(method(rows))
        return found if name == PROBABILITY else _sendable(found)


def load(source: Path | bytes) -> Any:  # noqa: ANN401 - any estimator
    """Return the estimator of a skops file.

    Raises:
        DamagedError: when it is none or holds types of other libraries.
    """
    name = "model.skops" if isinstance(source, bytes) else str(source)
    try:
        if isinstance(source, bytes):
            types = skops_io.get_untrusted_types(data=source)
        else:
            types = skops_io.get_untrusted_types(file=source)
        foreign = [found for found in types if not found.startswith(TRUSTED)]
        if foreign:
            message = f"{name} holds types that are not trusted: {foreign}"
            raise DamagedError(message, fix="serve models of scikit-learn, or ONNX")
        if isinstance(source, bytes):
            model: Any = skops_io.loads(source, trusted=types)
        else:
            model = skops_io.load(source, trusted=types)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        message = f"{name} is no skops model: {error}"
        raise DamagedError(message, fix="package the model again") from error
    if not hasattr(model, "predict"):
        message = f"{name} holds a {type(model).__name__}, which cannot predict"
        raise DamagedError(message, fix="package a classifier or regressor")
    # Columns are checked by name before they become an array.
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    return model


def _outputs(model: Any) -> dict[str, TensorSpec]:  # noqa: ANN401 - any estimator
    """Return the outputs a model can give, by name."""
    classes = getattr(model, "classes_", None)
    if classes is None:
        return {VALUE: TensorSpec(name=VALUE, datatype="FP64", shape=(FREE,))}
    kind = datatype_of(_sendable(np.asarray(classes)))
    found = {LABEL: TensorSpec(name=LABEL, datatype=kind, shape=(FREE,))}
    if hasattr(model, "predict_proba"):
        shape = (FREE, len(classes))
        found[PROBABILITY] = TensorSpec(name=PROBABILITY, datatype="FP64", shape=shape)
    return found


def _sendable(values: Array) -> Array:
    """Return labels in a type that the protocol has: text stays text, whole numbers INT64."""
    if values.dtype.kind in "US":
        return values.astype(object)
    return values
