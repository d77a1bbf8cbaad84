"""Models in ONNX, by ONNX Runtime, in the thread that asks."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from engine.model.errors import DamagedError
from executors.serving.runtime.runners import FREE, TensorSpec
from executors.serving.runtime.tensors import Array

_STATE: Any = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    _STATE.Fail,
    _STATE.InvalidArgument,
    _STATE.InvalidGraph,
    _STATE.InvalidProtobuf,
    _STATE.NoModel,
    _STATE.NotImplemented,
    _STATE.RuntimeException,
    ValueError,
)
"""What a model can raise; the errors of onnxruntime share no base class of their own."""
_DATATYPES: Mapping[str, str] = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}


class OnnxRunner:
    """An ONNX model. It is stackable when the first size of every input and output is free."""

    platform = "onnxruntime_onnx"

    def __init__(self, source: Path | bytes) -> None:
        """Load a model.

        Raises:
            DamagedError: when it is none, or has inputs or outputs that are no tensors.
        """
        self._session = session(source)
        self.inputs = tuple(_spec(each) for each in self._session.get_inputs())
        self.outputs = tuple(_spec(each) for each in self._session.get_outputs())
        both = (*self.inputs, *self.outputs)
        self.stackable = all(spec.shape and spec.shape[0] == FREE for spec in both)
        self._input_names = [spec.name for spec in self.inputs]
        self._output_names = [spec.name for spec in self.outputs]
        self._texts = [spec.datatype == "BYTES" for spec in self.inputs]

    def run(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """Return the outputs."""
        given = dict(zip(self._input_names, inputs, strict=True))
        for name, is_text in zip(self._input_names, self._texts, strict=True):
            if is_text:
                given[name] = np.char.decode(given[name].astype(bytes), "utf-8").astype(object)
        try:
            found: Sequence[Array] = self._session.run(self._output_names, given)
        except RUNTIME_ERRORS as error:
            raise ValueError(str(error)) from error
        return found


def session(source: Path | bytes) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """Return a session that runs in this thread only.

    Raises:
        DamagedError: when the source is no ONNX model.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    given = source if isinstance(source, bytes) else str(source)
    try:
        return onnxruntime.InferenceSession(
            given, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except RUNTIME_ERRORS as error:
        name = "model.onnx" if isinstance(source, bytes) else str(source)
        message = f"{name} is no ONNX model: {error}"
        raise DamagedError(message, fix="package the model again") from error


def _spec(found: Any) -> TensorSpec:  # noqa: ANN401 - as above
    """Read an input or output; sizes that have a name are free."""
    datatype = _DATATYPES.get(found.type)
    if datatype is None:
        message = f"{found.name!r} of model.onnx is {found.type}, not a tensor"
        raise DamagedError(message, fix="convert it again, with the option zipmap=False")
    shape = tuple(size if isinstance(size, int) and size >= 0 else FREE for size in found.shape)
    return TensorSpec(name=found.name, datatype=datatype, shape=shape)
