"""Other systems send with a token; what they send becomes super-alarms and values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.settings import Settings
from api.wiring.senders import Senders
from engine.model.errors import InvalidInputError

ALERT = {"labels": {"alertname": "Slow", "service": "cart"}}


@pytest.fixture
def token(settings: Settings) -> dict[str, str]:
    settings.senders_folder.mkdir(parents=True)
    (settings.senders_folder / "prom").write_text("secret\n")
    return {"Authorization": "Bearer secret"}


PATHS = [
    "/api/v2/alerts",
    "/v1/intake/alertmanager",
    "/v1/intake/cloudevents",
    "/api/v1/write",
    "/v1/metrics",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer x"}, {"Authorization": "secret"}])
def test_a_bad_token_is_refused_with_a_problem_document(
    http: TestClient, token: dict[str, str], path: str, given: dict[str, str]
) -> None:
    answer = http.post(path, content=b"[]", headers=given)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "A007"


def test_alerts_are_taken_from_every_door(http: TestClient, token: dict[str, str]) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
    headers = {**token, "ce-specversion": "1.0", "ce-id": "2", "ce-source": "/s", "ce-type": "u"}
    assert http.post("/api/v2/alerts", json=[ALERT], headers=token).json()["taken"] == 1
    webhook = {"version": "4", "alerts": [ALERT]}
    assert http.post("/v1/intake/alertmanager", json=webhook, headers=token).status_code == 200
    assert http.post("/v1/intake/cloudevents", json=[event], headers=token).status_code == 200
    assert http.post("/v1/intake/cloudevents", content=b"", headers=headers).status_code == 200
    (sender,) = http.get("/v1/senders").json()
    assert (sender["name"], sender["alerts"]) == ("prom", 4)


def test_values_are_taken_from_opentelemetry(http: TestClient, token: dict[str, str]) -> None:
    point = {"timeUnixNano": "1", "asDouble": 1.0}
    metric = {"name": "m", "gauge": {"dataPoints": [point]}}
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}
    answer = http.post("/v1/metrics", json=body, headers=token)
    assert answer.json()["partialSuccess"]["rejectedDataPoints"] == "1"
    packed = http.post(
        "/v1/metrics", content=b"", headers={**token, "content-type": "application/x-protobuf"}
    )
    assert (packed.status_code, packed.content) == (200, b"")


@pytest.mark.parametrize("value", ["1" + "0" * 400, '"\\ud800"', '"x"', "[]"])
def test_a_value_that_is_none_is_named(http: TestClient, token: dict[str, str], value: str) -> None:
    metric = {"gauge": {"dataPoints": [{"timeUnixNano": "1", "asDouble": "VALUE"}]}}
    body = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]})
    headers = {**token, "content-type": "application/json"}
    answer = http.post("/v1/metrics", content=body.replace('"VALUE"', value), headers=headers)
    assert answer.status_code == 422
    assert "are not OTLP" in answer.json()["faults"][0]["message"]


@pytest.mark.parametrize("body", [b"{", b"[3]", b'[{"labels": {}}]', b"\xff"])
def test_a_body_with_faults_is_named(http: TestClient, token: dict[str, str], body: bytes) -> None:
    answer = http.post("/api/v2/alerts", content=body, headers=token)
    assert answer.status_code == 422
    assert answer.json()["faults"]


def test_numbers_that_json_has_not_are_read(http: TestClient, token: dict[str, str]) -> None:
    body = b'[{"labels": {"alertname": "a"}, "annotations": {"value": NaN}}]'
    assert http.post("/api/v2/alerts", content=body, headers=token).status_code == 200


def test_alerts_that_alertmanager_left_out_are_told(
    http: TestClient, token: dict[str, str]
) -> None:
    webhook = {"version": "4", "alerts": [ALERT], "truncatedAlerts": 7}
    http.post("/v1/intake/alertmanager", json=webhook, headers=token)
    (sender,) = http.get("/v1/senders").json()
    assert (sender["dropped"], sender["reason"]) == (7, "7 left out by the sender")


def test_remote_write_2_is_refused_rather_than_read_as_empty(
    http: TestClient, token: dict[str, str]
) -> None:
    kind = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
    answer = http.post("/api/v1/write", content=b"x", headers={**token, "content-type": kind})
    assert (answer.status_code, answer.json()["code"]) == (415, "A008")
    assert "protobuf_message" in answer.json()["fix"]


def test_a_first_sender_is_made_once(tmp_path: Path) -> None:
    senders = Senders(tmp_path / "senders")
    senders.prepare()
    token = (tmp_path / "senders" / "default").read_text()
    senders.prepare()
    assert senders.name(token) == "default"
    assert (tmp_path / "senders" / "default").stat().st_mode & 0o077 == 0


def test_what_is_no_token_is_nobody(tmp_path: Path) -> None:
    (tmp_path / "Not A Name").write_text("x")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    senders = Senders(tmp_path)
    assert [senders.name(token) for token in ("x", "", "\n")] == ["", "", ""]
    assert Senders(tmp_path / "missing").name("x") == ""


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match="cannot be made"):
        Senders(tmp_path / "file" / "senders").prepare()


def test_a_full_disk_leaves_no_sender_without_a_token(tmp_path: Path) -> None:
    senders, draft = Senders(tmp_path / "senders"), tmp_path / "senders.new"
    draft.mkdir()
    (draft / "default").symlink_to("/dev/full")
    with pytest.raises(InvalidInputError, match="No space left"):
        senders.prepare()
    assert not senders.folder.exists()
    (draft / "default").unlink()
    senders.prepare()
    assert senders.name((senders.folder / "default").read_text(encoding="ascii")) == "default"
