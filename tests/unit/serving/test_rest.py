"""The REST face: what clients of the protocol ask, and what nobody should send."""

from __future__ import annotations

import gzip
import json
import socket
import zlib

import numpy as np
import pytest

from tests.unit.serving.client import ROW, TENSOR, Client
from tests.unit.serving.conftest import Running

INFER = "/v2/models/iris/infer"


def test_states_are_documents(client: Client) -> None:
    assert client.get("/v2/health/live") == (200, {"live": True})
    assert client.get("/v2/health/ready") == (200, {"ready": True})
    assert client.get("/v2/models/iris/ready") == (200, {"name": "iris", "ready": True})


def test_the_index_needs_no_body(client: Client) -> None:
    entry = {"name": "iris", "version": "1", "state": "READY", "reason": ""}
    assert client.post("/v2/repository/index") == (200, [entry])
    assert client.post("/v2/repository/index", {"ready": True}) == (200, [entry])


def test_metadata_and_config_agree(client: Client) -> None:
    _, metadata = client.get("/v2/models/iris/versions/1")
    _, config = client.get("/v2/models/iris/config")
    assert metadata["inputs"][0]["shape"] == [-1, 4]
    assert config["input"] == [{"name": "features", "data_type": "TYPE_FP64", "dims": [4]}]
    assert [each["name"] for each in config["output"]] == ["label", "probability"]


def test_statistics_count_rows(client: Client) -> None:
    before = client.get("/v2/models/iris/stats")[1]["model_stats"][0]["inference_count"]
    client.infer({**TENSOR, "shape": [2, 4], "data": ROW * 2})
    after = client.get("/v2/models/iris/stats")[1]["model_stats"][0]["inference_count"]
    assert after == before + 2


def test_an_answer_names_its_version(client: Client) -> None:
    status, answer = client.infer(id="mine")
    assert (status, answer["id"], answer["model_version"]) == (200, "mine", "1")
    assert answer["outputs"][0] == {
        "name": "label",
        "datatype": "INT64",
        "shape": [1],
        "data": [0],
    }


def test_a_single_input_may_have_any_name(client: Client) -> None:
    assert client.infer({**TENSOR, "name": "predict"})[0] == 200


@pytest.mark.parametrize("datatype", ["FP32", "FP16", "INT64", "UINT8", "BF16"])
def test_numbers_of_any_type_become_what_the_model_wants(client: Client, datatype: str) -> None:
    status, answer = client.infer({**TENSOR, "datatype": datatype, "data": [5, 3, 1, 0]})
    assert (status, answer["outputs"][0]["data"]) == (200, [0])


def test_binary_data_goes_both_ways(client: Client) -> None:
    data = np.array([ROW, ROW]).tobytes()
    size = {"binary_data_size": len(data)}
    tensor = {"name": "x", "shape": [2, 4], "datatype": "FP64", "parameters": size}
    document = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    head = json.dumps(document).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    status, found, body = client.send("POST", INFER, head + data, headers)
    start = int(found["inference-header-content-length"])
    described = json.loads(body[:start])["outputs"]
    assert (status, described[0]["parameters"]) == (200, {"binary_data_size": 16})
    assert np.frombuffer(body[start : start + 16], "<i8").tolist() == [0, 0]


