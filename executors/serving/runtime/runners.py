"""The interface of a model in memory, and how the tensors of a request are made to fit it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from executors.serving.runtime.faults import RequestError
from executors.serving.runtime.tensors import BYTES, DTYPES, Array, Tensor

ROWS_MAX = 10_000
"""Most rows of a request to a model whose first dimension is rows."""
FREE = -1
"""The size in a shape that a request chooses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """An input or output: shape with -1 where a request chooses the size.

    columns: names of the columns where the tensor is a table [rows, columns]; requests may then
    send one tensor for each column. parameters: what else people should know.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    columns: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Runner(Protocol):
    """A model that answers.

    stackable: the first dimension of every input and output is rows, each row is answered on its
    own, so rows of several requests may run together.
    """

    platform: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    stackable: bool

    def run(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """Return the outputs, in the order of `outputs`.

        Inputs have been arranged by `arrange`. Used by one thread at a time.

        Raises:
            ValueError: when the model cannot answer these values.
        """
        ...


class Described(Protocol):
    """What is known of a model wherever it runs."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What it is asked."""
        ...

    @property
    def stackable(self) -> bool:
        """Whether rows of several requests may run together."""
        ...


def arrange(runner: Described, tensors: Sequence[Tensor]) -> list[Array]:
    """Return a request's tensors in the order, type and shape of a model's inputs.

    A single tensor may have any name where the model has a single input.

    Raises:
        RequestError: naming the tensor at fault, what it has and what was expected.
    """
    specs = runner.inputs
    if len(specs) == 1:
        spec = specs[0]
        columns = spec.columns
        one = len(tensors) == 1 and (tensors[0].name == spec.name or len(columns) != 1)
        if columns and not (one and tensors[0].name not in columns):
            arrays = [_fit(spec, _columns(tensors, spec))]
        elif len(tensors) == 1:
            arrays = [_fit(spec, tensors[0])]
        else:
            arrays = _by_name(specs, tensors)
    else:
        arrays = _by_name(specs, tensors)
    if runner.stackable:
        _check_rows(specs, arrays)
    return arrays


def _by_name(specs: Sequence[TensorSpec], tensors: Sequence[Tensor]) -> list[Array]:
    by_name = {tensor.name: tensor for tensor in tensors}
    names = [spec.name for spec in specs]
    missing = [name for name in names if name not in by_name]
    unknown = [name for name in by_name if name not in names]
    if missing or unknown or len(by_name) < len(tensors):
        message = f"inputs: missing {missing}, unknown {unknown}, {len(tensors)} in all"
        raise RequestError(f"{message}; expected each of {names} once")
    return [_fit(spec, by_name[spec.name]) for spec in specs]


def _columns(tensors: Sequence[Tensor], spec: TensorSpec) -> Tensor:
    """Put tensors of one column each together as a table."""
    expected = spec.columns
    by_name = {tensor.name: tensor for tensor in tensors}
    missing = [name for name in expected if name not in by_name]
    unknown = [name for name in by_name if name not in expected]
    if missing or unknown or len(by_name) < len(tensors):
        message = f"inputs: missing {missing}, unknown {unknown}, {len(tensors)} in all; expected"
        raise RequestError(f"{message} {spec.name!r}, or each of {list(expected)} once")
    count = tensors[0].array.size
    for tensor in tensors:
        if tensor.array.shape not in {(count,), (count, 1)}:
            shape = list(tensor.array.shape)
            message = f"input {tensor.name!r} has shape {shape}, expected [{count}]"
            raise RequestError(message)
        _check_type(spec, tensor)
    table = np.column_stack([by_name[name].array.ravel() for name in expected])
    return Tensor(spec.name, spec.datatype, table.astype(DTYPES[spec.datatype], copy=False))


def _fit(spec: TensorSpec, tensor: Tensor) -> Array:
    """Return a tensor in the type that an input wants, when its shape fits."""
    array = tensor.array
    shape = array.shape
    wanted = spec.shape
    if not _is_shape(wanted, shape):
        said = _said(wanted, table=bool(spec.columns))
        message = f"input {tensor.name!r} has shape {list(shape)}, expected {said}"
        raise RequestError(message)
    if tensor.datatype != spec.datatype:
        _check_type(spec, tensor)
        array = _cast(spec, array)
    return array


def _is_shape(wanted: Sequence[int], shape: Sequence[int]) -> bool:
    """Say whether a shape is one of those wanted."""
    return len(shape) == len(wanted) and all(
        size in (given, FREE) for size, given in zip(wanted, shape, strict=True)
    )


def _check_type(spec: TensorSpec, tensor: Tensor) -> None:
    """Refuse text where numbers are wanted, and numbers where text is."""
    if (tensor.datatype == BYTES) != (spec.datatype == BYTES):
        message = f"input {tensor.name!r} has datatype {tensor.datatype!r}, expected"
        raise RequestError(f"{message} {spec.datatype} or a type that becomes it")


def _cast(spec: TensorSpec, array: Array) -> Array:
    """Return an array in the type of an input; a value that this would change is refused."""
    dtype = DTYPES[spec.datatype]
    with np.errstate(invalid="ignore", over="ignore"):
        cast = array.astype(dtype)
    if dtype.kind != "f" and not np.array_equal(cast, array):
        message = f"input {spec.name!r} holds values that {spec.datatype} cannot hold"
        raise RequestError(message)
    return cast


def _check_rows(specs: Sequence[TensorSpec], arrays: Sequence[Array]) -> None:
    """Refuse an empty batch, one that is too large, and inputs of different lengths."""
    count = len(arrays[0])
    if not 1 <= count <= ROWS_MAX:
        raise RequestError(f"the request has {count} rows, expected 1 to {ROWS_MAX}")
    for spec, array in zip(specs, arrays, strict=True):
        if len(array) != count:
            message = f"input {spec.name!r} has {len(array)} rows, {specs[0].name!r} has {count}"
            raise RequestError(message)


def _said(shape: Sequence[int], *, table: bool) -> str:
    """Return a shape as people read it."""
    names = [str(size) for size in shape]
    if table and names and shape[0] == FREE:
        names[0] = "rows"
    return f"[{', '.join(names)}]"
