"""A folder with a model becomes a runner, proved by its golden requests.

    model.onnx         ONNX Runtime
    model.skops        scikit-learn
    model.pt2, .pt     torch
    model.arima.json   statsmodels
    model.pkl          a pickle of scikit-learn, by leave of the policy only
    oci-layout         a package of Berth
    models/metadata.json
                       a package with a class of its own, unpacked (`own`)
    golden.json        requests with their answers: [{"inputs": [...], "outputs": [...]}]
    model.json         settings

The libraries are heavy, so each is imported when a model needs it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np

from engine.model.errors import DamagedError
from executors.serving.runtime import own
from executors.serving.runtime.faults import RequestError
from executors.serving.runtime.runners import Runner, arrange
from executors.serving.runtime.settings import ModelSettings, specs
from executors.serving.runtime.tensors import BYTES, Array, Tensor, checked_size, dtype_of

GOLDEN = "golden.json"
_RELATIVE = 1e-4
_ABSOLUTE = 1e-5
INLINE_BYTES_MAX = 4 << 20
"""Larger models run in a process of their own: reading them would stall every other request."""
_LAYOUT = "oci-layout"
_UNPACKED = f"{own.FOLDER}/metadata.json"
_LIBRARIES: Mapping[str, str] = {
    "model.onnx": "onnxruntime",
    "model.skops": "sklearn.ensemble",
    "model.pt2": "torch",
    "model.pt": "torch",
    "model.arima.json": "statsmodels.tsa.arima.model",
    "model.pkl": "sklearn.ensemble",
    _LAYOUT: "onnxruntime",
    _UNPACKED: "onnxruntime",
}


def model_file(folder: Path) -> Path:
    """Return the one model file of a folder.

    Raises:
        DamagedError: when there is none, or more than one.
    """
    found = [folder / name for name in _LIBRARIES if (folder / name).is_file()]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        message = f"{str(folder)!r} holds the model files {names}, expected one"
        raise DamagedError(message, fix=f"keep one of {', '.join(_LIBRARIES)}")
    return found[0]


def is_own(folder: Path) -> bool:
    """Say whether a folder is a package with a class of its own.

    Raises:
        DamagedError: when it is a package, and damaged.
    """
    return (folder / _LAYOUT).is_file() and own.is_own(folder)


def is_quick(folder: Path, *, may_import: bool) -> bool:
    """Say whether a model can be loaded without a stall: small, its library imported already.

    Raises:
        DamagedError: when the folder holds no model.
    """
    file = model_file(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    library = _LIBRARIES[str(file.relative_to(folder))]
    return size <= INLINE_BYTES_MAX and (may_import or library in sys.modules)


def open_runner(folder: Path, settings: ModelSettings, leave: str = "") -> Runner:
    """Load the model of a folder and let it answer its golden requests.

    leave: digest of the package, or of the one file, that may run code: a pickle, or a class of
    one's own in a process that is confined.

    Raises:
        DamagedError: when it cannot be loaded, or answers a golden request wrongly.
        RefusedError: when it runs code, and is another one.
    """
    file = model_file(folder)
    runner = _OPENERS[str(file.relative_to(folder))](file, settings, leave)
    prove(runner, folder)
    return runner


def prove(runner: Runner, folder: Path) -> None:
    """Let a model answer its golden requests.

    Raises:
        DamagedError: when it fails at one or answers it otherwise.
    """
    path = folder / GOLDEN
    if not path.exists():
        return
    try:
        cases = msgspec.json.decode(path.read_bytes(), type=list[_Case])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DamagedError(f"{str(path)!r}: {error}", fix="correct the golden requests") from error
    for number, case in enumerate(cases):
        try:
            found = runner.run(arrange(runner, [_tensor(each) for each in case.inputs]))
        except (RequestError, ValueError) as error:
            message = f"the model fails at golden request {number}: {error}"
            raise DamagedError(message, fix="package the model again") from error
        _compare(runner, case, found, number)


class _Given(msgspec.Struct, frozen=True):
    name: str
    datatype: str
    shape: list[int]
    data: list[Any]


class _Case(msgspec.Struct, frozen=True):
    inputs: list[_Given]
    outputs: list[_Given]


def _tensor(given: _Given) -> Tensor:
    dtype = dtype_of(given.name, given.datatype)
    try:
        array = np.array(given.data, dtype=dtype)
    except (ValueError, TypeError) as error:
        raise RequestError(f"golden {given.name!r} is not {given.datatype}: {error}") from error
    if array.size != checked_size(given.name, given.shape):
        raise RequestError(f"golden {given.name!r} has {array.size} values, not {given.shape}")
    return Tensor(given.name, given.datatype, array.reshape(given.shape))


def _compare(runner: Runner, case: _Case, found: Sequence[Any], number: int) -> None:
    """Refuse answers that differ from those of a golden request."""
    by_name = {spec.name: a for spec, a in zip(runner.outputs, found, strict=True)}
    for each in case.outputs:
        expected = _tensor(each)
        answer = by_name.get(each.name)
        if answer is None or not _equal(answer, expected):
            message = f"the model answers {each.name!r} of golden request {number} otherwise"
            raise DamagedError(message, fix="package the model again, or renew golden.json")


def _equal(answer: Array, expected: Tensor) -> bool:
    """Say whether an answer is what a golden request expects, but for rounding."""
    wanted = expected.array
    if answer.shape != wanted.shape:
        return False
    if expected.datatype == BYTES:
        return [_text(e) for e in answer.ravel()] == [_text(e) for e in wanted.ravel()]
    return bool(np.allclose(answer, wanted, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True))


def _text(element: object) -> str:
    return element.decode() if isinstance(element, bytes) else str(element)


# ruff: noqa: ARG001 - the openers below have one form


def _onnx(file: Path, settings: ModelSettings, leave: str) -> Runner:
    return cast("Runner", _library("onnx_runner").OnnxRunner(file))


def _sklearn(file: Path, settings: ModelSettings, leave: str) -> Runner:
    found = _library("sklearn_runner").SklearnRunner(file, settings.outputs_given)
    return cast("Runner", found)


def _torch(file: Path, settings: ModelSettings, leave: str) -> Runner:
    module = _library("torch_runner")
    found = module.TorchRunner(file, specs(settings.inputs), specs(settings.outputs))
    return cast("Runner", found)


def _forecast(file: Path, settings: ModelSettings, leave: str) -> Runner:
    return cast("Runner", _library("forecast_runner").ForecastRunner(file))


def _pickle(file: Path, settings: ModelSettings, leave: str) -> Runner:
    opened = _library("pickle_runner").open_file(file, tuple(settings.outputs_given), leave)
    return cast("Runner", opened)


def _package(file: Path, settings: ModelSettings, leave: str) -> Runner:
    module: Any = importlib.import_module("executors.serving.packaged")
    return cast("Runner", module.open_package(file.parent, leave))


def _own(file: Path, settings: ModelSettings, leave: str) -> Runner:
    module: Any = importlib.import_module("executors.serving.packaged")
    return cast("Runner", module.open_unpacked(file.parent.parent, leave))


def _library(name: str) -> Any:  # noqa: ANN401 - a module whose import is heavy
    return importlib.import_module(f"executors.serving.runtime.{name}")


_OPENERS: Mapping[str, Callable[[Path, ModelSettings, str], Runner]] = {
    "model.onnx": _onnx,
    "model.skops": _sklearn,
    "model.pt2": _torch,
    "model.pt": _torch,
    "model.arima.json": _forecast,
    "model.pkl": _pickle,
    _LAYOUT: _package,
    _UNPACKED: _own,
}
