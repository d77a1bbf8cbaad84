"""Packages that answer values, not labels: regressors, networks, forecasts.

They answer what the program of their image does (`packaging.runtime.serve`), under the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.model.errors import DamagedError
from executors.serving.runtime.onnx_runner import RUNTIME_ERRORS, OnnxRunner
from executors.serving.runtime.runners import FREE, TensorSpec
from executors.serving.runtime.tensors import DTYPES, Array, datatype_of

Rows = NDArray[np.float64]
Named = Callable[[Rows], Mapping[str, Array]]
"""From rows of shape (n, features), in a model's units, to outputs by name, each of n rows."""
FAILURES: tuple[type[Exception], ...] = (*RUNTIME_ERRORS, RuntimeError)
"""What a model can raise; the last of a class of one's own (`runtime.own`)."""
OF_ESTIMATORS = ("label",)
"""What an estimator answers that has values, in the image too."""
_AGAIN = "package the model again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a model gives that answers values, not labels: its outputs, and how.

    run: of rows in the model's units, one array for each output, its first dimension the rows.
    """

    outputs: tuple[TensorSpec, ...]
    run: Callable[[Rows], Sequence[Array]]


def of_file(name: str, data: bytes) -> Named:
    """Return what answers values, by the kind of a model's file.

    Raises:
        DamagedError: when its name is of no kind, or it holds no model of its kind.
    """
    found = next((kind for suffix, kind in _KINDS.items() if name.endswith(suffix)), None)
    if found is None:
        known = ", ".join(_KINDS)
        raise DamagedError(f"{name!r} is no model; known are {known}", fix=_AGAIN)
    return found(data)


def of_estimator(model: Any) -> Named:  # noqa: ANN401 - any estimator
    """Return what answers values by an estimator of scikit-learn."""
    return lambda rows: {OF_ESTIMATORS[0]: np.asarray(model.predict(rows))}


def labels_of(
    found: Mapping[str, Array], rows: int
) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
    """Return labels, and probabilities where there are some, among outputs by name.

    Raises:
        ValueError: when there are no labels, or not as many as rows.
    """
    if "label" not in found:
        raise ValueError(f"the model answers {sorted(found)}, and no `label`")
    chances = found.get("probabilities", found.get("probability"))
    labels = np.asarray(found["label"], dtype=np.int64).reshape(-1)
    if len(labels) != rows:
        raise ValueError(f"the model answers {rows} rows with {len(labels)} labels")
    return labels, None if chances is None else np.asarray(chances, dtype=np.float32)


def proved(digest: str, answer: Named, example: Mapping[str, Any], features: int) -> Answers:
    """Let a model answer its example; return what it answers with.

    Raises:
        DamagedError: when it fails, or answers otherwise.
        KeyError, TypeError, ValueError: when the example is none.
    """
    rows = np.array(example["rows"], dtype=np.float64).reshape(-1, features)
    expected = {n: np.array(v, dtype=np.float64) for n, v in example["outputs"].items()}
    try:
        found = {name: np.asarray(values) for name, values in answer(rows).items()}
    except FAILURES as error:
        message = f"package {digest} fails on its own example: {error}"
        raise DamagedError(message, fix=_AGAIN) from error
    for name, values in expected.items():
        mine = found.get(name)
        if mine is None or mine.shape != values.shape or not _near(mine, values):
            message = f"package {digest} answers {name!r} of its example otherwise"
            raise DamagedError(message, fix=_AGAIN)
    outputs = tuple(
        TensorSpec(name=name, datatype=datatype_of(values), shape=(FREE, *values.shape[1:]))
        for name, values in found.items()
    )

    def run(given: Rows) -> Sequence[Array]:
        answers = answer(given)
        arrays = [np.asarray(answers[s.name], dtype=DTYPES[s.datatype]) for s in outputs]
        if any(array.ndim == 0 or len(array) != len(given) for array in arrays):
            raise ValueError(f"the model does not answer each of {len(given)} rows")
        return arrays

    return Answers(outputs=outputs, run=run)


def _near(mine: Array, expected: Array) -> bool:
    return mine.dtype.kind in "biuf" and np.allclose(mine, expected, rtol=1e-4, equal_nan=True)


def _onnx(data: bytes) -> Named:
    runner = OnnxRunner(data)
    names = [spec.name for spec in runner.outputs]
    return lambda rows: dict(zip(names, runner.run([rows.astype(np.float32)]), strict=True))


# The libraries of the others take seconds to import, so that each is where it is needed.


def _skops(data: bytes) -> Named:
    from executors.serving.runtime import sklearn_runner  # noqa: PLC0415

    return of_estimator(sklearn_runner.load(data))


def _torch(data: bytes) -> Named:
    from executors.serving.runtime import torch_runner  # noqa: PLC0415

    call = torch_runner.program(data)
    return lambda rows: {"output": call([rows.astype(np.float32)])[0]}


def _forecast(data: bytes) -> Named:
    from executors.serving.runtime import forecast_runner  # noqa: PLC0415

    forecast = forecast_runner.ForecastRunner(data)
    return lambda rows: dict(zip(forecast_runner.NAMES, forecast.at(rows[:, 0]), strict=True))


def _series(data: bytes) -> Named:
    from executors.serving.runtime import forecast_runner  # noqa: PLC0415

    forecast = forecast_runner.ForecastRunner(data)
    return lambda rows: {"output": forecast.at(rows[:, 0])[0]}


_KINDS: Mapping[str, Callable[[bytes], Named]] = {
    ".onnx": _onnx,
    ".skops": _skops,
    ".pt2": _torch,
    ".arima.json": _forecast,
    ".npz": _series,
}
