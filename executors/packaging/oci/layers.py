"""Layers of images, and the folder that keeps them by digest and by what they were made of.

    layers/blobs/sha256/HEX     a layer as it is pushed
    layers/keys/KEY             what a key (a lock, a base) was made into: digest, size, diff id

A key is written after its blob, so what has a key is complete. Several processes may share it.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Self, cast

from engine.model.errors import DamagedError
from engine.model.identifiers import Digest
from executors.packaging import archives, images

GZIP_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
_CHUNK_BYTES = 1 << 20
_WAITING_MAX = 8
"""Blocks that may wait to be compressed."""


class Role(StrEnum):
    """What a layer brings."""

    BASE = "base"
    DEPENDENCIES = "dependencies"
    RUNTIME = "runtime"
    MODEL = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer.

    digest, size_bytes: of the blob as it is pushed; diff_id: digest of the tar in it.
    path, data: where the blob is, one of both.
    """

    role: Role
    digest: Digest
    diff_id: Digest
    size_bytes: int
    media_type: str
    path: Path | None = None
    data: bytes | None = None

    def descriptor(self) -> dict[str, Any]:
        """Return the layer as a manifest lists it."""
        return {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size_bytes,
            "annotations": {images.ROLE: self.role.value},
        }


def model_layer(files: Mapping[str, bytes]) -> Layer:
    """Return the layer of a model: its files below `/models`, as a KServe modelcar has them.

    It is not compressed: weights hardly shrink, and the package is read from it as it is.
    """
    data = images.pack(files)
    digest = images.digest_of(data)
    return Layer(
        role=Role.MODEL,
        digest=digest,
        diff_id=digest,
        size_bytes=len(data),
        media_type=images.LAYER_TYPE,
        data=data,
    )


class _Hashing:
    """A file that knows the digest and size of what went through it."""

    def __init__(self, sink: IO[bytes] | None = None) -> None:
        self._sink = sink
        self._sha = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Pass bytes on."""
        self._sha.update(data)
        self.size += len(data)
        if self._sink is not None:
            self._sink.write(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def digest(self) -> Digest:
        """Return the digest of all that was written."""
        return Digest(f"sha256:{self._sha.hexdigest()}")


class _Beside:
    """A file whose writes are done by a thread, in order, while the caller goes on.

    Reading and hashing a tar take as long as compressing it, and all of it is done outside the
    interpreter's lock where blocks are large.
    """

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink = sink
        self._waiting: queue.Queue[bytes | None] = queue.Queue(_WAITING_MAX)
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until all is written; raise what went wrong."""
        self._waiting.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def write(self, data: bytes) -> int:
        """Take bytes; waits where too many blocks wait already."""
        self._waiting.put(data)
        return len(data)

    def flush(self) -> None:
        """Nothing can be told before the end."""

    def _work(self) -> None:
        while (data := self._waiting.get()) is not None:
            if self._error is None:
                try:
                    self._sink.write(data)
                except OSError as error:
                    self._error = error


class LayerCache:
    """Keeps layers below `root`, made when missing."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs" / "sha256"
        self._keys = root / "keys"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._keys.mkdir(parents=True, exist_ok=True)

    def find(self, key: str) -> Layer | None:
        """Return the layer of a key, or None where it has to be made."""
        try:
            found = json.loads((self._keys / key).read_bytes())
            layer = Layer(
                role=Role(found["role"]),
                digest=Digest(found["digest"]),
                diff_id=Digest(found["diff_id"]),
                size_bytes=int(found["size_bytes"]),
                media_type=str(found["media_type"]),
                path=self.blob_path(found["digest"]),
            )
            if cast("Path", layer.path).stat().st_size != layer.size_bytes:
                return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return layer

    def make(self, key: str, role: Role, write: Callable[[IO[bytes]], None]) -> Layer:
        """Keep the tar that `write` writes, compressed, under a key; return the layer."""
        partial = self._blobs / f".{os.getpid()}.{key[:16]}"
        try:
            with partial.open("wb") as file:
                blob = _Hashing(file)
                packed = archives.compressing(cast("IO[bytes]", blob))
                with _Beside(packed) as beside:
                    tar = _Hashing(cast("IO[bytes]", beside))
                    write(cast("IO[bytes]", tar))
                packed.close()
            layer = Layer(
                role=role,
                digest=blob.digest(),
                diff_id=tar.digest(),
                size_bytes=blob.size,
                media_type=GZIP_TYPE,
                path=self.blob_path(blob.digest()),
            )
            partial.replace(cast("Path", layer.path))
        finally:
            partial.unlink(missing_ok=True)
        self.note(key, layer)
        return layer

    def note(self, key: str, layer: Layer) -> None:
        """Remember what a key stands for."""
        text = images.canonical(
            {
                "role": layer.role.value,
                "digest": layer.digest,
                "diff_id": layer.diff_id,
                "size_bytes": layer.size_bytes,
                "media_type": layer.media_type,
            }
        )
        images.write_file(self._keys / key, text)

    def blob_path(self, digest: str) -> Path:
        """Return where a blob is kept.

        Raises:
            DamagedError: when the digest is none.
        """
        name = digest.removeprefix("sha256:")
        if len(name) != hashlib.sha256().digest_size * 2 or not name.isalnum():
            raise DamagedError(f"{digest!r} is no digest", fix="ask the registry again")
        return self._blobs / name


def key_of(*parts: str) -> str:
    """Return the key of what a layer is made of."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def compressed_copy(source: Path) -> Callable[[IO[bytes]], None]:
    """Return what writes a file as it is, for a tar that exists already."""

    def write(sink: IO[bytes]) -> None:
        with source.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                sink.write(chunk)

    return write
