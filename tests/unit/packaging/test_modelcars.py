"""Modelcars: what is in the image of a package that KServe shows to a server."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from engine.model.errors import NotFoundError
from executors.packaging import archives, images
from executors.packaging.oci import bases, modelcars
from executors.packaging.oci.layers import LayerCache

FILES = {"model.onnx": b"weights", "metadata.json": b"{}", "example.json": b"{}"}
LABELS = {"berth.family": "tree"}


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    target = tmp_path / "package"
    images.write_image(target, FILES, labels=LABELS)
    return target


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LayerCache:
    """A cache, and a Debian whose shell is a few bytes, so that its archive is not asked."""

    def lay_out(packages: str, target: Path) -> None:
        target.write_bytes(archives.pack_files({f"./{packages[:3]}": b"", "./bin/busybox": b"elf"}))

    monkeypatch.setattr(bases, "lay_out", lay_out)
    return LayerCache(tmp_path / "layers")


def entries(made: modelcars.Modelcar) -> dict[str, tarfile.TarInfo]:
    """Return what a container of the image sees, by path."""
    found: dict[str, tarfile.TarInfo] = {}
    for layer in made.built.layers:
        data = layer.data if layer.data is not None else layer.path.read_bytes()  # type: ignore[union-attr]
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            found |= {entry.name: entry for entry in archive}
    return found


def test_it_shows_the_files_of_the_package_below_models_and_has_what_kserve_runs(
    layout: Path, cache: LayerCache
) -> None:
    found = entries(modelcars.build(layout, cache, {}))
    assert {f"models/{name}" for name in FILES} < found.keys()
    assert all(found[f"models/{name}"].mode & 0o004 for name in FILES)
    for name in ("sh", "ln", "ls", "sleep"):
        assert found[f"bin/{name}"].linkname == "busybox"
    assert found["bin/busybox"].mode == 0o755


def test_its_last_layer_is_that_of_the_package(layout: Path, cache: LayerCache) -> None:
    made = modelcars.build(layout, cache, {})
    (entry,) = images.read_index(layout)
    manifest = json.loads(images.blob_path(layout, entry["digest"]).read_bytes())
    assert made.built.model.digest == manifest["layers"][0]["digest"]
    assert (made.package, made.labels) == (entry["digest"], LABELS)


def test_it_runs_nothing_of_its_own(layout: Path, cache: LayerCache) -> None:
    config = json.loads(modelcars.build(layout, cache, {}).built.config)["config"]
    assert config.keys() == {"Env", "Labels", "WorkingDir"}


def test_the_same_package_gives_the_same_image(layout: Path, cache: LayerCache) -> None:
    made = [modelcars.build(layout, cache, {}).built.digest for _ in range(2)]
    assert made[0] == made[1]


def test_without_mmdebstrap_another_base_is_asked_for(
    layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFoundError) as raised:
        modelcars.build(layout, LayerCache(tmp_path / "layers"), {})
    assert "modelcar_base" in raised.value.fix


def test_a_debian_without_the_shell_is_named(
    layout: Path, cache: LayerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        bases, "lay_out", lambda _, target: target.write_bytes(archives.pack_files({"./a": b""}))
    )
    with pytest.raises(NotFoundError, match="no 'bin/busybox'"):
        modelcars.build(layout, cache, {})
