"""A small signed image, made in place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.model.identifiers import Digest
from executors.packaging import images
from executors.packaging.security import attaching
from executors.packaging.security.signing import keys
from executors.packaging.security.signing.keys import PrivateKey
from executors.packaging.security.signing.provenance import Build

ONNX = b"\x08\x08\x12\x00"
ABOUT = {
    "name": "heart",
    "format": "onnx",
    "file": "model.onnx",
    "family": "tree",
    "features": [{"name": "age"}],
    "target": "target",
    "classes": [0, 1],
    "quality": 0.8,
    "data_digest": "sha256:" + "ab" * 32,
    "made_with": {"numpy": "2"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """An image with everything attached, and the key that signed it."""

    folder: Path
    layout: Path
    digest: Digest
    key: PrivateKey

    @property
    def public(self) -> Path:
        return self.folder / "signing.pub"


def package(layout: Path, **files: bytes) -> Digest:
    """Write an image of a model; files by name with `_` for the dot."""
    named = {name.replace("_", "."): data for name, data in files.items()}
    content = {"metadata.json": images.canonical(ABOUT), "model.onnx": ONNX, **named}
    return images.write_image(layout, content, labels={"a": "b"}, tag="r-1")


BUILD = Build(
    pipeline="heart", task="package", run="r-1", parameters={}, materials={}, version="0.1"
)


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    keys.make(tmp_path / "signing.key", passphrase=None)
    digest = package(tmp_path / "image")
    environment = {"BERTH_HOME": str(tmp_path)}
    attaching.attach(tmp_path / "image", digest, BUILD, environment=environment)
    return Signed(
        folder=tmp_path,
        layout=tmp_path / "image",
        digest=digest,
        key=keys.read_private(tmp_path / "signing.key", {}),
    )
