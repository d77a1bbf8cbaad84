"""A pickle is served by an administrator's leave for a signed digest, and never otherwise."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import pickle
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from engine.model.errors import BerthError, DamagedError, RefusedError
from engine.model.identifiers import Digest
from executors.packaging import images
from executors.packaging.security.policies.gate import Gate
from executors.packaging.security.signing import cosign, keys
from executors.packaging.security.signing.keys import PrivateKey
from executors.serving import models
from executors.serving.packages import Packages
from executors.serving.pushed import admit
from executors.serving.runtime import loading
from executors.serving.runtime.settings import Isolation, ModelSettings
from executors.serving.runtime.shelf import Shelf
from executors.serving.runtime.tensors import Tensor
from executors.serving.server import ModelServer
from executors.serving.windows import Windows

ROWS = np.array([[0.0, 0.0], [1.0, 1.0], [0.2, 0.1], [0.9, 0.8]])
LABELS = [0, 1, 0, 1]


class Nosy(LogisticRegression):  # type: ignore[misc]
    """Looks about when it is asked: what it finds decides what it answers."""

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803 - as scikit-learn has it
        reached = []
        looks = (
            lambda: list(Path("/root").iterdir()),
            lambda: socket.create_connection(("127.0.0.1", 9)),
            lambda: subprocess.run(["/bin/true"], check=False),
            lambda: os.environ["BERTH_SECRET"],
        )
        for look in looks:
            try:
                look()
            except (OSError, KeyError):
                continue
            reached.append(look)
        return np.full(len(X), len(reached))


@dataclass(frozen=True)
class Pickled:
    """A package with a pickle, in a repository of models, and who may sign it."""

    home: Path
    layout: Path
    digest: Digest
    key: PrivateKey

    def allow(self, digest: str = "") -> None:
        """Write the policy; with a digest it allows its pickle."""
        text = "policy: p\nsignatures: {by: team.pub}\n"
        if digest:
            text += f"pickle:\n  - {{digest: {digest}, by: root, because: an old model}}\n"
        (self.home / "policy.yaml").write_text(text)

    def sign(self) -> None:
        cosign.sign(self.layout, self.digest, "old", self.key)

    def packages(self) -> Packages:
        return Packages("old", {"BERTH_HOME": str(self.home)})

    def shelf(self) -> Shelf:
        return Shelf(
            folder=self.home / "served",
            audit=self.home / "audit.jsonl",
            admit=functools.partial(admit, Gate({"BERTH_HOME": str(self.home)})),
        )


def packaged(home: Path, model: LogisticRegression, labels: list[int]) -> Pickled:
    features = [{"name": n, "unit": "", "input_unit": "", "factor": 1.0} for n in ("a", "b")]
    about = {
        "name": "old",
        "family": "logistic",
        "file": "model.pkl",
        "format": "pickle",
        "features": features,
        "classes": [0, 1],
        "probabilities": True,
        "target": "t",
    }
    files = {
        "model.pkl": pickle.dumps(model.fit(ROWS, LABELS)),
        "metadata.json": images.canonical(about),
        "example.json": images.canonical({"rows": ROWS.tolist(), "labels": labels}),
    }
    layout = home / "served" / "old" / "1"
    digest = images.write_image(layout, files, labels={}, tag="r-1")
    (home / "team.pub").write_bytes(keys.make(home / "team.key", passphrase=None).pem)
    key = keys.read_private(home / "team.key", {})
    return Pickled(home, layout, digest, key)


@pytest.fixture
def pickled(tmp_path: Path) -> Pickled:
    return packaged(tmp_path, LogisticRegression(C=100.0), LABELS)


def refusal(pickled: Pickled) -> RefusedError:
    """What both servers say of it; it is the same."""
    with pytest.raises(RefusedError) as caught:
        pickled.packages().load("x", pickled.layout)
    with pytest.raises(RefusedError) as again:
        asyncio.run(pickled.shelf().load("old"))
    assert again.value.message == caught.value.message
    assert caught.value.code == "P001"
    entry = json.loads((pickled.home / "audit.jsonl").read_text().splitlines()[-1])
    assert (entry["action"], entry["error"]) == ("load", caught.value.message)
    return caught.value


def test_a_pickle_that_is_not_listed_is_refused(pickled: Pickled) -> None:
    pickled.sign()
    pickled.allow()
    found = refusal(pickled)
    assert "pickle" in found.message
    assert pickled.digest in found.fix
    assert "`pickle`" in found.fix


def test_a_pickle_that_is_listed_and_unsigned_is_refused(pickled: Pickled) -> None:
    pickled.allow(pickled.digest)
    found = refusal(pickled)
    assert "no key of the policy signed it" in found.message
    assert "berth image sign" in found.fix


def test_a_signature_of_another_key_is_none(pickled: Pickled, tmp_path: Path) -> None:
    keys.make(tmp_path / "other.key", passphrase=None)
    other = keys.read_private(tmp_path / "other.key", {})
    cosign.sign(pickled.layout, pickled.digest, "old", other)
    pickled.allow(pickled.digest)
    assert "no key of the policy signed it" in refusal(pickled).message


def test_a_pickle_that_was_changed_is_not_loaded(pickled: Pickled) -> None:
    pickled.sign()
    pickled.allow(pickled.digest)
    manifest = json.loads(images.blob_path(pickled.layout, pickled.digest).read_bytes())
    blob = images.blob_path(pickled.layout, manifest["layers"][0]["digest"])
    data = blob.read_bytes()
    blob.write_bytes(data.replace(b"LogisticRegression", b"LogisticRegressioN"))
    with pytest.raises(DamagedError):
        pickled.packages().load("x", pickled.layout)
    with pytest.raises(DamagedError):
        asyncio.run(pickled.shelf().load("old"))


def test_another_image_beside_the_allowed_one_is_not_loaded(pickled: Pickled) -> None:
    pickled.sign()
    pickled.allow(pickled.digest)
    image = images.read_image(pickled.layout)
    newer = {**image.files, "example.json": image.files["example.json"] + b" "}
    other = images.write_image(pickled.layout, newer, labels={}, tag="r-2")
    with pytest.raises(RefusedError) as caught:
        pickled.packages().load("x", pickled.layout)
    assert other in caught.value.message


def test_a_pickle_by_leave_is_served_by_a_pipelines_server(pickled: Pickled) -> None:
    pickled.sign()
    pickled.allow(pickled.digest)
    packages = pickled.packages()
    model = packages.load("x", pickled.layout)
    found = model.infer(ROWS[::-1])
    assert found.labels.tolist() == LABELS[::-1]
    assert found.probabilities is not None
    assert found.probabilities.shape == (4, 2)
    audit = pickled.home / "swaps.jsonl"
    server = ModelServer(model, packages, cast("Windows", object()), audit)
    entry = json.loads(audit.read_text())
    assert list(entry["pickles"].values()) == [f"{pickled.digest}, allowed by root: an old model"]
    pickled.allow()
    with pytest.raises(RefusedError):
        asyncio.run(server.swap("another", pickled.layout))
    assert "pickle" in json.loads(audit.read_text().splitlines()[-1])["error"]
    assert server.model is model
    del server, model
    packages.processes.close()


@pytest.mark.parametrize("isolation", Isolation)
def test_a_pickle_by_leave_is_served_over_a_folder(pickled: Pickled, isolation: Isolation) -> None:
    pickled.sign()
    pickled.allow(pickled.digest)
    settings = {"isolation": isolation.value}
    (pickled.home / "served" / "old" / "model.json").write_text(json.dumps(settings))

    async def served() -> list[int]:
        shelf = pickled.shelf()
        servable = (await shelf.load("old")).current.default
        assert servable.described["isolation"] == "process"
        found = await servable.infer([Tensor("features", "FP64", ROWS)], deadline=float("inf"))
        await shelf.close()
        return [int(label) for label in found[0]]

    assert asyncio.run(served()) == LABELS
    entry = json.loads((pickled.home / "audit.jsonl").read_text().splitlines()[0])
    assert entry["pickles"] == {"1": f"{pickled.digest}, allowed by root: an old model"}


def test_an_allowed_pickle_reaches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTH_SECRET", "sesame")
    pickled = packaged(tmp_path, Nosy(), [0, 0, 0, 0])
    assert Nosy().predict(ROWS[:1]) >= 2  # here it reaches programs and the environment
    pickled.sign()
    pickled.allow(pickled.digest)
    packages = pickled.packages()
    try:
        found = packages.load("x", pickled.layout).infer(ROWS)
        assert found.labels.tolist() == [0, 0, 0, 0]
    finally:
        packages.processes.close()


def test_a_bare_pickle_is_refused_with_the_way(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(LogisticRegression()))
    with pytest.raises(RefusedError, match="pickle") as caught:
        loading.open_runner(tmp_path, ModelSettings())
    assert "administrator" in caught.value.fix


def test_what_cannot_predict_is_no_model(pickled: Pickled) -> None:
    image = images.read_image(pickled.layout)
    for data in (pickle.dumps([1]), b"\x80\x04."):
        other = images.Image(
            digest=image.digest, labels={}, files={**image.files, "model.pkl": data}
        )
        with pytest.raises(BerthError, match=r"model\.pkl"):
            models.load(other, frozenset(), pickle=image.digest)