def test_bodies_may_be_compressed_both_ways(client: Client) -> None:
    tensor = {**TENSOR, "shape": [40, 4], "data": ROW * 40}
    body = gzip.compress(json.dumps({"inputs": [tensor]}).encode())
    headers = {"Content-Encoding": "gzip", "Accept-Encoding": "gzip"}
    status, found, packed = client.send("POST", INFER, body, headers)
    assert (status, found["content-encoding"]) == (200, "gzip")
    assert json.loads(gzip.decompress(packed))["outputs"][0]["data"] == [0] * 40
    raw = zlib.compress(json.dumps({"inputs": [TENSOR]}).encode())
    assert client.send("POST", INFER, raw, {"Content-Encoding": "deflate"})[0] == 200


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"[" * 100_000, {}, 400),
        (b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": NaN}]}', {}, 400),
        (b"\xff\xfe", {}, 400),
        (b"", {}, 400),
        (gzip.compress(b" " * (4 << 20), mtime=0), {"Content-Encoding": "gzip"}, 413),
        (gzip.compress(b"{}", mtime=0)[:-4], {"Content-Encoding": "gzip"}, 400),
        (b"{}", {"Content-Encoding": "gzip"}, 400),
        (b"{}", {"Content-Encoding": "br"}, 415),
        (b"{}", {"Inference-Header-Content-Length": "99"}, 400),
        (b"{}", {"Inference-Header-Content-Length": "x"}, 400),
        (b"{}", {"Berth-Timeout-Ms": "soon"}, 400),
        (b"{}", {"Berth-Timeout-Ms": "9" * 400}, 400),
        (b"{}", {"Berth-Timeout-Ms": "\u00b2"}, 400),
        (b" " * (2 << 20), {}, 413),
    ],
)
def test_bodies_that_are_none_are_refused(
    client: Client, body: bytes, headers: dict[str, str], status: int
) -> None:
    found, _, answer = client.send("POST", INFER, body, headers)
    assert found == status
    assert json.loads(answer)["error"]
    assert client.infer()[0] == 200


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        ({"shape": [1, 3], "data": [1, 2, 3]}, "shape [1, 3], expected [-1, 4]"),
        ({"shape": [0, 4], "data": []}, "has 0 rows"),
        ({"shape": [4]}, "expected [-1, 4]"),
        ({"datatype": "BYTES", "data": ["a"] * 4}, "has datatype 'BYTES'"),
        ({"data": [None, 1, 1, 1]}, "cannot answer these values"),
        ({"shape": [10_001, 4], "data": ROW * 10_001}, "has 10001 rows"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    client: Client, tensor: dict[str, object], message: str
) -> None:
    status, answer = client.infer({**TENSOR, **tensor})
    assert status == 400
    assert message in answer["error"]


@pytest.mark.parametrize(
    "path",
    ["/v2/models/other/infer", "/v2/models/iris/versions/9/infer", "/v2/models/iris/x/1/infer"],
)
def test_unknown_models_and_versions_are_not_found(client: Client, path: str) -> None:
    assert client.post(path, {"inputs": [TENSOR]})[0] == 404


def test_a_deadline_that_has_passed_is_said(client: Client) -> None:
    body = json.dumps({"inputs": [TENSOR]}).encode()
    assert client.send("POST", INFER, body, {"Berth-Timeout-Ms": "0"})[0] == 504
    assert client.infer(parameters={"timeout": 1})[0] == 504


def test_a_body_of_a_gigabyte_is_not_read(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.port)) as peer:
        head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {1 << 30}\r\n\r\n"
        peer.sendall(head.encode())
        peer.sendall(b" " * (32 << 20))  # far beyond what is kept; who sends on hears the answer
        assert b"413" in peer.makefile("rb").readline()


def test_who_sends_no_body_keeps_nobody_out(running: Running, client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.port)) as peer:
        head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {1 << 30}\r\n\r\n"
        peer.sendall(head.encode() + b" ")
        assert client.infer()[0] == 200  # by now the server has seen the head
        assert running.service.open_requests == 0


def test_a_body_of_unknown_length_is_cut_off(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.port)) as peer:
        peer.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\n".encode())
        peer.sendall(b"Transfer-Encoding: chunked\r\n\r\n100001\r\n" + b" " * ((1 << 20) + 1))
        assert b"413" in peer.makefile("rb").readline()


def test_two_requests_on_one_connection_are_answered(client: Client) -> None:
    body = json.dumps({"inputs": [TENSOR]}).encode()
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", client.port)) as peer:
        reader = peer.makefile("rb")
        for _ in range(2):
            peer.sendall(head + body)
            assert b"200" in reader.readline()
            while line := reader.readline().strip():
                if line.lower().startswith(b"content-length"):
                    size = int(line.split(b":")[1])
            assert b"label" in reader.read(size)


def test_prometheus_reads_what_was_answered(client: Client) -> None:
    client.infer()
    client.infer(model="other")
    status, _, page = client.send("GET", "/metrics")
    text = page.decode()
    assert status == 200
    assert 'berth_inference_answers_total{model="iris",status="200"}' in text
    assert 'berth_inference_answers_total{model="",status="404"}' in text
    assert 'berth_inference_seconds_bucket{model="iris",le="+Inf"}' in text
