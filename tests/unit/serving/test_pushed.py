"""A push is served by a server over a folder, and the policy is asked there."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from urllib.parse import quote

import pytest

from engine.model.errors import RefusedError
from engine.model.identifiers import Digest
from executors.packaging import images
from executors.packaging.registry import OciRegistry
from executors.packaging.security.policies.gate import Gate
from executors.packaging.security.signing import keys
from executors.serving import HttpModelServer
from executors.serving.pushed import Pushed, admit
from tests.support.empty_base import empty_base
from tests.support.pushed_models import ROWS, TOML, Servers, World
from tests.unit.serving.client import Client
from tests.unit.serving.conftest import Running, write_version

LOAD = "/v2/repository/models/churn/load"
TENSOR = {"name": "features", "datatype": "FP64", "shape": [4, 2], "data": ROWS.ravel().tolist()}
STRICT = "policy: strict\nsignatures: {by: other.pub}\n"


@pytest.fixture(scope="module")
def over_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server over an empty folder, that knows a data folder."""
    folder = tmp_path_factory.mktemp("pushed")
    (folder / "served").mkdir()
    found = Running(folder / "served", environment={"BERTH_HOME": str(folder / "home")})
    yield found
    found.end()


@pytest.fixture(scope="module")
def world(over_folder: Running) -> Iterator[World]:
    found = World(over_folder.repository.parent, cast("Servers", HttpModelServer()))
    address = f"http://127.0.0.1:{over_folder.client.port}"
    toml = TOML.replace("http://127.0.0.1:1", address) + "[tests]\nask_image = false\n"
    found.write("model.toml", toml)
    with pytest.MonkeyPatch.context() as patch:
        for role in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{role}_NAME", "A")
            patch.setenv(f"GIT_{role}_EMAIL", "a@example.org")
        empty_base(found.home / "layers", patch)
        yield found


@pytest.fixture(scope="module")
def first(world: World) -> Digest:
    """The package of the first push, which the server did not know before."""
    return world.deliver().package


def labels(client: Client) -> object:
    status, answer = client.post("/v2/models/churn/infer", {"inputs": [TENSOR]})
    assert status == 200, answer
    return answer["outputs"][0]["data"]


def load(client: Client, digest: object) -> tuple[int, dict[str, object]]:
    return client.post(LOAD, {"parameters": {"digest": digest}})


def test_a_push_is_served_and_taken_back(world: World, over_folder: Running, first: Digest) -> None:
    assert labels(over_folder.client) == [0, 1, 0, 1]
    world.train(flipped=True)
    second = world.deliver().package
    assert labels(over_folder.client) == [1, 0, 1, 0]
    assert world.delivery.promote("churn").package == second  # serves already
    assert world.delivery.roll_back("churn").package == first
    assert labels(over_folder.client) == [0, 1, 0, 1]
    there = sorted(path.name for path in (over_folder.repository / "churn").iterdir())
    assert (over_folder.shelf.index()[0].version, there) == ("3", ["1", "2", "3"])


@pytest.mark.parametrize(("digest", "status"), [("sha256:" + "0" * 64, 404), (1, 400)])
def test_what_nobody_has_changes_nothing(
    over_folder: Running, first: Digest, digest: object, status: int
) -> None:
    assert load(over_folder.client, first)[0] == 200
    assert load(over_folder.client, digest)[0] == status
    assert labels(over_folder.client) == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("name", "status"), [("ghost", 404), ("audit.jsonl", 404), ("a" * 300, 422), ("a\0b", 422)]
)
def test_a_model_that_nobody_pushed_leaves_no_folder(
    over_folder: Running, name: str, status: int
) -> None:
    before = sorted(over_folder.repository.iterdir())
    path = f"/v2/repository/models/{quote(name)}/load"
    found, answer = over_folder.client.post(path, {"parameters": {"digest": "sha256:0"}})
    assert (found, bool(answer["error"])) == (status, True)
    assert sorted(over_folder.repository.iterdir()) == before


def test_what_cannot_be_kept_or_loaded_leaves_nothing(
    over_folder: Running, first: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = over_folder.repository / "churn"
    newest = write_version(model / "80")  # so that the package would be placed anew
    before = sorted(model.iterdir())

    def full(layout: Path, *_: object, **__: object) -> None:
        layout.mkdir()
        raise OSError(errno.ENOSPC, "No space left on device", str(layout))

    def broken(_: object) -> None:
        raise ValueError("not as expected")

    try:
        with monkeypatch.context() as patch:
            patch.setattr(images, "write_image", full)
            status, answer = load(over_folder.client, first)
            assert (status, "No space left" in str(answer["error"])) == (503, True)
        monkeypatch.setattr(over_folder.shelf, "admit", broken)
        registry = OciRegistry(over_folder.repository.parent / "home" / "models")
        pushed = Pushed(over_folder.shelf, over_folder.repository, registry)
        with pytest.raises(ValueError, match="not as expected"):
            over_folder.run(pushed.load("churn", first))
        assert sorted(model.iterdir()) == before
    finally:
        shutil.rmtree(newest)


def test_what_the_policy_refuses_is_not_kept(over_folder: Running, first: Digest) -> None:
    model, home = over_folder.repository / "churn", over_folder.repository.parent / "home"
    newest = write_version(model / "70")  # so that the package would be placed anew
    (home / "other.pub").write_bytes(keys.make(home / "other.key", passphrase=None).pem)
    (home / "policy.yaml").write_text(STRICT)
    try:
        status, answer = load(over_folder.client, first)
        assert (status, answer["code"]) == (422, "P001")
        assert not (model / "71").exists()
        assert labels(over_folder.client) == [0, 1, 0, 1]
    finally:
        (home / "policy.yaml").unlink()
        shutil.rmtree(newest)


def test_a_folder_that_names_its_version_is_left_so(over_folder: Running, first: Digest) -> None:
    settings = over_folder.repository / "churn" / "model.json"
    settings.write_text(json.dumps({"versions": ["1"]}))
    try:
        status, answer = load(over_folder.client, first)
        assert (status, answer["code"]) == (422, "G001")
    finally:
        settings.unlink()


def test_a_bare_file_has_no_signature(tmp_path: Path) -> None:
    folder = write_version(tmp_path / "iris" / "1")
    gate = Gate({"BERTH_HOME": str(tmp_path)})
    admit(gate, folder)
    (tmp_path / "other.pub").write_bytes(keys.make(tmp_path / "other.key", passphrase=None).pem)
    (tmp_path / "policy.yaml").write_text(STRICT)
    with pytest.raises(RefusedError, match="bare file"):
        admit(gate, folder)


def test_a_server_without_a_data_folder_takes_no_pushes(client: Client) -> None:
    status, answer = load(client, "sha256:0")
    assert (status, "knows no pushed models" in str(answer["error"])) == (400, True)
