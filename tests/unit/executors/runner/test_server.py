"""The endpoints over HTTP: answers, swaps, and bodies that are none."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from engine.model.errors import InvalidInputError
from executors.packaging import images
from executors.serving.runner import OwnSlot, Runner, RunnerServer, compile_schema, process, uploads
from executors.serving.runner.errors import CallError
from tests.support.heart_tasks import HeartTasks
from tests.unit.executors.runner.conftest import PAIRS, model_of

CSV = {"csvFile": b"a,b\n2,1\n1,2\n"}
JSON = {"jsonFile": b'{"rows": [{"a": 2, "b": 1}, {"a": 1, "b": 2}]}'}


@pytest.fixture
def client() -> TestClient:
    runner = Runner(OwnSlot(model_of("m", "ab")), schema=compile_schema(PAIRS))
    return TestClient(RunnerServer(runner))


def labels(data: bytes) -> list[int]:
    answer = compile_schema(PAIRS).method("").output_class()
    answer.ParseFromString(data)
    return list(answer.label)


def post(client: TestClient, path: str, parts: dict[str, bytes]) -> tuple[int, bytes]:
    answer = client.post(f"/modelrunner{path}", files=parts, data={"operation": "predict"})
    return answer.status_code, answer.content


@pytest.mark.parametrize(("kind", "parts"), [("CSV", CSV), ("JSON", JSON)])
def test_tables_and_documents_are_answered(
    client: TestClient, kind: str, parts: dict[str, bytes]
) -> None:
    status, data = post(client, f"/transform{kind}Default", parts)
    assert (status, labels(data)) == (200, [1, 0])


@pytest.mark.parametrize(("kind", "parts"), [("", CSV), ("JSON", JSON)])
def test_a_message_that_is_made_is_one_that_is_answered(
    client: TestClient, kind: str, parts: dict[str, bytes]
) -> None:
    _, message = post(client, f"/getBinary{kind}Default", parts)
    assert post(client, f"/getBinary{kind}", {**parts, "proto": PAIRS})[1] == message
    answer = client.post("/modelrunner/model/methods/predict", content=message)
    assert labels(answer.content) == [1, 0]


def test_a_schema_is_put_while_it_serves(client: TestClient) -> None:
    other = PAIRS.replace(b"predict", b"judge")
    answer = client.put("/modelrunner/proto", files={"proto": other})
    assert answer.json()["status"] == "OK"
    assert client.post("/modelrunner/model/methods/judge", content=b"").status_code == 400
    configured = client.put("/modelrunner/model/configuration", files={"modelConfig": b"a=b"})
    assert "1 entries" in configured.json()["message"]


def test_a_schema_that_fits_nothing_yet_is_accepted_for_later(client: TestClient) -> None:
    other = PAIRS.replace(b"double a", b"double x")
    answer = client.put("/modelrunner/proto", files={"proto": other})
    assert answer.status_code == 202
    assert post(client, "/transformCSVDefault", CSV)[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "parts", "status", "said"),
    [
        ("PUT", "/proto", {"proto": b"message {"}, 422, "line 1"),
        ("PUT", "/model", {"model": b"no model"}, 422, "neither a package nor ONNX"),
        ("PUT", "/model", {"model": b"\0"}, 422, "neither"),
        ("PUT", "/model", {"proto": PAIRS}, 400, "no part 'model'"),
        ("PUT", "/model/configuration", {"modelConfig": b"x"}, 422, "is no `name=value`"),
        ("POST", "/transformCSVDefault", {"csvFile": b"a,c\n1,2\n"}, 400, "unknown 'c'"),
        ("POST", "/transformCSVDefault", {"other": b"x"}, 400, "'csvFile' is missing"),
        ("POST", "/transformCSV", CSV, 400, "'proto' is missing"),
        ("POST", "/transformCSV", {**CSV, "proto": PAIRS}, 400, "'model' is missing"),
        ("POST", "/transformJSONDefault", {"jsonFile": b"[" * 10**5}, 400, "cannot be read"),
        ("POST", "/nowhere", CSV, 404, "is not served"),
    ],
)
def test_bad_input_is_refused_and_the_old_serves_on(
    client: TestClient, method: str, path: str, parts: dict[str, bytes], status: int, said: str
) -> None:
    answer = client.request(method, f"/modelrunner{path}", files=parts)
    assert answer.status_code == status
    assert said in answer.json()["message"]
    assert post(client, "/transformCSVDefault", CSV)[0] == 200


def test_a_body_of_a_gigabyte_is_refused_before_it_is_read(client: TestClient) -> None:
    headers = {"content-length": str(1 << 30), "content-type": "multipart/form-data; boundary=x"}
    for path in ("model", "proto"):
        answer = client.put(f"/modelrunner/{path}", content=b"", headers=headers)
        assert answer.status_code == 413


def test_a_body_that_does_not_say_how_large_it_is_is_cut_off(client: TestClient) -> None:
    parts = (b"x" * (1 << 20) for _ in range(17))
    answer = client.post("/modelrunner/model/methods/predict", content=parts)
    assert answer.status_code == 413


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data"])
def test_what_is_no_form_is_refused(client: TestClient, kind: str) -> None:
    headers = {"content-type": kind}
    answer = client.put("/modelrunner/proto", content=b"--x", headers=headers)
    assert answer.status_code in {400, 415}


def tar_of(entry: tarfile.TarInfo, data: bytes = b"") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("../out", tarfile.REGTYPE, "holds '../out'"),
        ("/etc/x", tarfile.REGTYPE, "holds '/etc/x'"),
        ("link", tarfile.SYMTYPE, "no plain file"),
        ("plain", tarfile.REGTYPE, "holds no `oci-layout`"),
    ],
)
def test_a_tar_with_what_no_package_holds_is_refused(name: str, kind: bytes, said: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    with pytest.raises(CallError) as caught:
        uploads.load(tar_of(entry))
    assert said in caught.value.message


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    proto = tmp_path / "bad.proto"
    proto.write_text("message {")
    with pytest.raises(InvalidInputError, match=r"bad\.proto"):
        process.from_files(None, process.Files(proto=proto))
    with pytest.raises(InvalidInputError, match="No such file"):
        process.from_files(tmp_path / "gone.onnx", process.Files())


def test_a_package_as_it_is_made_is_loaded_from_its_folder_and_from_a_tar(
    heart: HeartTasks,
) -> None:
    layout = heart.outputs("package-tree")
    assert (layout / "attached").is_dir()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(layout, ".")
    digest = images.read_image(layout).digest
    assert uploads.load_folder(layout).digest == digest
    assert uploads.load(packed.getvalue()).digest == digest
