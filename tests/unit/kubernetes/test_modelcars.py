"""Packages that KServe shows to servers: pushed by the engine, read in the pod."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from engine.model.errors import DamagedError, RetryableError, UnreachableError
from engine.model.identifiers import Digest
from executors.kubernetes.serving import modelcars as pushing
from executors.kubernetes.serving import shown
from executors.kubernetes.serving.modelcars import Modelcars
from executors.kubernetes.settings import ClusterSettings
from executors.local import FolderArtifacts
from executors.packaging import images
from executors.packaging.oci import distribution
from executors.packaging.oci import modelcars as building
from executors.packaging.oci.layers import LayerCache, Role, key_of
from tests.support.registry_process import PROGRAM, RegistryProcess

FILES = {"model.onnx": b"weights", "metadata.json": b"{}", "example.json": b"{}"}
LABELS = {"berth.family": "tree"}
NOWHERE = ClusterSettings(name="east", context="east", modelcars="127.0.0.1:1/models")
needs_registry = pytest.mark.skipif(
    PROGRAM is None and "CI" not in os.environ,
    reason="NOT RUN: there is no docker-registry (apt-get install docker-registry)",
)


class Ticks:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Engine:
    """An artefact store with a package, and who pushes it."""

    def __init__(self, root: Path) -> None:
        self.artifacts = FolderArtifacts(root / "artifacts")
        images.write_image(root / "package", FILES, labels=LABELS)
        self.package = self.artifacts.put(root / "package")
        self.clock = Ticks()
        self.scratch = root / "scratch"
        self.scratch.mkdir()
        self.modelcars = Modelcars(self.artifacts, root / "layers", self.scratch, {}, self.clock)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine whose shell is an empty layer, so that Debian's archive is not asked."""

    def write(sink: IO[bytes]) -> None:
        sink.write(bytes(10_240))

    shell = LayerCache(tmp_path / "layers").make(key_of("shell"), Role.BASE, write)
    monkeypatch.setattr(building, "_shell", lambda _: shell)
    monkeypatch.setattr(pushing, "_WAIT_SECONDS", 60.0)
    made = Engine(tmp_path)
    yield made
    made.modelcars.close()


@needs_registry
@pytest.mark.network
def test_a_package_is_pushed_once_and_found_by_its_digest(engine: Engine, tmp_path: Path) -> None:
    with RegistryProcess(tmp_path / "registry") as registry:
        given = replace(NOWHERE, modelcars=f"{registry.host}/team/models")
        made = engine.modelcars.of(given, engine.package)
        found = distribution.Registry(distribution.parse(made.image), {})
        digest, manifest = found.manifest()
        found.close()
    assert made.image == f"{given.modelcars}@{digest}"
    assert manifest["layers"][-1]["annotations"] == {images.ROLE: "model"}
    assert engine.modelcars.of(given, engine.package) == made
    assert not list(engine.scratch.iterdir())
    told = made.variables
    assert told[shown.STORAGE] == f"oci://{made.image}"
    assert json.loads(told[shown.MODELCAR]) == {"package": made.package, "labels": LABELS}


@needs_registry
@pytest.mark.network
def test_it_stands_on_another_image_where_one_is_named(engine: Engine, tmp_path: Path) -> None:
    with RegistryProcess(tmp_path / "registry") as registry:
        given = replace(NOWHERE, modelcars=f"{registry.host}/models")
        below = engine.modelcars.of(given, engine.package)
        images.write_image(tmp_path / "next", {"metadata.json": b"[]"}, labels={})
        following = engine.artifacts.put(tmp_path / "next")
        made = engine.modelcars.of(replace(given, modelcar_base=below.image), following)
        found = distribution.Registry(distribution.parse(made.image), {})
        _, manifest = found.manifest()
        found.close()
    roles = [each["annotations"][images.ROLE] for each in manifest["layers"]]
    assert roles == ["base", "base", "model"]


def test_a_registry_that_does_not_answer_is_left_alone_for_a_while(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnreachableError) as first:
        engine.modelcars.of(NOWHERE, engine.package)
    monkeypatch.setattr(engine.artifacts, "fetch", _full)
    with pytest.raises(UnreachableError) as second:
        engine.modelcars.of(NOWHERE, engine.package)
    assert second.value is first.value
    engine.clock.now += 15.0
    with pytest.raises(RetryableError, match=r"cannot be pushed to '127[^ ]+: no space"):
        engine.modelcars.of(NOWHERE, engine.package)


def _full(_digest: Digest, _target: Path) -> None:
    raise OSError("no space")


