"""Frames between a server and a model in another process: eight bytes of length, then msgpack."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from executors.serving.runtime.runners import TensorSpec
from executors.serving.runtime.tensors import BYTES, DTYPES, Array, datatype_of, text_of

LENGTH = struct.Struct("<Q")
FRAME_BYTES_MAX = 1 << 31


class Packed(msgspec.Struct, array_like=True, frozen=True):
    """An array; elements of BYTES stand in `texts`."""

    datatype: str
    shape: list[int]
    data: bytes = b""
    texts: list[bytes] = []


class Spec(msgspec.Struct, array_like=True, frozen=True):
    """A `TensorSpec`."""

    name: str
    datatype: str
    shape: list[int]
    columns: list[str]
    parameters: dict[str, Any]


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The model is loaded and proved."""

    platform: str
    stackable: bool
    inputs: list[Spec]
    outputs: list[Spec]


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The model cannot be loaded (`damaged`), or cannot answer these values."""

    message: str
    is_damaged: bool = False
    is_values: bool = False


class Work(msgspec.Struct, frozen=True, tag="work"):
    """Inputs to run, or the outputs of a run."""

    tensors: list[Packed]


Message = Ready | Refused | Work
_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """Return a frame."""
    body = _ENCODER.encode(message)
    return LENGTH.pack(len(body)) + body


def decode(body: bytes) -> Message:
    """Read the body of a frame."""
    return _DECODER.decode(body)


def pack(arrays: Sequence[Array]) -> list[Packed]:
    """Return arrays as they travel."""
    return [_packed(np.asarray(array)) for array in arrays]


def unpack(packed: Sequence[Packed]) -> list[Array]:
    """Return arrays as they were."""
    return [_unpacked(each) for each in packed]


def pack_specs(specs: Sequence[TensorSpec]) -> list[Spec]:
    """Return specifications as they travel."""
    return [
        Spec(s.name, s.datatype, list(s.shape), list(s.columns), dict(s.parameters)) for s in specs
    ]


def unpack_specs(specs: Sequence[Spec]) -> tuple[TensorSpec, ...]:
    """Return specifications as they were."""
    return tuple(
        TensorSpec(
            name=s.name,
            datatype=s.datatype,
            shape=tuple(s.shape),
            columns=tuple(s.columns),
            parameters=s.parameters,
        )
        for s in specs
    )


def _packed(array: Array) -> Packed:
    datatype = datatype_of(array)
    if datatype == BYTES:
        texts = [text_of(element) for element in array.ravel()]
        return Packed(datatype, list(array.shape), b"", texts)
    return Packed(datatype, list(array.shape), np.ascontiguousarray(array).tobytes())


def _unpacked(packed: Packed) -> Array:
    if packed.datatype == BYTES:
        array: Array = np.empty(len(packed.texts), dtype=object)
        array[:] = packed.texts
    else:
        array = np.frombuffer(packed.data, dtype=DTYPES[packed.datatype])
    return array.reshape(packed.shape)
