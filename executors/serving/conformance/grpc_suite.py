"""What every server of the protocol does over gRPC; subclass with fixtures, run with pytest.

Needs the extra `grpc`. The messages live in a pool of their own, so that this can be imported
beside other clients of the protocol.
"""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from executors.serving.conformance.sample import (
    DATATYPES,
    Sample,
    SampleTensor,
    ServerAddress,
    Value,
    unpacked,
)
from executors.serving.v2.messages import CLASSES, SERVICE

_MISSING = "no-such-model"
_CONTENTS = {
    "BOOL": "bool_contents",
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
}
_REFUSED = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
Message = Any
"""A message of the protocol; its class is built at run time."""


def _serialized(message: Message) -> bytes:
    return bytes(message.SerializeToString())


def call(address: ServerAddress, method_name: str, request: Message = None) -> Message:
    """Ask a server; an empty request without one."""
    given = request if request is not None else CLASSES[f"{method_name}Request"]()
    with grpc.insecure_channel(f"{address.host}:{address.grpc_port}") as channel:
        method = channel.unary_unary(
            f"/{SERVICE}/{method_name}",
            request_serializer=_serialized,
            response_deserializer=CLASSES[f"{method_name}Response"].FromString,
        )
        return method(given, timeout=address.timeout_seconds)


def request_of(sample: Sample, *, raw: bool) -> Message:
    """Return the sample's inference request, its data as typed contents or as bytes."""
    request = CLASSES["ModelInferRequest"](model_name=sample.model)
    for tensor in sample.inputs:
        added = request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        if raw:
            request.raw_input_contents.append(tensor.raw)
        else:
            getattr(added.contents, _CONTENTS[tensor.datatype]).extend(tensor.data)
    return request


def values(answer: Message, place: int) -> list[Value]:
    """Return the elements of an output, whichever way they came."""
    output = answer.outputs[place]
    if answer.raw_output_contents:
        return unpacked(output.datatype, answer.raw_output_contents[place])
    return list(getattr(output.contents, _CONTENTS[output.datatype]))


class GrpcSuite:
    """Health, metadata and inference, by the protocol's gRPC API."""

    @pytest.fixture
    def address(self) -> ServerAddress:
        """Return where the server listens."""
        raise NotImplementedError

    @pytest.fixture
    def sample(self) -> Sample:
        """Return a model that it serves."""
        raise NotImplementedError

    def test_the_server_is_live_and_ready(self, address: ServerAddress) -> None:
        """Both are said by a field."""
        assert call(address, "ServerLive").live
        assert call(address, "ServerReady").ready

    def test_the_model_is_ready(self, address: ServerAddress, sample: Sample) -> None:
        """As is the version that serves."""
        kind = CLASSES["ModelReadyRequest"]
        assert call(address, "ModelReady", kind(name=sample.model)).ready
        if sample.version:
            asked = kind(name=sample.model, version=sample.version)
            assert call(address, "ModelReady", asked).ready

    def test_server_and_model_describe_themselves(
        self, address: ServerAddress, sample: Sample
    ) -> None:
        """Tensors by name, datatype and shape."""
        assert call(address, "ServerMetadata").name
        asked = CLASSES["ModelMetadataRequest"](name=sample.model)
        found = call(address, "ModelMetadata", asked)
        assert found.name == sample.model
        for described, known in ((found.inputs, sample.inputs), (found.outputs, sample.outputs)):
            own = {each.name: each for each in described}
            for tensor in known:
                assert own[tensor.name].datatype in DATATYPES
                assert len(own[tensor.name].shape) == len(tensor.shape)

    @pytest.mark.parametrize("raw", [True, False])
    def test_an_inference_is_answered(
        self, address: ServerAddress, sample: Sample, *, raw: bool
    ) -> None:
        """Asked with bytes or with typed contents."""
        answer = call(address, "ModelInfer", request_of(sample, raw=raw))
        assert answer.model_name == sample.model
        places = {output.name: place for place, output in enumerate(answer.outputs)}
        for tensor in sample.outputs:
            place = places[tensor.name]
            shape = list(answer.outputs[place].shape)
            assert answer.outputs[place].datatype == tensor.datatype
            assert tensor.equals(shape, values(answer, place), sample.tolerance)

    def test_an_id_comes_back(self, address: ServerAddress, sample: Sample) -> None:
        """As it was sent."""
        request = request_of(sample, raw=True)
        request.id = "conformance-1"
        assert call(address, "ModelInfer", request).id == "conformance-1"

    def test_outputs_that_are_asked_for_are_given(
        self, address: ServerAddress, sample: Sample
    ) -> None:
        """And no others."""
        request = request_of(sample, raw=True)
        request.outputs.add(name=sample.outputs[-1].name)
        found = call(address, "ModelInfer", request).outputs
        assert [each.name for each in found] == [sample.outputs[-1].name]

    @pytest.mark.parametrize("fault", ["model", "shape", "count", "both", "datatype"])
    def test_a_request_at_fault_is_refused(
        self, address: ServerAddress, sample: Sample, fault: str
    ) -> None:
        """With a status that says whose fault it is; the server goes on."""
        request = request_of(sample, raw=True)
        first: SampleTensor = sample.inputs[0]
        if fault == "model":
            request.model_name = _MISSING
        elif fault == "shape":
            request.inputs[0].shape.append(2)
        elif fault == "count":
            request.raw_input_contents[0] = first.raw[:-1]
        elif fault == "both":
            contents = getattr(request.inputs[0].contents, _CONTENTS[first.datatype])
            contents.extend(first.data)
        else:
            request.inputs[0].datatype = "FP65"
        with pytest.raises(grpc.RpcError) as refused:
            call(address, "ModelInfer", request)
        assert refused.value.code() in _REFUSED
        call(address, "ModelInfer", request_of(sample, raw=True))