def test_a_registry_that_answers_nonsense_is_a_fault_that_may_pass(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nonsense(*_: object, **__: object) -> None:
        raise ValueError("Invalid IPv6 URL")

    monkeypatch.setattr(distribution.Registry, "push", nonsense)
    with pytest.raises(RetryableError, match=r"cannot be pushed to .*: Invalid IPv6 URL"):
        engine.modelcars.of(NOWHERE, engine.package)


class Held:
    """A push that goes on until it is let go."""

    def __init__(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = threading.Event()
        self.let_go = threading.Event()
        self.packages: list[str] = []
        self.waits = 0
        monkeypatch.setattr(engine.modelcars, "_push", self._push)
        monkeypatch.setattr(pushing, "wait", self._wait)

    def _wait(self, _pushes: object, _seconds: float) -> None:
        self.waits += 1
        assert self.begun.wait(30.0)

    def _push(self, _given: ClusterSettings, package: str) -> shown.Modelcar:
        self.packages.append(package)
        self.begun.set()
        assert self.let_go.wait(30.0)
        return shown.Modelcar(image="r/m@d", package=Digest(package), labels=LABELS)


def test_only_who_begins_a_push_waits_and_not_for_long(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(engine, monkeypatch)
    for _ in range(3):
        with pytest.raises(RetryableError, match=r"is on its way to '127\.0\.0\.1:1/models'"):
            engine.modelcars.of(NOWHERE, engine.package)
    assert (held.waits, held.packages) == (1, [engine.package])
    held.let_go.set()


def test_at_the_end_nothing_more_is_begun_and_a_push_is_not_waited_for_long(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(engine, monkeypatch)
    for package in (engine.package, "sha256:next"):
        with pytest.raises(RetryableError, match="is on its way"):
            engine.modelcars.of(NOWHERE, package)
    engine.modelcars.close()
    held.let_go.set()
    for thread in threading.enumerate():
        if thread.name == "modelcar":
            thread.join(30.0)
    assert held.packages == [engine.package]


def test_each_base_has_a_push_of_its_own(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    bases: list[str] = []

    def push(given: ClusterSettings, package: str) -> shown.Modelcar:
        bases.append(given.modelcar_base)
        return shown.Modelcar(image="r/m@d", package=Digest(package), labels=LABELS)

    monkeypatch.setattr(engine.modelcars, "_push", push)
    engine.modelcars.of(NOWHERE, engine.package)
    engine.modelcars.of(replace(NOWHERE, modelcar_base="r.example/shell"), engine.package)
    assert bases == ["busybox", "r.example/shell"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a modelcar shows, without the link to it."""
    made = tmp_path / "root" / "models"
    made.mkdir(parents=True)
    for name, data in FILES.items():
        (made / name).write_bytes(data)
    return made


def told(tmp_path: Path) -> str:
    """Return what a pod is told of the package."""
    digest = images.write_image(tmp_path / "package", FILES, labels=LABELS)
    return shown.Modelcar(image="r/m@d", package=digest, labels=LABELS).variables[shown.MODELCAR]


def test_what_is_shown_is_laid_out_as_the_package_that_it_is(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "shown"
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:  # the modelcar's container runs
            link.symlink_to(folder)

    shown.lay_out(told(tmp_path), tmp_path / "layout", link, wait)
    assert len(waits) == 3
    image = images.read_image(tmp_path / "layout")
    assert (dict(image.files), dict(image.labels)) == (FILES, LABELS)


def test_another_package_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "model.onnx").write_bytes(b"others")
    described, layout = told(tmp_path), tmp_path / "layout"
    with pytest.raises(DamagedError, match="not sha256:"):
        shown.lay_out(described, layout, folder)
    assert not layout.exists()  # or the container's next start would serve it
    (folder / "model.onnx").write_bytes(FILES["model.onnx"])
    shown.lay_out(described, layout, folder)
    assert images.read_image(layout).files == FILES


def test_nothing_is_waited_for_forever(tmp_path: Path) -> None:
    waits: list[float] = []
    with pytest.raises(RetryableError, match="nothing is shown") as raised:
        shown.lay_out(told(tmp_path), tmp_path / "layout", tmp_path / "shown", waits.append)
    assert "enableModelcar" in raised.value.fix
    assert 119.0 < sum(waits) < 121.0


def test_files_of_another_user_are_named_with_what_helps(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    described = told(tmp_path)
    monkeypatch.setattr(Path, "is_dir", denied)
    with pytest.raises(RetryableError, match="cannot be read: Permission denied") as raised:
        shown.lay_out(described, tmp_path / "layout", folder)
    assert "uidModelcar" in raised.value.fix
