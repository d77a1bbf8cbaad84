"""Images, the registry, and what a package says of its model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from engine.model.errors import DamagedError, NotFoundError, RefusedError
from executors.packaging import convert, images
from executors.packaging.registry import OciRegistry
from executors.persistence import skops_io
from executors.tasks.context import BadInputError
from tests.support.heart_tasks import HeartTasks

FILES = {"metadata.json": b"{}", "model.onnx": b"weights"}


def layout(folder: Path) -> Path:
    images.write_image(folder, FILES, labels={"a": "b"}, tag="r-1")
    return folder


def blob(folder: Path, kind: str) -> Path:
    """Return the path of the manifest, the config or the layer."""
    manifest = images.blob_path(folder, images.read_index(folder)[0]["digest"])
    document = json.loads(manifest.read_bytes())
    paths = {
        "manifest": manifest,
        "config": images.blob_path(folder, document["config"]["digest"]),
        "layer": images.blob_path(folder, document["layers"][0]["digest"]),
    }
    return paths[kind]


def test_an_image_comes_back_as_it_was(tmp_path: Path) -> None:
    found = images.read_image(layout(tmp_path))
    assert (dict(found.files), dict(found.labels)) == (FILES, {"a": "b"})


def test_the_same_files_have_the_same_digest(tmp_path: Path) -> None:
    layout(tmp_path / "a")
    layout(tmp_path / "b")
    first, second = (images.read_image(tmp_path / name) for name in "ab")
    assert first.digest == second.digest


@pytest.mark.parametrize("kind", ["manifest", "config", "layer"])
@pytest.mark.parametrize("how", ["truncated", "changed", "missing"])
def test_a_damaged_blob_is_named(tmp_path: Path, kind: str, how: str) -> None:
    path = blob(layout(tmp_path), kind)
    data = path.read_bytes()
    path.unlink()
    if how != "missing":
        path.write_bytes(data[:-1] + (b"!" if how == "changed" else b""))
    with pytest.raises(DamagedError) as caught:
        images.read_image(tmp_path)
    assert path.name in caught.value.message


@pytest.mark.parametrize("name", ["oci-layout", "index.json"])
@pytest.mark.parametrize("text", ["", "[]", "{}", '{"manifests": [1]}'])
def test_a_folder_that_is_no_layout_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (layout(tmp_path) / name).write_text(text)
    with pytest.raises(DamagedError, match=name):
        images.read_image(tmp_path)


def test_another_media_type_is_refused(tmp_path: Path) -> None:
    path = layout(tmp_path) / "index.json"
    path.write_text(path.read_text().replace("oci.image.manifest", "docker.manifest"))
    with pytest.raises(DamagedError, match=r"docker\.manifest"):
        images.read_image(tmp_path)


@pytest.mark.parametrize("digest", ["", "sha256:../../etc/passwd", 7])
def test_a_digest_that_is_none_is_refused(tmp_path: Path, digest: object) -> None:
    with pytest.raises(DamagedError, match="names a blob"):
        images.read_blob(tmp_path, {"digest": digest}, images.LAYER_TYPE)


def rewritten(folder: Path, **changes: object) -> Path:
    """Return a layout whose manifest was changed, with digests that are right again."""
    manifest = json.loads(blob(folder, "manifest").read_bytes()) | changes
    entry = images._keep(folder, images.MANIFEST_TYPE, images.canonical(manifest), durable=False)
    images.write_index(folder, [entry])
    return folder


def test_a_manifest_without_layers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match="lists no layers"):
        images.read_image(rewritten(layout(tmp_path), layers=[]))


def test_a_layer_that_is_no_tar_is_refused(tmp_path: Path) -> None:
    layer = images._keep(layout(tmp_path), images.LAYER_TYPE, b"x" * 600, durable=False)
    with pytest.raises(DamagedError, match="no tar"):
        images.read_image(rewritten(tmp_path, layers=[layer]))


def test_an_image_of_another_digest_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        images.read_image(layout(tmp_path), "sha256:" + "0" * 64)


def test_a_missing_document_is_damage(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match=r"example\.json"):
        images.read_image(layout(tmp_path)).document("example.json")


def test_the_registry_keeps_images_by_name(heart: HeartTasks) -> None:
    registry = OciRegistry(heart.home / "models")
    digests = [heart.values(f"package-{family}")["digest"] for family in ("knn", "tree")]
    assert list(registry.images("heart")[:2]) == digests
    assert registry.images("nothing") == ()


def test_a_tag_stands_for_one_image(tmp_path: Path, heart: HeartTasks) -> None:
    registry = OciRegistry(tmp_path)
    first = registry.add("heart", heart.outputs("package-knn"), tag="best")
    second = registry.add("heart", heart.outputs("package-tree"), tag="best")
    assert registry.resolve("heart", "best") == second
    registry.tag("heart", first, "best")
    assert registry.resolve("heart", "best") == first
    assert registry.resolve("heart", "latest") == second


def test_adding_again_changes_nothing(tmp_path: Path, heart: HeartTasks) -> None:
    registry = OciRegistry(tmp_path)
    for _ in range(2):
        registry.add("heart", heart.outputs("package-knn"), tag="r-1")
    assert len(registry.images("heart")) == 1


def test_an_image_can_be_taken_out(tmp_path: Path, heart: HeartTasks) -> None:
    registry = OciRegistry(heart.home / "models")
    digest = registry.images("heart")[0]
    registry.fetch("heart", digest, tmp_path / "x")
    assert images.read_image(tmp_path / "x").metadata["family"] == "knn"


def test_what_is_not_there_is_not_found(tmp_path: Path, heart: HeartTasks) -> None:
    registry = OciRegistry(tmp_path)
    unknown = images.digest_of(b"")
    with pytest.raises(NotFoundError):
        registry.resolve("heart", "latest")
    registry.add("heart", heart.outputs("package-knn"))
    with pytest.raises(NotFoundError):
        registry.resolve("heart", "best")
    with pytest.raises(NotFoundError):
        registry.tag("heart", unknown, "best")
    with pytest.raises(NotFoundError):
        registry.fetch("heart", unknown, tmp_path / "x")


def test_a_damaged_image_is_not_kept(tmp_path: Path) -> None:
    blob(layout(tmp_path / "a"), "layer").write_bytes(b"")
    registry = OciRegistry(tmp_path / "models")
    with pytest.raises(DamagedError):
        registry.add("heart", tmp_path / "a")
    assert registry.images("heart") == ()


def test_a_model_is_named_like_a_folder(tmp_path: Path) -> None:
    with pytest.raises(RefusedError):
        OciRegistry(tmp_path).images("../x")


def test_every_family_becomes_onnx_that_agrees(heart: HeartTasks) -> None:
    for family in ("knn", "tree", "forest", "svm", "boosting", "logistic"):
        metadata = images.read_image(heart.outputs(f"package-{family}")).metadata
        assert (metadata["format"], metadata["agreement"]) == ("onnx", 1.0)


def test_a_package_says_what_serving_it_takes(heart: HeartTasks) -> None:
    metadata = images.read_image(heart.outputs("package-knn")).metadata
    chol = {"name": "chol", "unit": "mg/dL", "input_unit": "mg/dL", "factor": 1.0}
    assert chol in metadata["features"]
    assert metadata["reference"]["chol"]["median"] > 200
    assert (metadata["run"], metadata["target"], metadata["classes"]) == ("r-1", "target", [0, 1])


def test_the_same_model_gives_the_same_package(heart: HeartTasks, tmp_path: Path) -> None:
    again = HeartTasks(tmp_path)
    shutil.copytree(heart.home / "svm", tmp_path / "svm")
    again.run("package-svm", "package", "svm")
    assert again.values("package-svm")["digest"] == heart.values("package-svm")["digest"]


def test_what_onnx_does_not_know_stays_skops(
    heart: HeartTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = heart.outputs("tree") / "model.skops"
    model = convert.load(path)
    rows = np.load(heart.outputs("tree") / "example.npy")[:, :-1]
    monkeypatch.setattr(convert, "to_onnx", lambda *_, **__: None)
    assert convert.convert(model, path, rows).file == "model.skops"


def test_a_model_of_foreign_types_is_refused(tmp_path: Path) -> None:
    skops_io.dump({"path": Path("/etc")}, tmp_path / "model.skops")
    with pytest.raises(BadInputError, match="not trusted"):
        convert.load(tmp_path / "model.skops")


@pytest.mark.parametrize("data", [b"", b"\x80\x04N.", b"PK\x03\x04"])
def test_a_file_that_is_no_skops_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.skops").write_bytes(data)
    with pytest.raises(BadInputError, match="no model in skops form"):
        convert.load(tmp_path / "model.skops")
