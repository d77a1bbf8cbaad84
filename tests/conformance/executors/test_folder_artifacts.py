"""`FolderArtifacts` against the suite of its port."""

from __future__ import annotations

import os
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

    def test_what_was_put_again_of_late_stays(self, store: ArtifactStore, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "x").write_text("y")
        digest = store.put(tmp_path / "a")
        (tree,) = self.root.glob("trees/*")
        os.utime(tree, (1_000.0, 1_000.0))
        store.put(tmp_path / "a")
        assert store.collect([], grace_seconds=3_600.0) == 0
        store.fetch(digest, tmp_path / "b")
        os.utime(tree, (1_000.0, 1_000.0))
        assert store.collect([], grace_seconds=3_600.0) == 1
        assert not list(self.root.glob("blobs/*/*"))

    def test_what_a_crash_left_half_written_goes(self, store: ArtifactStore) -> None:
        half = self.root / "trees" / ".half"
        half.write_text("[")
        assert store.collect([], grace_seconds=3_600.0) == 0
        assert not half.exists()
