"""Inference requests and answers of the gRPC side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from executors.serving.runtime.faults import RequestError
from executors.serving.runtime.tensors import (
    BF16,
    BYTES,
    DTYPES,
    Array,
    Tensor,
    checked_size,
    dtype_of,
    from_bytes,
    text_of,
    to_bytes,
)
from executors.serving.v2.messages import CLASSES
from executors.serving.v2.requests import InferAnswer, InferRequest, Parameters, WantedOutput

_CONTENTS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Where a tensor's typed values stand; FP16 and BF16 only travel raw, as the protocol says."""
_CHUNK = 1 << 16
"""Values that are read at once; between two such other threads come to their turn."""
_CHOICE = "parameter_choice"
_ANSWER = CLASSES["ModelInferResponse"]


def read_infer(message: Any) -> tuple[InferRequest, bool]:  # noqa: ANN401 - built at run time
    """Read a request; also say whether its tensors came raw, so that the answer's do too.

    Raises:
        RequestError: naming the tensor at fault.
    """
    raw = message.raw_input_contents
    inputs = message.inputs
    if not inputs:
        raise RequestError("`inputs` is empty, expected a list of tensors")
    if raw and len(raw) != len(inputs):
        counts = f"{len(raw)} entries for {len(inputs)} inputs"
        raise RequestError(f"`raw_input_contents` has {counts}")
    if raw:
        both = [each.name for each in inputs if each.contents.ListFields()]
        if both:
            raise RequestError(f"inputs {both} have `contents` beside `raw_input_contents`")
        tensors = [
            from_bytes(each.name, each.datatype, list(each.shape), data)
            for each, data in zip(inputs, raw, strict=True)
        ]
    else:
        tensors = [_typed(each) for each in inputs]
    request = InferRequest(
        request_id=message.id,
        tensors=tensors,
        outputs=[WantedOutput(name=each.name) for each in message.outputs],
        parameters=read_parameters(message.parameters) if message.parameters else {},
        binary=True,
    )
    return request, bool(raw)


def read_parameters(found: Mapping[str, Any]) -> Parameters:
    """Return parameters as plain values."""
    return {
        name: getattr(value, choice)
        for name, value in found.items()
        if (choice := value.WhichOneof(_CHOICE)) is not None
    }


def write_answer(answer: InferAnswer, *, raw: bool) -> bytes:
    """Return the bytes of an answer."""
    message = _ANSWER(model_name=answer.model, model_version=answer.version, id=answer.request_id)
    is_raw = raw or any(output.spec.datatype not in _CONTENTS for output in answer.outputs)
    for output in answer.outputs:
        spec, array = output.spec, output.array
        described = message.outputs.add(name=spec.name, datatype=spec.datatype, shape=array.shape)
        if is_raw:
            message.raw_output_contents.append(to_bytes(spec.datatype, array))
        else:
            contents = getattr(described.contents, _CONTENTS[spec.datatype])
            contents.extend(_plain(spec.datatype, array))
    found: bytes = message.SerializeToString()
    return found


def _typed(given: Any) -> Tensor:  # noqa: ANN401 - as above
    """Read a tensor from its typed contents."""
    name, datatype, shape = given.name, given.datatype, list(given.shape)
    dtype = dtype_of(name, datatype)
    place = _CONTENTS.get(datatype)
    if place is None:
        raise RequestError(f"input {name!r}: {datatype} travels in `raw_input_contents` only")
    size = checked_size(name, shape)
    found: Sequence[Any] = getattr(given.contents, place)
    if len(found) != size:
        message = f"input {name!r} has {len(found)} values in `{place}`, its shape {shape} needs"
        raise RequestError(f"{message} {size}")
    if datatype == BYTES:
        array: Array = np.empty(size, dtype=object)
        array[:] = list(found)
    else:
        array = np.empty(size, dtype=dtype)
        try:
            for begin in range(0, size, _CHUNK):
                array[begin : begin + _CHUNK] = found[begin : begin + _CHUNK]
        except OverflowError as error:
            message = f"input {name!r} holds values that {datatype} cannot hold: {error}"
            raise RequestError(message) from error
    return Tensor(name, datatype, array.reshape(shape))


def _plain(datatype: str, array: Array) -> list[Any]:
    if datatype == BYTES:
        return [text_of(element) for element in array.ravel()]
    wanted = DTYPES["FP32" if datatype == BF16 else datatype]
    found: list[Any] = array.astype(wanted, copy=False).ravel().tolist()
    return found
