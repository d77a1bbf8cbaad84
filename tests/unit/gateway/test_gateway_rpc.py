# ruff: noqa: ANN401 - messages are built at run time
"""The gateway over gRPC: real servers without gRPC of their own answer through it, moved or not."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from executors.serving.gateway import rpc
from executors.serving.gateway.gateway import Limits
from executors.serving.v2.messages import CLASSES, SERVICE
from tests.unit.gateway.test_gateway import Running as Gate
from tests.unit.gateway.test_gateway import Server, deployment
from tests.unit.serving.client import ROW
from tests.unit.serving.conftest import Running as ModelServer
from tests.unit.serving.conftest import write_version

GONE = "http://127.0.0.1:9"


@pytest.fixture
def gate() -> Iterator[Gate]:
    found = Gate(Limits(wait_seconds=60.0, body_bytes_max=1 << 20), grpc_wanted=0)
    yield found
    found.end()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    write_version(folder / "iris" / "1")
    return folder


@pytest.fixture(scope="module")
def model_server(repository: Path) -> Iterator[ModelServer]:
    found = ModelServer(repository)
    yield found
    found.end()


@pytest.fixture
def served(gate: Gate, model_server: ModelServer) -> Gate:
    """A gateway that knows the server of `iris`."""
    gate.tell(deployment(url_of(model_server)))
    return gate


def url_of(server: ModelServer) -> str:
    return f"http://127.0.0.1:{server.client.port}"


def raw_call(port: int, header: tuple[bytes, bytes]) -> bytes:
    """Send an inference over plain HTTP/2, as no client library would; return what came first."""
    given = [
        (b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"x"),
        (b":path", f"/{SERVICE}/ModelInfer".encode()), (b"content-type", b"application/grpc"),
        (b"te", b"trailers"), header,
    ]  # fmt: skip
    fields = b"".join(b"\0%c%b%c%b" % (len(name), name, len(value), value) for name, value in given)
    body = request().SerializeToString()

    def frame(kind: int, flags: int, stream: int, data: bytes) -> bytes:
        return struct.pack(">I", len(data))[1:] + struct.pack(">BBI", kind, flags, stream) + data

    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        start = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
        data = b"\0" + struct.pack(">I", len(body)) + body
        connection.sendall(start + frame(1, 4, 1, fields) + frame(0, 1, 1, data))
        found = b""
        while b"grpc-status" not in found and (part := connection.recv(1 << 16)):
            found += part
    return found


def request(*, raw: bool = True, **more: Any) -> Any:
    found = CLASSES["ModelInferRequest"](model_name="iris", id="7", **more)
    tensor = found.inputs.add(name="features", datatype="FP64", shape=[1, 4])
    if raw:
        found.raw_input_contents.append(np.array(ROW).tobytes())
    else:
        tensor.contents.fp64_contents.extend(ROW)
    return found


def infer(gate: Gate, sent: Any, **how: Any) -> Any:
    return gate.client.call("ModelInfer", sent.SerializeToString(), **how)


def refused(gate: Gate, method: str, **fields: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        gate.client.call(method, **fields)
    return caught.value.code(), str(caught.value.details())


def test_raw_tensors_are_answered_raw(served: Gate) -> None:
    answer = infer(served, request())
    assert (answer.model_name, answer.model_version, answer.id) == ("iris", "1", "7")
    assert np.frombuffer(answer.raw_output_contents[0], "<i8").tolist() == [0]


def test_typed_tensors_are_answered_typed(served: Gate) -> None:
    answer = infer(served, request(raw=False, model_version="1"))
    assert list(answer.outputs[0].contents.int64_contents) == [0]
    assert not answer.raw_output_contents


def test_only_the_outputs_that_are_asked_for_come(served: Gate) -> None:
    sent = request()
    name = infer(served, sent).outputs[1].name
    sent.outputs.add(name=name)
    assert [each.name for each in infer(served, sent).outputs] == [name]


def test_states_and_descriptions_are_those_of_the_server(served: Gate) -> None:
    call = served.client.call
    infer(served, request())
    assert call("ServerLive").live
    assert call("ServerReady").ready
    assert call("ServerMetadata").name == "berth-gateway"
    assert call("ModelReady", name="iris").ready
    described = call("ModelMetadata", name="iris", version="1")
    assert [list(each.shape) for each in described.inputs] == [[-1, 4]]
    config = call("ModelConfig", name="iris").config
    assert (list(config.input[0].dims), config.input[0].data_type > 0) == ([4], True)
    for statistics in (call("ModelStatistics", name="iris"), call("ModelStatistics")):
        assert statistics.model_stats[0].inference_stats.success.count >= 1
    assert call("RepositoryIndex").models[0].state == "READY"


def test_a_model_that_moves_under_load_fails_no_call(
    gate: Gate, model_server: ModelServer, repository: Path
) -> None:
    gate.tell(deployment(url_of(model_server)))
    found: list[str] = []
    ended = threading.Event()

    def ask() -> None:
        with grpc.insecure_channel(f"127.0.0.1:{gate.grpc_port}") as channel:
            call = channel.unary_unary(
                f"/{SERVICE}/ModelInfer",
                request_serializer=bytes,
                response_deserializer=CLASSES["ModelInferResponse"].FromString,
            )
            while not ended.is_set():
                try:
                    found.append(call(request().SerializeToString(), timeout=90).model_version)
                except grpc.RpcError as error:
                    found.append(f"{error.code()}: {error.details()}")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        wait_for_more(found)
        # As an engine that moves it: gone here, later there; open requests are cut off.
        there = ModelServer(repository)
        gate.tell(deployment(""))
        gate.tell(deployment(url_of(there)))
        wait_for_more(found)
        gate.tell(deployment(GONE))
        there.end()
        gate.tell(deployment(url_of(model_server)))
    ended.set()
    for thread in threads:
        thread.join(90)
    assert set(found) == {"1"}
    assert gate.table.moves >= 9


def wait_for_more(found: list[str]) -> None:
    """Return once five more have come."""
    wanted, end = len(found) + 5, time.monotonic() + 60
    while len(found) < wanted:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_model_that_is_being_moved_is_not_ready(gate: Gate) -> None:
    gate.tell(deployment(""))
    assert not gate.client.call("ModelReady", name="iris").ready
    _, _, page = gate.client.send("GET", "/metrics")
    assert b"berth_gateway_waits_total{" not in page
    assert not gate.client.call("RepositoryIndex", ready=True).models
    code, said = refused(gate, "ModelMetadata", name="iris", timeout=0.5)
    assert code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
    assert said


def test_what_is_not_there_is_not_found(served: Gate) -> None:
    assert refused(served, "ModelReady", name="other")[0] is grpc.StatusCode.NOT_FOUND
    code, said = refused(served, "ModelMetadata", name="iris", version="../9")
    assert (code, "9" in said) == (grpc.StatusCode.NOT_FOUND, True)
    code, _ = refused(served, "RepositoryModelLoad", model_name="iris")
    assert code is grpc.StatusCode.UNIMPLEMENTED


def test_what_a_request_does_wrong_is_told(served: Gate) -> None:
    code, said = refused(served, "ModelInfer", model_name="iris")
    assert (code, said) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "`inputs` is empty, expected a list of tensors",
    )
    with pytest.raises(grpc.RpcError) as caught:
        served.client.call("ModelInfer", b"\xff\xff")
    assert "are no ModelInferRequest" in str(caught.value.details())
    short = request()
    short.inputs[0].shape[:] = [1, 2]
    short.raw_input_contents[0] = np.array(ROW[:2]).tobytes()
    with pytest.raises(grpc.RpcError) as caught:
        infer(served, short)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_header_is_no_second_request(served: Gate, model_server: ModelServer) -> None:
    behind = b"1\r\ncontent-length: 0\r\n\r\nPOST /v2/repository/models/iris/unload HTTP/1.1\r\n"
    said = raw_call(served.grpc_port, (b"x-more", behind + b"content-length: 0\r\n\r\n"))
    assert b"metadata 'x-more' is" in said
    assert "iris" in model_server.shelf.slots
    said = raw_call(served.grpc_port, (b"berth-timeout-ms", b"9" * 100))
    assert b"expected a whole number" in said


def test_a_version_may_have_any_name(served: Gate, repository: Path) -> None:
    name = "sha256:a b%2F"
    write_version(repository / "named" / name)
    server = ModelServer(repository)
    try:
        served.tell(deployment(url_of(server), "named"))
        sent = request(model_version=name)
        sent.model_name = "named"
        assert infer(served, sent).model_version == name
        assert list(served.client.call("ModelMetadata", name="named").versions) == [name]
    finally:
        server.end()


def test_what_is_large_is_translated_beside_the_loop(
    served: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    where: list[threading.Thread] = []
    written = rpc._written

    def noted(message: Any) -> tuple[bytes, bytes]:
        where.append(threading.current_thread())
        return written(message)

    monkeypatch.setattr(rpc, "_written", noted)
    infer(served, request())
    sent = request()
    sent.inputs[0].datatype = "BYTES"
    sent.inputs[0].shape[:] = [200_000]
    sent.raw_input_contents[0] = bytes(4 * 200_000)
    with pytest.raises(grpc.RpcError) as caught:
        infer(served, sent)
    assert "has shape [200000], expected [-1, 4]" in str(caught.value.details())
    assert where[0] is not where[1]


@pytest.mark.parametrize("document", [{"outputs": 3}, {"model_version": "x"}])
def test_nonsense_of_a_server_is_named(gate: Gate, document: dict[str, object]) -> None:
    server = Server("s")
    server.name = str(document)
    try:
        gate.tell(deployment(server.url))
        with pytest.raises(grpc.RpcError) as caught:
            infer(gate, request())
        assert "answers nonsense" in str(caught.value.details())
    finally:
        server.end()


def test_the_headers_of_a_call_reach_the_server(gate: Gate) -> None:
    server = Server("s")
    try:
        gate.tell(deployment(server.url))
        with grpc.insecure_channel(f"127.0.0.1:{gate.grpc_port}") as channel:
            call = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            with pytest.raises(grpc.RpcError):
                call(request().SerializeToString(), metadata=(("x-arm", "b"),), timeout=20)
        assert b"x-arm: b\r\n" in server.seen[0]
        assert b"user-agent" not in server.seen[0]
        milliseconds = server.seen[0].partition(b"berth-timeout-ms: ")[2].split(b"\r\n")[0]
        assert 0 < int(milliseconds) <= 20_000
        head = server.seen[0].partition(b"\r\n\r\n")[2]
        assert json.loads(head[: head.rindex(b"}") + 1])["id"] == "7"
    finally:
        server.end()
