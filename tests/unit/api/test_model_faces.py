"""Models in repositories through the command line and REST: init, push, promote, webhooks."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from api.cli import frame, main, modelling
from api.wiring import Application
from executors.packaging.repository import git
from tests.support import lent_libraries
from tests.support.empty_base import empty_base
from tests.support.faces import until
from tests.support.pushed_models import ROWS, TOML, onnx

Berth = Callable[..., int]
Said = Callable[[], str]


@pytest.fixture
def berth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Berth:
    """Runs `berth model`, in a folder of its own whose base is nothing; no engine runs."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("BERTH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BERTH_HOME", str(tmp_path / "home"))
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "A")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "a@example.org")
    prepare(tmp_path / "home", monkeypatch)

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main.application()(list(arguments), prog_name="berth")
        return int(str(ended.value.code or 0))

    return run


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    return lambda: capsys.readouterr().out


def prepare(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty_base(home / "layers", monkeypatch)
    lent_libraries.lend(home / "layers")


def fill(folder: Path, *, flipped: bool = False) -> None:
    """Write a model that nobody serves into its working folder."""
    data, labels = onnx(flipped=flipped)
    (folder / "model.onnx").write_bytes(data)
    (folder / "golden.json").write_text(json.dumps({"rows": ROWS.tolist(), "labels": labels}))
    (folder / "model.toml").write_text(TOML.partition("[deploy]")[0])
    (folder / "requirements.txt").write_text(lent_libraries.REQUIREMENTS)


def test_a_watched_folder_is_pushed_when_its_files_rest(
    berth: Berth, said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "models" / "churn"
    assert berth("model", "init", "churn", "--folder", str(place)) == 0
    fill(place)
    os.chdir(place)
    assert berth("model", "add", "model.onnx") == 0
    (tmp_path / "home/model-repositories/churn/repository.git/hooks/post-receive").unlink()
    looks: list[float] = []

    def look(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) > 20:
            raise KeyboardInterrupt

    clock = iter(range(0, 100, 1))
    monkeypatch.setattr(modelling, "time", SimpleNamespace(monotonic=clock.__next__, sleep=look))
    said()
    assert berth("model", "watch", str(tmp_path / "models")) == frame.INTERRUPTED
    head = git.head_of(tmp_path / "home/model-repositories/churn/repository.git")
    assert said().count(f"churn {head[:12]}") == 1, "one change is pushed once"


def test_a_repository_of_a_git_host_is_tracked(berth: Berth, said: Said, tmp_path: Path) -> None:
    assert berth("model", "track", "churn") != 0, "no address"
    assert berth("model", "track", "churn", "https://git.example.org/team/churn.git") == 0
    text = said()
    assert "/v1/models/churn/webhook" in text
    assert "fetched from https://git.example.org/team/churn.git" in text
    secret = text.partition("Secret")[2].split()[0]
    assert berth("model", "track", "churn", "https://git.example.org/team/churn.git", "-q") == 0
    assert said().strip() != "", "the secret alone"
    assert len(secret) >= 32
    assert (tmp_path / "home/model-repositories/churn/repository.git").exists()


def test_a_model_is_made_tested_pushed_and_listed(berth: Berth, said: Said, tmp_path: Path) -> None:
    assert berth("model", "init", "churn", "--dry-run") == 0
    assert berth("model", "init", "churn", "--quiet") == 0
    work = tmp_path / "churn"
    assert (work / "model.toml").exists()
    fill(work)
    assert berth("model", "add", "model.onnx", "--folder", "churn") != 0, "it is not there"
    os.chdir(work)
    assert berth("model", "add", "model.onnx") == 0
    said()
    assert berth("model", "test") == 0
    assert "holds  expected answers" in said()
    (tmp_path / "home/model-repositories/churn/repository.git/hooks/post-receive").unlink()
    assert berth("model", "push", "--quiet", "-m", "First") == 0
    commit = said().strip()
    assert git.head_of(tmp_path / "home/model-repositories/churn/repository.git") == commit
    assert berth("model", "deliver", "churn", commit) == 0
    assert "attest and judge" in said()
    assert berth("model", "list", "--json") == 0
    (model,) = json.loads(said())
    assert (model["name"], model["production"]) == ("churn", "")
    assert berth("model", "list", "churn", "--json") == 0
    assert [event["kind"] for event in json.loads(said())] == ["released"]
    assert berth("model", "promote", "churn", "--yes") != 0, "it has no production server"
    assert berth("model", "rollback", "churn", "--yes") != 0, "nothing served before"
    assert berth("model", "dockerfile", "churn", "--folder", str(tmp_path / "image")) == 0
    assert (tmp_path / "image/Dockerfile").read_text().startswith("# The image sha256:")


def test_a_checkout_gets_its_weights_from_the_engine(
    berth: Berth, said: Said, tmp_path: Path, served: str
) -> None:
    assert berth("model", "init", "churn", "--quiet") == 0
    work = tmp_path / "churn"
    fill(work)
    os.chdir(work)
    assert berth("model", "add", "model.onnx") == 0
    (work / "model.onnx").unlink()  # a checkout has its digest alone
    elsewhere = ("model", "test", "--home", str(tmp_path / "elsewhere"))
    assert berth(*elsewhere) != 0, "nobody has them"
    assert berth(*elsewhere, "--url", served) == 0
    assert "holds  expected answers" in said()
    assert berth(*elsewhere) == 0, "they are kept"
    listed = work / "weights.json"
    listed.write_text(listed.read_text().replace('"sha256:', '"sha256:0'))
    assert berth(*elsewhere, "--url", served) != 0, "the engine has no others"


def test_a_model_that_fails_its_tests_ends_with_one(
    berth: Berth, said: Said, tmp_path: Path
) -> None:
    assert berth("model", "init", "churn") == 0
    fill(tmp_path / "churn")
    (tmp_path / "churn/golden.json").write_text(json.dumps({"rows": [[0, 0]], "labels": [1]}))
    os.chdir(tmp_path / "churn")
    assert berth("model", "add", "model.onnx") == 0
    said()
    assert berth("model", "test", "--json") == 1
    assert [g["name"] for g in json.loads(said()) if not g["holds"]] == ["expected answers"]


@pytest.mark.parametrize(
    "words",
    [
        ("fly",),
        ("init",),
        ("add",),
        ("promote",),
        ("rollback",),
        ("deliver",),
        ("track", "churn"),
        ("push", "nowhere"),
        ("list", "other"),
    ],
)
def test_what_cannot_be_meant_is_refused(berth: Berth, words: tuple[str, ...]) -> None:
    assert berth("model", *words) != 0


def test_a_file_for_a_git_host_is_written(berth: Berth, tmp_path: Path) -> None:
    assert berth("model", "init", "churn") == 0
    os.chdir(tmp_path / "churn")
    assert berth("ci", "init", "gitlab") == 0
    assert (tmp_path / "churn/.gitlab-ci.yml").exists()
    assert berth("ci", "init", "sourceforge") != 0


def test_a_webhook_is_heard_once_and_leads_to_a_delivery(
    application: Application, http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracked = application.models.track("churn", "https://localhost/churn", "team/churn")
    monkeypatch.setattr(git, "fetch", lambda *_: None)
    body = push_event("a" * 40)
    signed = {"x-hub-signature-256": "sha256=00", "x-github-delivery": "d-1"}
    refused = http.post("/v1/models/churn/webhook", content=body, headers=signed)
    assert (refused.status_code, refused.json()["code"]) == (401, "M006")
    found = hmac.new(tracked.secret.encode(), body, hashlib.sha256).hexdigest()
    signed["x-hub-signature-256"] = f"sha256={found}"
    heard = http.post("/v1/models/churn/webhook", content=body, headers=signed)
    assert (heard.status_code, heard.json()["commit"]) == (202, "a" * 40)
    again = http.post("/v1/models/churn/webhook", content=body, headers=signed)
    assert again.json()["code"] == "M005"
    # Nobody has the commit, which the journal tells.
    until(lambda: http.get("/v1/models/churn/releases").json())
    (event,) = http.get("/v1/models/churn/releases").json()
    assert (event["kind"], event["commit"]) == ("refused", "a" * 40)
    assert http.post("/v1/models/other/webhook", content=body).status_code == 404
    assert [m["name"] for m in http.get("/v1/models").json()] == ["churn"]


def push_event(commit: str) -> bytes:
    repository = {"full_name": "team/churn", "pushed_at": int(time.time())}
    return json.dumps(
        {"ref": f"refs/heads/{git.BRANCH}", "after": commit, "repository": repository}
    ).encode()


@pytest.mark.parametrize("artifact", ["..", "%2e%2e", "a%00b", "a" * 300, "sha256:" + "0" * 64])
def test_weights_that_are_none_are_not_found(
    application: Application, http: TestClient, artifact: str
) -> None:
    application.models.create("churn")
    assert http.get(f"/v1/models/churn/weights/{artifact}").status_code == 404
    assert http.get(f"/v1/models/other/weights/{artifact}").status_code == 404


def test_deliveries_are_asked_for_over_rest(application: Application, http: TestClient) -> None:
    application.models.create("churn")
    answer = http.post("/v1/models/churn/deliver", headers={"accept": "text/plain"})
    assert answer.status_code == 422
    assert answer.text.startswith("Not delivered")
    assert http.post("/v1/models/churn/deliver").status_code in {409, 422}
    assert http.post("/v1/models/churn/promote").status_code == 404
    assert http.post("/v1/models/churn/rollback").status_code == 404
