"""`FolderArtifacts` against the suite of its port."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.model.identifiers import Digest
from engine.ports import ArtifactStore
from engine.testing.artifact_suite import ArtifactSuite
from executors.local import FolderArtifacts


class TestFolderArtifacts(ArtifactSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ArtifactStore:
        self.root = tmp_path / "store"
        return FolderArtifacts(self.root)

    def damage(self, store: ArtifactStore, digest: Digest) -> None:
        blob = next(self.root.glob("blobs/*/*"))
        blob.chmod(0o644)
        blob.write_bytes(b"others!")
