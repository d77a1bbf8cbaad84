"""Models to ONNX, whole: imputing and scaling included. Never pickle.

A trained model arrives as skops, which names every type it holds; only types of numpy and
scikit-learn are accepted. What skl2onnx cannot convert faithfully stays skops.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import onnxruntime
import skl2onnx
from numpy.typing import NDArray
from skl2onnx.common.data_types import FloatTensorType

from executors.persistence import skops_io
from executors.tasks.context import BadInputError

_TO_ONNX: Any = skl2onnx.to_onnx  # its annotations name neither its input nor its output
_OPSET = 17
_AGREEMENT_MIN = 0.99
"""Share of rows on which both forms must give the same class. ONNX computes in 32 bits, so a row
right at the edge of a tree's split may fall to the other side."""
_TRUSTED = ("numpy.", "sklearn.")


class Trained(Protocol):
    """What is used of a trained scikit-learn pipeline."""

    steps: Sequence[tuple[str, object]]
    classes_: NDArray[np.int64]

    def predict(self, rows: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the class of each row."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A model in the form it is served in; `agreement` with the trained one, as a share."""

    file: str
    data: bytes
    agreement: float


def load(path: Path) -> Trained:
    """Read a trained model.

    Raises:
        BadInputError: when it is no skops file or holds types of other libraries.
    """
    try:
        types = skops_io.get_untrusted_types(file=path)
        foreign = [name for name in types if not name.startswith(_TRUSTED)]
        if foreign:
            raise BadInputError(f"{path.name} holds types that are not trusted: {foreign}")
        return cast("Trained", skops_io.load(path, trusted=types))
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise BadInputError(f"{path.name} is no model in skops form: {error}") from error


def convert(model: Trained, path: Path, rows: NDArray[np.float64]) -> Converted:
    """Return the model as ONNX when it agrees with the trained one on `rows`, else as skops."""
    data = to_onnx(model, columns=rows.shape[1])
    if data is not None:
        labels = run_onnx(data, rows)
        agreement = float((labels == model.predict(rows)).mean())
        if agreement >= _AGREEMENT_MIN:
            return Converted(file="model.onnx", data=data, agreement=agreement)
    return Converted(file="model.skops", data=path.read_bytes(), agreement=1.0)


def to_onnx(model: Trained, *, columns: int) -> bytes | None:
    """Return a model as ONNX, or None when skl2onnx does not know it."""
    is_classifier = hasattr(model, "classes_")
    options = {id(model.steps[-1][1]): {"zipmap": False}} if is_classifier else {}
    try:
        with warnings.catch_warnings():
            # skl2onnx asks for attributes that scikit-learn is about to drop.
            warnings.simplefilter("ignore", FutureWarning)
            converted = _TO_ONNX(
                model,
                initial_types=[("features", FloatTensorType([None, columns]))],
                options=options,
                target_opset=_OPSET,
            )
    except (NotImplementedError, RuntimeError, ValueError, AttributeError):
        return None
    return bytes(converted.SerializeToString())


def run_onnx(data: bytes, rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the classes an ONNX model gives."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.asarray(session.run(["label"], {name: rows.astype(np.float32)})[0], dtype=np.int64)
