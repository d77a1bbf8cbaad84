# ruff: noqa: ANN401 - messages are built at run time
"""The gRPC face."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest

from executors.serving.v2.messages import CLASSES
from tests.unit.serving.client import ROW, Client


def request(**more: Any) -> Any:
    found = CLASSES["ModelInferRequest"](model_name="iris", id="7", **more)
    found.inputs.add(name="features", datatype="FP64", shape=[1, 4])
    return found


def test_states_and_metadata(client: Client) -> None:
    assert client.call("ServerLive").live
    assert client.call("ServerReady").ready
    assert client.call("ModelReady", name="iris").ready
    assert client.call("ServerMetadata").name == "berth"
    assert list(client.call("ModelMetadata", name="iris").inputs[0].shape) == [-1, 4]
    assert list(client.call("ModelConfig", name="iris").config.input[0].dims) == [4]
    assert client.call("RepositoryIndex").models[0].state == "READY"


def test_raw_contents_are_answered_raw(client: Client) -> None:
    sent = request()
    sent.raw_input_contents.append(np.array(ROW).tobytes())
    answer = client.call("ModelInfer", sent.SerializeToString())
    assert answer.id == "7"
    assert np.frombuffer(answer.raw_output_contents[0], "<i8").tolist() == [0]


def test_typed_contents_are_answered_typed(client: Client) -> None:
    sent = request()
    sent.inputs[0].contents.fp64_contents.extend(ROW)
    answer = client.call("ModelInfer", sent.SerializeToString())
    assert list(answer.outputs[0].contents.int64_contents) == [0]
    assert len(answer.outputs[1].contents.fp64_contents) == 3


def test_statistics_count_what_was_answered(client: Client) -> None:
    found = client.call("ModelStatistics", name="iris").model_stats[0]
    assert found.inference_stats.success.count == found.inference_count or found.inference_count


def two_shapes(sent: Any) -> None:
    sent.inputs[0].contents.fp64_contents.extend(ROW[:2])


def no_contents(sent: Any) -> None:
    sent.inputs[0].datatype = "FP16"


def two_raw(sent: Any) -> None:
    sent.raw_input_contents.extend([b"", b""])


def no_inputs(sent: Any) -> None:
    del sent.inputs[:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (two_shapes, "has 2 values in `fp64_contents`"),
        (no_contents, "in `raw_input_contents` only"),
        (two_raw, "has 2 entries for 1 inputs"),
        (no_inputs, "`inputs` is empty"),
    ],
)
def test_bad_requests_are_explained(
    client: Client, change: Callable[[Any], None], message: str
) -> None:
    sent = request()
    change(sent)
    with pytest.raises(grpc.RpcError) as caught:
        client.call("ModelInfer", sent.SerializeToString())
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert message in caught.value.details()


@pytest.mark.parametrize("name", ["ModelInfer", "ModelReady"])
def test_bytes_that_are_no_message_are_refused(client: Client, name: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.call(name, b"\xff\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_unknown_models_are_not_found(client: Client) -> None:
    for name in ("ModelMetadata", "ModelConfig", "ModelStatistics"):
        with pytest.raises(grpc.RpcError) as caught:
            client.call(name, name="other")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_the_default_pool_of_protobuf_is_left_alone() -> None:
    code = (
        "import executors.serving.v2.messages\n"
        "from google.protobuf import descriptor_pool\n"
        "try:\n"
        "    descriptor_pool.Default().FindMessageTypeByName('inference.ServerLiveRequest')\n"
        "except KeyError:\n"
        "    print('free')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "free\n"
