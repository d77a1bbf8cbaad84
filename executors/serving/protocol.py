"""Requests and answers of the Open Inference Protocol v2 over REST, as JSON.

Rows arrive either as one tensor `features` of shape [rows, features], or as one tensor for each
feature by its name, of shape [rows] or [rows, 1]. A missing value is `null`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pydantic_core

from executors.serving.models import Prediction, Rows, ServedModel

INPUT = "features"
LABEL = "label"
PROBABILITY = "probability"
ROWS_MAX = 10_000
_NUMBERS = frozenset(
    {"FP16", "FP32", "FP64", "BOOL"}
    | {f"{kind}{bits}" for kind in ("INT", "UINT") for bits in (8, 16, 32, 64)}
)
_MATRIX = 2


class RequestError(Exception):
    """A request that breaks the protocol; `status` is the HTTP code it is answered with."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class InferRequest:
    """Rows to answer, of shape (rows, features), and the outputs asked for."""

    request_id: str
    rows: Rows
    outputs: tuple[str, ...]


def parse_json(body: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        RequestError: when the body is none.
    """
    try:
        value: object = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RequestError(f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise RequestError(f"the body is {type(value).__name__}, expected a JSON object")
    return cast("dict[str, Any]", value)


def parse_infer(body: bytes, model: ServedModel) -> InferRequest:
    """Read an inference request for a model.

    Raises:
        RequestError: naming the tensor at fault, what it has and what was expected.
    """
    document = parse_json(body)
    request_id = document.get("id", "")
    if not isinstance(request_id, str):
        raise RequestError(f"`id` is {request_id!r}, expected text")
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise RequestError("`inputs` is missing or empty, expected a list of tensors")
    tensors = [_tensor(found) for found in cast("list[object]", inputs)]
    outputs = _wanted(document.get("outputs"), model)
    return InferRequest(request_id=request_id, rows=_rows(tensors, model), outputs=outputs)


def answer(request: InferRequest, request_id: str, found: Prediction, model: ServedModel) -> bytes:
    """Return the answer to a request as JSON."""
    count = len(found.labels)
    tensors: dict[str, dict[str, object]] = {
        LABEL: {"datatype": "INT64", "shape": [count], "data": found.labels.tolist()}
    }
    if found.probabilities is not None:
        tensors[PROBABILITY] = {
            "datatype": "FP32",
            "shape": [count, len(model.classes)],
            "data": found.probabilities.ravel().tolist(),
        }
    return pydantic_core.to_json(
        {
            "model_name": model.name,
            "model_version": model.digest,
            "id": request_id,
            "outputs": [{"name": name, **tensors[name]} for name in request.outputs],
        }
    )


def output_names(model: ServedModel) -> tuple[str, ...]:
    """Return the outputs a model has."""
    return (LABEL, PROBABILITY) if model.has_probabilities else (LABEL,)


def describe(model: ServedModel) -> dict[str, object]:
    """Return a model's metadata in the protocol's terms, with units as parameters."""
    outputs: list[dict[str, object]] = [{"name": LABEL, "datatype": "INT64", "shape": [-1]}]
    if model.has_probabilities:
        shape = [-1, len(model.classes)]
        outputs.append({"name": PROBABILITY, "datatype": "FP32", "shape": shape})
    columns = [{"name": f.name, "unit": f.input_unit} for f in model.features]
    return {
        "name": model.name,
        "versions": [model.digest],
        "platform": "berth",
        "inputs": [
            {
                "name": INPUT,
                "datatype": "FP64",
                "shape": [-1, len(model.features)],
                "parameters": {"columns": columns},
            }
        ],
        "outputs": outputs,
        "parameters": {"family": model.family, "digests": sorted(model.names)},
    }


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    values: Rows


def _tensor(found: object) -> _Tensor:
    """Read one input tensor."""
    if not isinstance(found, dict):
        raise RequestError(f"an input is {type(found).__name__}, expected an object")
    tensor = cast("Mapping[str, object]", found)
    name, shape, kind = tensor.get("name"), tensor.get("shape"), tensor.get("datatype")
    if not isinstance(name, str):
        raise RequestError(f"an input has the name {name!r}, expected text")
    if kind not in _NUMBERS:
        raise RequestError(f"input {name!r} has datatype {kind!r}, expected FP64 or another number")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise RequestError(f"input {name!r} has shape {shape!r}, expected a list of whole numbers")
    sizes = tuple(cast("list[int]", shape))
    values = _values(name, tensor.get("data"))
    if values.size != math.prod(sizes):
        message = f"input {name!r} has {values.size} values, its shape {list(sizes)} needs"
        raise RequestError(f"{message} {math.prod(sizes)}")
    return _Tensor(name, sizes, values.ravel())


def _values(name: str, data: object) -> Rows:
    """Return the numbers of a tensor, flat or nested; null becomes not-a-number."""
    if not isinstance(data, list):
        raise RequestError(f"input {name!r} has no `data`, expected a list of numbers")
    try:
        found = np.array(data)
        if found.dtype.kind in "US" or (found.dtype.kind == "O" and _has_text(found)):
            raise RequestError(f"input {name!r} holds text, expected numbers")
        return found.astype(np.float64)
    except (ValueError, TypeError) as error:
        raise RequestError(f"input {name!r} is not a regular list of numbers: {error}") from error


def _has_text(values: np.ndarray[Any, Any]) -> bool:
    return any(isinstance(value, str) for value in values.ravel())


def _rows(tensors: Sequence[_Tensor], model: ServedModel) -> Rows:
    """Put the tensors together as rows."""
    width = len(model.features)
    first = tensors[0]
    if len(tensors) == 1 and first.name == INPUT:
        if len(first.shape) != _MATRIX or first.shape[1] != width:
            message = f"input {INPUT!r} has shape {list(first.shape)}, expected [rows, {width}]"
            raise RequestError(message)
        return _bounded(first.values.reshape(first.shape))
    expected = [feature.name for feature in model.features]
    return _bounded(_columns(tensors, expected))


def _columns(tensors: Sequence[_Tensor], expected: Sequence[str]) -> Rows:
    """Put tensors of one feature each together as rows."""
    by_name = {tensor.name: tensor for tensor in tensors}
    missing = [name for name in expected if name not in by_name]
    unknown = [name for name in by_name if name not in expected]
    if missing or unknown or len(by_name) < len(tensors):
        message = f"inputs: missing {missing}, unknown {unknown}, {len(tensors)} in all; expected"
        raise RequestError(f"{message} {INPUT!r}, or each of {list(expected)} once")
    count = len(tensors[0].values)
    for tensor in tensors:
        if tensor.shape not in {(count,), (count, 1)}:
            message = f"input {tensor.name!r} has shape {list(tensor.shape)}, expected [{count}]"
            raise RequestError(message)
    return np.column_stack([by_name[name].values for name in expected])


def _bounded(rows: Rows) -> Rows:
    """Return rows when there are some and not too many."""
    if not 1 <= len(rows) <= ROWS_MAX:
        raise RequestError(f"the request has {len(rows)} rows, expected 1 to {ROWS_MAX}")
    return rows


def _wanted(outputs: object, model: ServedModel) -> tuple[str, ...]:
    """Return the names of the outputs asked for; all without any."""
    known = output_names(model)
    if outputs is None or outputs == []:
        return known
    if not isinstance(outputs, list):
        raise RequestError("`outputs` is no list")
    names: list[str] = []
    for output in cast("list[object]", outputs):
        name = cast("Mapping[str, object]", output).get("name") if isinstance(output, dict) else ""
        if name not in known:
            raise RequestError(f"there is no output {name!r}, expected {list(known)}")
        names.append(str(name))
    return tuple(names)
