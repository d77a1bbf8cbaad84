"""The model server as a process: protocol, swaps, labels, signals, endings."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.integration.executors.conftest import Packages
from tests.support.local_cluster import wait_for
from tests.support.model_server import ServerProcess

NAMES = [
    *("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg"),
    *("thalach", "exang", "oldpeak", "slope", "ca", "thal"),
]
ROW: list[float | None] = [63.0, 1.0, 3.0, 145.0, 233.0, 1.0, 0.0, 150.0, 0.0, 2.3, 0.0, 0.0, 1.0]
LOAD = "/v2/repository/models/heart/load"


def prepared(packages: Packages, tmp_path: Path, **spec: object) -> dict[str, str]:
    name = f"serve-{tmp_path.name}"
    environment = packages.tasks.prepare(name, "package-tree", **spec)
    return {**environment, "BERTH_ARTIFACTS": str(packages.artifacts)}


@pytest.fixture(scope="module")
def shared(
    packages: Packages, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ServerProcess, Path]]:
    """One server for all tests that do not end it, with the place of its signals."""
    place = tmp_path_factory.mktemp("shared")
    environment = prepared(packages, place, parameters={"window_seconds": 0.05})
    with ServerProcess(environment) as found:
        yield found, Path(environment["BERTH_SIGNALS"])


@pytest.fixture
def server(shared: tuple[ServerProcess, Path], packages: Packages) -> ServerProcess:
    """The shared server, serving the tree again."""
    shared[0].post(LOAD, {"parameters": {"digest": packages.tree}})
    return shared[0]


def version(server: ServerProcess) -> str:
    return str(server.infer([ROW])[1]["model_version"])


def test_it_says_who_it_is(server: ServerProcess) -> None:
    assert server.get("/v2")[1]["name"] == "berth"
    assert server.get("/v2/health/live") == (200, {"live": True})
    assert server.get("/v2/health/ready") == (200, {"ready": True})
    assert server.get("/v2/models/heart/ready") == (200, {"name": "heart", "ready": True})
    assert server.post("/v2/repository/index", {})[1][0]["state"] == "READY"


def test_metadata_names_columns_with_units(server: ServerProcess) -> None:
    status, answer = server.get("/v2/models/heart")
    columns = answer["inputs"][0]["parameters"]["columns"]
    assert (status, [column["name"] for column in columns]) == (200, NAMES)
    assert columns[4]["unit"] == "mg/dL"


def test_rows_are_answered(server: ServerProcess) -> None:
    status, answer = server.infer([ROW, ROW], id="mine")
    assert (status, answer["id"], answer["model_name"]) == (200, "mine", "heart")
    label, probability = answer["outputs"]
    assert (label["shape"], probability["shape"]) == ([2], [2, 2])
    assert sum(probability["data"][:2]) == pytest.approx(1.0, abs=1e-5)


def test_columns_by_name_give_the_same_answer(server: ServerProcess) -> None:
    tensors = [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
        for name, value in zip(NAMES, ROW, strict=True)
    ]
    _, answer = server.post("/v2/models/heart/infer", {"inputs": tensors[::-1]})
    assert answer["outputs"] == server.infer([ROW])[1]["outputs"]


def test_missing_values_are_imputed(server: ServerProcess) -> None:
    assert server.infer([[None, *ROW[1:]]])[0] == 200


def test_many_rows_are_answered(server: ServerProcess) -> None:
    assert server.infer([ROW] * 5_000)[1]["outputs"][0]["shape"] == [5_000]


def test_a_version_can_be_asked_for(server: ServerProcess) -> None:
    path = f"/v2/models/heart/versions/{version(server)}"
    assert server.get(path)[0] == 200
    tensor = {"name": "features", "shape": [1, 13], "datatype": "FP64", "data": ROW}
    assert server.post(path + "/infer", {"inputs": [tensor]})[0] == 200
    assert server.get("/v2/models/heart/versions/9")[0] == 404


@pytest.mark.parametrize("path", ["/v2/models/other", "/v2/nothing", "/"])
def test_what_is_not_served_is_not_found(server: ServerProcess, path: str) -> None:
    status, answer = server.get(path)
    assert (status, list(answer)) == (404, ["error"])


def test_bad_requests_are_refused_by_name(server: ServerProcess) -> None:
    status, answer = server.infer([ROW[:5]])
    assert status == 400
    assert "shape [1, 5], expected [rows, 13]" in answer["error"]


def test_a_body_that_is_too_large_is_refused(server: ServerProcess) -> None:
    assert server.post("/v2/models/heart/infer", b" " * (17 << 20))[0] == 413


def test_a_swap_changes_what_answers(server: ServerProcess, packages: Packages) -> None:
    before = version(server)
    status, answer = server.post(LOAD, {"parameters": {"digest": packages.logistic}})
    assert (status, answer["digest"]) == (200, packages.logistic)
    assert version(server) != before


def test_a_swap_by_the_images_digest(server: ServerProcess, packages: Packages) -> None:
    digest = packages.tasks.values("package-logistic")["digest"]
    assert server.post(LOAD, {"parameters": {"digest": digest}})[0] == 200
    assert version(server) == digest


def test_a_swap_from_a_folder(server: ServerProcess, packages: Packages) -> None:
    path = str(packages.tasks.outputs("package-logistic"))
    assert server.post(LOAD, {"parameters": {"digest": "mine", "path": path}})[0] == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"parameters": {"digest": "sha256:" + "0" * 64}}, 422),
        (b"{", 400),
        (b"[]", 400),
    ],
)
def test_a_bad_swap_leaves_the_old_model(server: ServerProcess, body: object, status: int) -> None:
    before = version(server)
    assert server.post(LOAD, body)[0] == status
    assert version(server) == before


def test_a_damaged_package_is_named(server: ServerProcess, packages: Packages) -> None:
    status, answer = server.post(LOAD, {"parameters": {"digest": packages.bad}})
    assert status == 422
    assert "is not what its digest says" in answer["error"]


def test_another_model_is_not_loaded(server: ServerProcess) -> None:
    assert server.post("/v2/repository/models/x/load", {})[0] == 404


def test_the_registry_knows_what_serves(server: ServerProcess, packages: Packages) -> None:
    server.post(LOAD, {"parameters": {"digest": packages.logistic}})
    index = packages.tasks.home / "models" / "heart" / "index.json"
    digest = packages.tasks.values("package-logistic")["digest"]

    def tagged() -> bool:
        entries = json.loads(index.read_text())["manifests"]
        entry = next(each for each in entries if each["digest"] == digest)
        return "serving" in entry.get("annotations", {}).values().__str__()

    wait_for(tagged)


def test_late_labels_become_quality(
    server: ServerProcess, shared: tuple[ServerProcess, Path]
) -> None:
    signals = shared[1]
    label = server.infer([ROW], id="a")[1]["outputs"][0]["data"][0]
    labels = [{"id": "a", "label": label}, {"id": "b", "label": 1}]
    assert server.post("/v2/models/heart/labels", labels) == (200, {"matched": 1, "unknown": 1})
    wait_for(lambda: signals.exists() and '"quality"' in signals.read_text())


@pytest.mark.parametrize("body", [b"{", b"{}", b'[{"id": 1, "label": 1}]', b'[{"id": "a"}]'])
def test_bad_labels_are_refused(server: ServerProcess, body: bytes) -> None:
    assert server.post("/v2/models/heart/labels", body)[0] == 400


def test_the_last_window_is_written_at_the_end(packages: Packages, tmp_path: Path) -> None:
    environment = prepared(packages, tmp_path, parameters={"window_seconds": 600})
    with ServerProcess(environment) as server:
        server.infer([ROW])
        server.infer([ROW[:3]])
        assert server.end() == 0
    lines = Path(environment["BERTH_SIGNALS"]).read_text().splitlines()
    found = {each["name"]: each for each in map(json.loads, lines)}
    assert "requests" not in found
    assert found["errors_share"] | {"value": 0.5, "weight": 2} == found["errors_share"]
    assert {"latency_ms_p99", "feature_median", "feature_mean"} <= set(found)


def test_requests_in_another_unit_are_converted(packages: Packages, tmp_path: Path) -> None:
    """The package says that cholesterol arrives in mmol/L."""
    source = packages.tasks.home / "tree"
    other = packages.tasks.home / tmp_path.name
    shutil.copytree(source, other)
    schema = other / "outputs" / "schema.json"
    document = json.loads(schema.read_text())
    document["columns"][4] |= {"input_unit": "mmol/L", "factor": 38.67}
    schema.write_text(json.dumps(document))
    packages.tasks.run(f"package-{tmp_path.name}", "package", tmp_path.name)
    rows = np.load(source / "outputs" / "example.npy")[:, :-1]
    converted = rows.copy()
    converted[:, 4] /= 38.67
    path = str(packages.tasks.outputs(f"package-{tmp_path.name}"))
    with ServerProcess(prepared(packages, tmp_path)) as server:
        expected = server.infer(rows.tolist())[1]["outputs"][0]
        server.post(LOAD, {"parameters": {"digest": "new", "path": path}})
        assert server.infer(converted.tolist())[1]["outputs"][0] == expected


def test_a_port_in_use_is_said(packages: Packages, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = prepared(packages, tmp_path, parameters={"port": port})
        with pytest.raises(AssertionError, match="ended before"), ServerProcess(environment):
            pass
