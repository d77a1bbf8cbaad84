"""The model a server is tried with, and what the suites know of tensors."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

DATATYPES = frozenset({
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
    "FP16", "FP32", "FP64", "BYTES", "BF16",
})  # fmt: skip
FORMATS = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b",
    "INT16": "h", "INT32": "i", "INT64": "q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip
Value = float | int | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleTensor:
    """A tensor of numbers: its elements in row-major order."""

    name: str
    datatype: str
    shape: Sequence[int]
    data: Sequence[Value]

    @property
    def raw(self) -> bytes:
        """Its bytes: little-endian, row-major."""
        return struct.pack(f"<{len(self.data)}{FORMATS[self.datatype]}", *self.data)

    def equals(self, shape: Sequence[int], values: Sequence[Value], tolerance: float) -> bool:
        """Say whether an answer holds the same numbers in the same shape."""
        return list(shape) == list(self.shape) and all(
            math.isclose(found, own, rel_tol=tolerance, abs_tol=tolerance)
            for found, own in zip(values, self.data, strict=True)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A model that the server serves, with one request and its answer.

    version: the one that serves, "" for a server without versions. inputs: of numbers, not of
    BYTES; the first has at least two elements. outputs: all that the model gives.
    """

    model: str
    inputs: Sequence[SampleTensor]
    outputs: Sequence[SampleTensor]
    version: str = ""
    tolerance: float = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """Where a server listens. timeout_seconds: of each request."""

    host: str = "127.0.0.1"
    rest_port: int = 0
    grpc_port: int = 0
    timeout_seconds: float = 60.0
    headers: dict[str, str] = field(default_factory=dict)


def unpacked(datatype: str, data: bytes) -> list[Value]:
    """Return the elements of a tensor of numbers from its bytes."""
    kind = FORMATS[datatype]
    return list(struct.unpack(f"<{len(data) // struct.calcsize('<' + kind)}{kind}", data))
