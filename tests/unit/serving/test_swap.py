"""Swaps, versions, routing and rollback, over REST."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from executors.serving.runtime.hosted import HostedModel
from tests.unit.serving.client import TENSOR, Client
from tests.unit.serving.conftest import Running, write_version

LOAD = "/v2/repository/models/iris/load"


@pytest.fixture(scope="module")
def swapped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Versions 1 (scikit-learn), 2 (ONNX: another schema), 3 (damaged), 4 (answers otherwise)."""
    repository = tmp_path_factory.mktemp("swapped")
    model = repository / "iris"
    write_version(model / "1")
    (model / "model.json").write_text(json.dumps({"versions": ["1"]}))
    found = Running(repository)
    write_version(model / "2", onnx=True)
    (write_version(model / "3", onnx=True) / "model.onnx").write_bytes(b"\x80\x04N.")
    golden = write_version(model / "4", onnx=True) / "golden.json"
    golden.write_text(golden.read_text().replace('"data": [0, 0]', '"data": [0, 1]'))
    yield found
    found.end()


@pytest.fixture
def client(swapped: Running) -> Client:
    load(swapped.client, versions=["1"])
    return swapped.client


def load(client: Client, **config: object) -> tuple[int, dict[str, object]]:
    return client.post(LOAD, {"parameters": {"config": json.dumps(config)}})


def version(client: Client) -> str:
    return str(client.infer()[1]["model_version"])


def test_a_swap_changes_model_schema_and_framework_together(client: Client) -> None:
    assert load(client, versions=["2"])[0] == 200
    _, metadata = client.get("/v2/models/iris")
    assert (version(client), metadata["platform"]) == ("2", "onnxruntime_onnx")
    assert metadata["inputs"][0]["datatype"] == "FP32"


@pytest.mark.parametrize(
    ("number", "message"),
    [("3", "is no ONNX model"), ("4", "of golden request 0 otherwise"), ("9", "versions ['9']")],
)
def test_a_bad_version_leaves_the_old_one_serving(
    client: Client, number: str, message: str
) -> None:
    status, answer = load(client, versions=[number])
    assert (status, answer["code"]) == (422, "D001")
    assert message in str(answer["error"])
    assert version(client) == "1"


@pytest.mark.parametrize(
    "config", [{"version": "1"}, {"queue_max": 0}, {"default": "7"}, {"versions": "1"}]
)
def test_bad_settings_are_refused(client: Client, config: dict[str, object]) -> None:
    assert load(client, **config)[0] == 422
    assert version(client) == "1"


def test_rolling_back_needs_no_loading(client: Client, swapped: Running) -> None:
    load(client, versions=["2"])
    status, answer = client.post("/v2/repository/models/iris/rollback")
    assert (status, answer["version"], version(client)) == (200, "1", "1")
    lines = (swapped.repository / "audit.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    assert entries[-1]["action"] == "rollback"
    assert entries[-1]["before"] == {"2": "onnxruntime_onnx"}
    assert entries[-1]["after"] == {"1": "sklearn"}


def test_a_canary_gets_its_share_evenly(client: Client) -> None:
    load(client, versions=["1", "2"], default="1", routing={"canary": "2", "canary_percent": 25})
    assert [version(client) for _ in range(8)].count("2") == 2


def test_a_header_chooses_the_variant(client: Client) -> None:
    load(
        client,
        versions=["1", "2"],
        default="1",
        routing={"header": "X-Arm", "variants": {"b": "2"}},
    )
    body = json.dumps({"inputs": [TENSOR]}).encode()
    path = "/v2/models/iris/infer"
    found = [client.send("POST", path, body, {"X-Arm": arm})[2] for arm in ("a", "b")]
    assert [json.loads(each)["model_version"] for each in found] == ["1", "2"]


def test_a_shadow_answers_nobody_but_is_compared(client: Client, swapped: Running) -> None:
    load(client, versions=["1", "2"], default="1", routing={"shadow": "2"})
    shadows = swapped.shelf.slot("iris").shadows
    assert version(client) == "1"
    end = time.monotonic() + 60
    while not shadows.equal and time.monotonic() < end:
        time.sleep(0.01)
    assert (shadows.equal, shadows.different, shadows.failed) == (1, 0, 0)


def test_a_version_asked_for_goes_before_the_routing(client: Client) -> None:
    load(client, versions=["1", "2"], default="1")
    _, answer = client.post("/v2/models/iris/versions/2/infer", {"inputs": [TENSOR]})
    assert answer["model_version"] == "2"


def test_an_unloaded_model_is_not_found_until_it_is_loaded(client: Client) -> None:
    assert client.post("/v2/repository/models/iris/unload")[0] == 200
    assert client.infer()[0] == 404
    assert client.post("/v2/repository/index")[1][0]["state"] == "UNAVAILABLE"
    assert client.post("/v2/repository/models/iris/unload")[0] == 404
    assert load(client)[0] in {200, 422}


@pytest.mark.parametrize("name", ["other", "..", ".hidden"])
def test_what_the_repository_does_not_have_is_not_found(client: Client, name: str) -> None:
    assert client.post(f"/v2/repository/models/{name}/load")[0] == 404


def test_a_model_in_a_process_of_its_own_answers_the_same(client: Client) -> None:
    here = client.infer()[1]["outputs"]
    assert load(client, versions=["1"], isolation="process")[0] == 200
    _, metadata = client.get("/v2/models/iris")
    assert metadata["parameters"]["isolation"] == "process"
    assert client.infer()[1]["outputs"] == here
    status, answer = client.infer({**TENSOR, "data": [None, 1, 1, 1]})
    assert (status, "cannot answer these values" in answer["error"]) == (400, True)


@pytest.mark.slow
def test_a_process_that_dies_is_started_again(client: Client, swapped: Running) -> None:
    load(client, versions=["1"], isolation="process")
    runner = swapped.shelf.slot("iris").current.default.runner
    assert isinstance(runner, HostedModel)
    os.kill(runner.process_id, signal.SIGKILL)
    end = time.monotonic() + 300
    statuses = {503}
    while statuses == {503} and time.monotonic() < end:
        statuses = {client.infer()[0]}
        time.sleep(0.05)
    assert statuses == {200}


def test_a_model_that_needs_too_much_memory_is_refused(client: Client) -> None:
    status, _ = load(client, versions=["1"], isolation="process", memory_gib_max=0.01)
    assert (status, version(client)) == (422, "1")


def test_a_model_without_a_file_is_refused(client: Client, swapped: Running) -> None:
    Path(swapped.repository / "empty" / "1").mkdir(parents=True, exist_ok=True)
    status, answer = client.post("/v2/repository/models/empty/load")
    assert (status, "expected one" in str(answer)) == (422, True)
