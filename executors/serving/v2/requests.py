"""Inference requests and answers, whichever way they came.

They are structs of msgspec: several are made for each request, and a frozen dataclass takes seven
times as long to make.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from executors.serving.runtime.faults import RequestError
from executors.serving.runtime.runners import TensorSpec
from executors.serving.runtime.tensors import Array, Tensor

Parameters = Mapping[str, object]
_MICROSECONDS = 1e6


class WantedOutput(msgspec.Struct, frozen=True):
    """An output asked for. binary: as bytes behind the JSON; None leaves it to the request."""

    name: str
    binary: bool | None = None
    classes: int = 0


class InferRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request. binary: whether outputs come as bytes where they do not say."""

    request_id: str
    tensors: Sequence[Tensor]
    outputs: Sequence[WantedOutput] = ()
    parameters: Parameters = {}
    binary: bool = False

    @property
    def timeout_seconds(self) -> float:
        """Longest wait that the request allows (parameter `timeout`, in microseconds)."""
        found = self.parameters.get("timeout", 0)
        if isinstance(found, bool) or not isinstance(found, int | float):
            message = f"parameter 'timeout' is {found!r}, expected microseconds"
            raise RequestError(message)
        return found / _MICROSECONDS if found > 0 else float("inf")


class Output(msgspec.Struct, frozen=True):
    """An output of an answer."""

    spec: TensorSpec
    array: Array
    binary: bool


class InferAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, with the version that gave it."""

    model: str
    version: str
    request_id: str
    outputs: Sequence[Output]


def chosen(
    request: InferRequest, specs: Sequence[TensorSpec], arrays: Sequence[Array]
) -> list[Output]:
    """Return the outputs that a request asked for; all without any.

    Raises:
        RequestError: when it asks for one that the model does not have.
    """
    if not request.outputs:
        return [
            Output(spec, array, request.binary) for spec, array in zip(specs, arrays, strict=True)
        ]
    by_name = {spec.name: (spec, array) for spec, array in zip(specs, arrays, strict=True)}
    found: list[Output] = []
    for wanted in request.outputs:
        spec, array = by_name[wanted.name]
        binary = request.binary if wanted.binary is None else wanted.binary
        found.append(Output(spec, array, binary))
    return found


def check_outputs(request: InferRequest, specs: Sequence[TensorSpec]) -> None:
    """Refuse a request that the model cannot serve, before it runs.

    Raises:
        RequestError: naming the output.
    """
    if request.parameters:
        _ = request.timeout_seconds
    if request.outputs:
        known = [spec.name for spec in specs]
        for wanted in request.outputs:
            if wanted.name not in known:
                raise RequestError(f"there is no output {wanted.name!r}, expected {known}")
            if wanted.classes:
                message = f"output {wanted.name!r}: the classification extension is not served"
                raise RequestError(message)
