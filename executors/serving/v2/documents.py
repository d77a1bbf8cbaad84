"""Bodies of the REST side: JSON, and bytes behind it where the binary extension is used.

A tensor's data may be flat or nested, and `null` stands for a missing number. The content type of
a request does not matter: many clients send none.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import numpy as np

from executors.serving.runtime.faults import RequestError
from executors.serving.runtime.tensors import (
    BYTES,
    DTYPES,
    Array,
    Tensor,
    checked_size,
    dtype_of,
    from_bytes,
    to_bytes,
)
from executors.serving.v2.requests import InferAnswer, InferRequest, WantedOutput

_BINARY_SIZE = "binary_data_size"
_EMPTY = msgspec.Raw(b"")
T = TypeVar("T")


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = _EMPTY
    parameters: dict[str, Any] | None = None


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class _Written(msgspec.Struct, omit_defaults=True):
    """An output as an answer has it."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, Any] | None = None
    data: list[Any] | None = None


class _Answer(msgspec.Struct, omit_defaults=True):
    model_name: str
    model_version: str
    id: str = ""
    outputs: list[_Written] | None = None


class _Request(msgspec.Struct):
    inputs: list[_Input]
    id: str = ""
    outputs: list[_Output] | None = None
    parameters: dict[str, Any] | None = None


_REQUEST = msgspec.json.Decoder(_Request)
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_ANY = msgspec.json.Decoder(Any)
_FLAT: dict[str, msgspec.json.Decoder[Any]] = {
    "f": msgspec.json.Decoder(list[float | None]),
    "i": msgspec.json.Decoder(list[int]),
    "u": msgspec.json.Decoder(list[int]),
    "b": msgspec.json.Decoder(list[bool]),
    "O": msgspec.json.Decoder(list[str]),
}
"""Decoders of flat data by kind of number; whatever they refuse is looked at more slowly."""
_ENCODER = msgspec.json.Encoder()
_KINDS = {"f": (int, float), "i": (int,), "u": (int,), "b": (bool,), "O": (str,)}
encode = _ENCODER.encode


