"""Typed tensors of the protocol and their bytes (its section "Tensor Data Types").

Numbers are little-endian and row-major. An element of BYTES is its length in four bytes, then its
bytes. BF16 has no type in numpy: it is held as FP32, of which it is the upper half.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from executors.serving.runtime.faults import RequestError

Array = NDArray[Any]
BYTES = "BYTES"
BF16 = "BF16"
DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    BF16: np.dtype("<f4"),
    BYTES: np.dtype(object),
}
"""The type of numpy in which each datatype is held."""
_NAMES = {dtype: name for name, dtype in DTYPES.items() if name != BF16}
_LENGTH = struct.Struct("<I")
_HALF_BITS = 16
RANK_MAX = 32
_SIZE_MOST = 1 << 40


class Tensor(msgspec.Struct, frozen=True):
    """A named array; its datatype is one of `DTYPES`."""

    name: str
    datatype: str
    array: Array


def datatype_of(array: Array) -> str:
    """Return the datatype in which an array is sent; text and objects are BYTES."""
    return _NAMES.get(array.dtype, BYTES)


def dtype_of(name: str, datatype: str) -> np.dtype[Any]:
    """Return numpy's type of a datatype.

    Raises:
        RequestError: when there is no such datatype.
    """
    found = DTYPES.get(datatype)
    if found is None:
        message = f"input {name!r} has datatype {datatype!r}, expected one of {', '.join(DTYPES)}"
        raise RequestError(message)
    return found


def checked_size(name: str, shape: Sequence[int]) -> int:
    """Return the number of elements of a shape.

    Raises:
        RequestError: when it has a negative size or too many dimensions.
    """
    if len(shape) > RANK_MAX or min(shape, default=0) < 0:
        message = f"input {name!r} has shape {list(shape)[:RANK_MAX]}, expected at most {RANK_MAX}"
        raise RequestError(f"{message} whole numbers from 0")
    if math.prod(filter(None, shape)) > _SIZE_MOST:  # also beside a 0, where nothing is sent
        raise RequestError(f"input {name!r} has shape {list(shape)}, which no array can have")
    return math.prod(shape)


def from_bytes(name: str, datatype: str, shape: Sequence[int], data: bytes | memoryview) -> Tensor:
    """Read a tensor from its bytes.

    Raises:
        RequestError: when there are more or fewer than its shape needs.
    """
    dtype = dtype_of(name, datatype)
    size = checked_size(name, shape)
    if datatype == BYTES:
        return Tensor(name, datatype, _elements(name, size, bytes(data)).reshape(shape))
    width = 2 if datatype == BF16 else dtype.itemsize
    if len(data) != size * width:
        message = f"input {name!r} has {len(data)} bytes, its shape {list(shape)} and datatype"
        raise RequestError(f"{message} {datatype} need {size * width}")
    if datatype == BF16:
        halves = np.frombuffer(data, dtype="<u2").astype("<u4")
        return Tensor(name, datatype, (halves << _HALF_BITS).view("<f4").reshape(shape))
    return Tensor(name, datatype, np.frombuffer(data, dtype=dtype).reshape(shape))


def to_bytes(datatype: str, array: Array) -> bytes:
    """Return the bytes of a tensor."""
    if datatype == BYTES:
        parts: list[bytes] = []
        for element in array.ravel():
            data = text_of(element)
            parts += (_LENGTH.pack(len(data)), data)
        return b"".join(parts)
    values = np.ascontiguousarray(array, dtype=DTYPES[datatype])
    if datatype == BF16:
        return (values.view("<u4") >> _HALF_BITS).astype("<u2").tobytes()
    return values.tobytes()


def text_of(element: object) -> bytes:
    """Return an element of BYTES as bytes; text is UTF-8."""
    return element if isinstance(element, bytes) else str(element).encode()


def _elements(name: str, size: int, data: bytes) -> Array:
    """Read `size` elements of BYTES."""
    found: list[bytes] = []
    place = 0
    while place + _LENGTH.size <= len(data) and len(found) < size:
        (length,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size
        found.append(data[place : place + length])
        place += length
    if place != len(data) or len(found) != size:
        raise RequestError(f"input {name!r}: its bytes do not hold {size} elements with lengths")
    array = np.empty(size, dtype=object)
    array[:] = found
    return array
