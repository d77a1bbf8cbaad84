"""Port `ModelRegistry` on a folder: one OCI layout for each model, as registries lay them out."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from engine.model.errors import NotFoundError, RefusedError
from engine.model.identifiers import Digest
from executors.packaging import images
from executors.packaging.security import attachments

LATEST = "latest"
SERVING = "serving"
"""Tag of the image that a server serves now."""
_NAME_BYTES_MAX = 200


class OciRegistry:
    """Keeps packaged models below `root`, each model's images in one layout.

    Several processes may add at the same time; reading needs no lock.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def layout(self, name: str) -> Path:
        """Return the layout of a model, which need not exist.

        Raises:
            RefusedError: when the name is no plain folder name.
        """
        plain = name.isprintable() and len(name.encode()) <= _NAME_BYTES_MAX
        if not name or not plain or "/" in name or name.startswith("."):
            raise RefusedError(f"{name!r} cannot name a model", fix="use letters and digits")
        return self._root / name

    def add(self, name: str, source: Path, *, tag: str = "") -> Digest:
        """Keep the newest image of the layout `source`, checked first; return its digest.

        Adding it again changes nothing but where the tag points.

        Raises:
            DamagedError: when the image is not what it says it is; nothing is kept.
        """
        image = images.read_image(source)
        layout = self.layout(name)
        (layout / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        with _locked(layout):
            with images.together():
                for blob in sorted((source / "blobs" / "sha256").iterdir()):
                    target = images.blob_path(layout, blob.name)
                    if not blob.name.startswith(".") and not target.exists():
                        images.write_file(target, blob.read_bytes())
                attachments.copy(source, layout, image.digest)
            known = images.read_index(layout) if (layout / "index.json").exists() else []
            entry = next(e for e in images.read_index(source) if e["digest"] == image.digest)
            images.write_index(layout, _with(known, entry, tag))
        return image.digest

    def images(self, name: str) -> Sequence[Digest]:
        """Return the digests of a model's images, oldest first; none for an unknown model."""
        layout = self.layout(name)
        if not (layout / "index.json").exists():
            return ()
        return tuple(Digest(str(entry["digest"])) for entry in images.read_index(layout))

    def resolve(self, name: str, tag: str) -> Digest:
        """Return the digest a tag stands for; `latest` is the newest image.

        Raises:
            NotFoundError: when there is no such model or tag.
        """
        known = self.images(name)
        if known and tag == LATEST:
            return known[-1]
        entries = images.read_index(self.layout(name)) if known else []
        for entry in entries:
            if tag in _tags(entry):
                return Digest(str(entry["digest"]))
        raise NotFoundError(f"no model {name!r} has the tag {tag!r}")

    def tag(self, name: str, digest: Digest, tag: str) -> None:
        """Let a tag stand for an image of a model, and for no other.

        Raises:
            NotFoundError: when the model has no such image.
        """
        layout = self.layout(name)
        if digest not in self.images(name):
            raise NotFoundError(f"model {name!r} has no image {digest}")
        with _locked(layout):
            known = images.read_index(layout)
            entry = next(entry for entry in known if entry["digest"] == digest)
            images.write_index(layout, _with(known, entry, tag))

    def fetch(self, name: str, digest: Digest, target: Path) -> None:
        """Write a layout that holds only one image of a model, checked, to a new folder.

        Raises:
            NotFoundError: when the model has no such image.
            DamagedError: when it is not what it says it is.
        """
        layout = self.layout(name)
        if digest not in self.images(name):
            raise NotFoundError(f"model {name!r} has no image {digest}")
        image = images.read_image(layout, digest)
        partial = target.with_name(f".{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            images.write_image(partial, image.files, labels=image.labels)
            attachments.copy(layout, partial, digest)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _tags(entry: dict[str, Any]) -> list[str]:
    """Return the tags of a listed manifest; several are kept apart by a space."""
    annotations = cast("dict[str, str]", entry.get("annotations", {}))
    return annotations.get(images.TAG, "").split()


def _with(
    entries: Sequence[dict[str, Any]], added: dict[str, Any], tag: str
) -> list[dict[str, Any]]:
    """Return the list with an image added, which takes the tag away from any other."""
    kept: list[dict[str, Any]] = []
    before: list[str] = []
    for entry in entries:
        tags = [known for known in _tags(entry) if known != tag]
        if entry["digest"] == added["digest"]:
            before = tags
        kept.append(_tagged(entry, tags))
    mine = _tagged(added, [*before, *([tag] if tag else [])])
    if any(entry["digest"] == added["digest"] for entry in kept):
        return [mine if entry["digest"] == added["digest"] else entry for entry in kept]
    return [*kept, mine]


def _tagged(entry: dict[str, Any], tags: Sequence[str]) -> dict[str, Any]:
    bare = {name: value for name, value in entry.items() if name != "annotations"}
    return {**bare, "annotations": {images.TAG: " ".join(tags)}} if tags else bare


@contextmanager
def _locked(layout: Path) -> Generator[None]:
    """Let one process at a time change a layout."""
    with (layout / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