def read_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object; an empty body is an empty one.

    Raises:
        RequestError: when the body is none.
    """
    return _decode(_OBJECT, body) if body else {}


def read_any(body: bytes) -> object:
    """Read any JSON.

    Raises:
        RequestError: when the body is none.
    """
    return _decode(_ANY, body)


def read_infer(body: bytes, json_length: int | None = None) -> InferRequest:
    """Read an inference request.

    json_length: bytes of JSON before the binary data (`Inference-Header-Content-Length`).

    Raises:
        RequestError: naming what is at fault and what was expected.
    """
    behind = memoryview(b"")
    if json_length is not None:
        if not 0 <= json_length <= len(body):
            message = f"Inference-Header-Content-Length is {json_length}, the body has {len(body)}"
            raise RequestError(message)
        body, behind = body[:json_length], memoryview(body)[json_length:]
    found = _decode(_REQUEST, body)
    if not found.inputs:
        raise RequestError("`inputs` is empty, expected a list of tensors")
    tensors: list[Tensor] = []
    place = 0
    for given in found.inputs:
        size = given.parameters.get(_BINARY_SIZE) if given.parameters else None
        if size is None:
            tensors.append(_tensor(given))
            continue
        if not isinstance(size, int) or not 0 <= size <= len(behind) - place:
            message = f"input {given.name!r} has {_BINARY_SIZE} {size!r}, {len(behind) - place}"
            raise RequestError(f"{message} bytes follow")
        data = behind[place : place + size]
        tensors.append(from_bytes(given.name, given.datatype, given.shape, data))
        place += size
    if place != len(behind):
        raise RequestError(f"{len(behind) - place} bytes of binary data belong to no input")
    parameters = found.parameters or {}
    return InferRequest(
        request_id=found.id,
        tensors=tensors,
        outputs=[_wanted(each) for each in found.outputs or ()],
        parameters=parameters,
        binary=parameters.get("binary_data_output") is True,
    )


def write_answer(answer: InferAnswer) -> tuple[bytes, int | None]:
    """Return the body of an answer, and how much of it is JSON where bytes follow."""
    outputs: list[_Written] = []
    behind: list[bytes] = []
    for output in answer.outputs:
        array, spec = output.array, output.spec
        written = _Written(spec.name, spec.datatype, array.shape)
        if output.binary:
            data = to_bytes(spec.datatype, array)
            written.parameters = {_BINARY_SIZE: len(data)}
            behind.append(data)
        else:
            written.data = values(spec.datatype, array)
        outputs.append(written)
    body = encode(_Answer(answer.model, answer.version, answer.request_id, outputs))
    if not behind:
        return body, None
    return b"".join((body, *behind)), len(body)


def values(datatype: str, array: Array) -> list[Any]:
    """Return the elements of a tensor as JSON has them; what is not finite becomes null."""
    flat = array.ravel()
    if datatype == BYTES:
        return [e.decode("utf-8", "replace") if isinstance(e, bytes) else str(e) for e in flat]
    found: list[Any] = flat.tolist()
    return found


def _tensor(given: _Input) -> Tensor:
    """Read a tensor whose data stands in the JSON."""
    name, shape = given.name, given.shape
    dtype = dtype_of(name, given.datatype)
    size = checked_size(name, shape)
    raw = given.data
    if raw is _EMPTY:
        raise RequestError(f"input {name!r} has no `data`, expected a list")
    try:
        array = np.array(_FLAT[dtype.kind].decode(raw), dtype=dtype)
    except (msgspec.MsgspecError, ValueError, OverflowError, TypeError):
        array = _slowly(name, dtype, raw)
    if array.size != size:
        message = f"input {name!r} has {array.size} values, its shape {shape} needs {size}"
        raise RequestError(message)
    return Tensor(name, given.datatype, array.reshape(shape))


def _slowly(name: str, dtype: np.dtype[Any], raw: msgspec.Raw) -> Array:
    """Read nested data, or say what is wrong with data."""
    data = _decode(_ANY, raw)
    if not isinstance(data, list):
        raise RequestError(f"input {name!r} has no `data`, expected a list")
    flat = list(_leaves(name, data))
    kinds = _KINDS[dtype.kind]
    for value in flat:
        fits = value is None if dtype.kind == "f" and value is None else _is(value, kinds)
        if not fits:
            said = "text" if isinstance(value, str) else repr(value)[:40]
            kind = next(key for key, each in DTYPES.items() if each == dtype)
            raise RequestError(f"input {name!r} holds {said}, expected {kind}")
    try:
        return np.array(flat, dtype=dtype)
    except (ValueError, OverflowError, TypeError) as error:
        message = f"input {name!r} holds values that its datatype cannot hold: {error}"
        raise RequestError(message) from error


def _is(value: object, kinds: tuple[type, ...]) -> bool:
    """Say whether a value is of a kind; a boolean is no number."""
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def _leaves(name: str, data: list[Any]) -> list[Any]:
    """Return the values of nested lists in order; lists of one level must be of one length."""
    level: list[Any] = data
    while level and any(isinstance(each, list) for each in level):
        lengths = {len(each) if isinstance(each, list) else -1 for each in level}
        if len(lengths) > 1:
            raise RequestError(f"input {name!r} is not a regular list: its rows differ in length")
        level = [value for each in level for value in each]
    return level


def _wanted(given: _Output) -> WantedOutput:
    parameters = given.parameters or {}
    binary = parameters.get("binary_data")
    count = parameters.get("classification", 0)
    return WantedOutput(
        name=given.name,
        binary=binary if isinstance(binary, bool) else None,
        classes=count if isinstance(count, int) else 0,
    )


def _decode(decoder: msgspec.json.Decoder[T], body: bytes | msgspec.Raw) -> T:
    """Decode a body.

    Raises:
        RequestError: when it is no JSON, too deep, or not of the form that is expected.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise RequestError(f"the body is not as expected: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise RequestError("the body is nested too deeply") from error
