"""What every `ArtifactStore` keeps; subclass `ArtifactSuite` with a fixture and `damage`."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.model.errors import DamagedError, NotFoundError
from engine.model.identifiers import Digest
from engine.ports import ArtifactStore


def folder(place: Path, files: dict[str, str]) -> Path:
    """Write a folder of files, given by relative name."""
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text, encoding="utf-8")
    return place


def content(place: Path) -> dict[str, str]:
    """Return the files below a folder, by relative name."""
    files = (each for each in place.rglob("*") if each.is_file())
    return {each.relative_to(place).as_posix(): each.read_text(encoding="utf-8") for each in files}


FILES = {"model.onnx": "weights", "inner/outputs.json": "{}"}


class ArtifactSuite:
    """The contract of the port `ArtifactStore`."""

    @pytest.fixture
    def store(self) -> ArtifactStore:
        """Return an empty store."""
        raise NotImplementedError

    def damage(self, store: ArtifactStore, digest: Digest) -> None:
        """Change what is kept under a digest, as a failing disk would."""
        raise NotImplementedError

    def test_a_folder_comes_back_as_it_was(self, store: ArtifactStore, tmp_path: Path) -> None:
        """Names and contents are kept."""
        digest = store.put(folder(tmp_path / "a", FILES))
        store.fetch(digest, tmp_path / "b")
        assert content(tmp_path / "b") == FILES

    def test_a_file_comes_back_as_it_was(self, store: ArtifactStore, tmp_path: Path) -> None:
        """A single file is an artefact too."""
        place = folder(tmp_path / "a", {"only.txt": "text"}) / "only.txt"
        store.fetch(store.put(place), tmp_path / "b.txt")
        assert (tmp_path / "b.txt").read_text(encoding="utf-8") == "text"

    def test_the_digest_is_that_of_the_content(self, store: ArtifactStore, tmp_path: Path) -> None:
        """Where the content lay does not matter."""
        first = store.put(folder(tmp_path / "a", FILES))
        second = store.put(folder(tmp_path / "b", FILES))
        assert first == second
        assert first.startswith("sha256:")

    @pytest.mark.parametrize(
        "other", [{**FILES, "model.onnx": "others"}, {"model.onnx": "weights"}, {"x": "weights"}]
    )
    def test_other_content_has_another_digest(
        self, store: ArtifactStore, tmp_path: Path, other: dict[str, str]
    ) -> None:
        """Contents, names and the number of files all count."""
        first = store.put(folder(tmp_path / "a", FILES))
        assert store.put(folder(tmp_path / "b", other)) != first

    def test_what_is_kept_is_a_copy(self, store: ArtifactStore, tmp_path: Path) -> None:
        """What becomes of the source does not matter."""
        digest = store.put(folder(tmp_path / "a", FILES))
        (tmp_path / "a" / "model.onnx").write_text("changed", encoding="utf-8")
        store.fetch(digest, tmp_path / "b")
        assert content(tmp_path / "b") == FILES

    def test_an_unknown_digest_is_not_found(self, store: ArtifactStore, tmp_path: Path) -> None:
        """Nothing is laid out."""
        with pytest.raises(NotFoundError):
            store.fetch(Digest("sha256:" + "0" * 64), tmp_path / "b")
        assert not (tmp_path / "b").exists()

    def test_damage_is_noticed(self, store: ArtifactStore, tmp_path: Path) -> None:
        """Content is checked against its digest whenever it is laid out."""
        digest = store.put(folder(tmp_path / "a", FILES))
        self.damage(store, digest)
        with pytest.raises(DamagedError):
            store.fetch(digest, tmp_path / "b")

    def test_collecting_keeps_what_lives(self, store: ArtifactStore, tmp_path: Path) -> None:
        """All else goes, and is counted, once it was there for a while."""
        live = store.put(folder(tmp_path / "a", FILES))
        gone = store.put(folder(tmp_path / "b", {"x": "y"}))
        assert store.collect([live], grace_seconds=3_600.0) == 0
        assert store.collect([live], grace_seconds=0.0) == 1
        store.fetch(live, tmp_path / "c")
        with pytest.raises(NotFoundError):
            store.fetch(gone, tmp_path / "d")
