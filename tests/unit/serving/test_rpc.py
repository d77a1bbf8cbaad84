# ruff: noqa: ANN401 - messages are built at run time
"""The gRPC face."""

from __future__ import annotations

import asyncio
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest

from executors.serving.v2 import rpc_codec, service
from executors.serving.v2.messages import CLASSES, SERVICE
from executors.serving.v2.service import InferenceService
from tests.unit.serving.client import ROW, Client
from tests.unit.serving.conftest import Running


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


def no_array(sent: Any) -> None:
    sent.inputs[0].shape[:] = [0, 2**62, 2**62]


def no_inputs(sent: Any) -> None:
    del sent.inputs[:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (two_shapes, "has 2 values in `fp64_contents`"),
        (no_contents, "in `raw_input_contents` only"),
        (two_raw, "has 2 entries for 1 inputs"),
        (no_array, "which no array can have"),
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


def test_errors_of_long_names_get_through(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.call("ModelReady", name="é" * 100_000)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details().startswith("there is no model 'éé")
    assert caught.value.details().endswith("...")


def test_what_a_handler_did_not_expect_is_told_as_a_failure(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> dict[str, object]:
        raise ValueError("out of range")

    monkeypatch.setattr(service, "describe_config", fails)
    with pytest.raises(grpc.RpcError) as caught:
        client.call("ModelConfig", name="iris")
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "out of range" in caught.value.details()


def test_large_requests_are_read_beside_the_others(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    read = rpc_codec.read_infer

    def reads(message: Any) -> Any:
        threads.append(threading.current_thread())
        return read(message)

    monkeypatch.setattr(rpc_codec, "read_infer", reads)
    for rows in (10_000, 1):
        sent = request()
        sent.inputs[0].shape[0] = rows
        sent.inputs[0].contents.fp64_contents.extend(ROW * rows)
        answer = client.call("ModelInfer", sent.SerializeToString())
        assert list(answer.outputs[0].contents.int64_contents) == [0] * rows
    assert threads[0] is not threads[1]


@pytest.mark.parametrize("leaves", [True, False], ids=["left", "late"])
def test_a_call_that_was_given_up_is_no_success(
    running: Running, monkeypatch: pytest.MonkeyPatch, *, leaves: bool
) -> None:
    began, counted = threading.Event(), queue.Queue[int]()

    async def never(*_: object, **__: object) -> None:
        began.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(InferenceService, "infer", never)
    monkeypatch.setattr(InferenceService, "finish", lambda *said: counted.put(said[2]))
    sent = request()
    sent.raw_input_contents.append(np.array(ROW).tobytes())
    with grpc.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel:
        call = channel.unary_unary(f"/{SERVICE}/ModelInfer").future(
            sent.SerializeToString(), timeout=60 if leaves else 0.5
        )
        assert not leaves or began.wait(60)
        call.cancel() if leaves else call.exception(60)
        assert counted.get(timeout=60) == 499
    assert running.service.open_requests == 0


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
