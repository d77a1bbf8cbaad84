"""OCI layouts as the security checks read them: every digest checked, layers streamed.

`executors.packaging.images` writes packages of one plain layer; images with a base and compressed
layers, or of other builders, are read here without unpacking them to disk. Sizes are counted while
they are unpacked, so that what a header says of them is not believed.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

from engine.model.errors import DamagedError, NotFoundError
from engine.model.identifiers import Digest
from executors.packaging import images

_DOCUMENT_BYTES_MAX = 4 << 20
_CHUNK_BYTES = 1 << 20
_LAYER_BYTES_MAX = 16 << 30
"""Unpacked bytes of one layer; the largest images of machine learning have layers of 10 GB."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_WHITEOUT = ".wh."
_ROLE, _MODEL_ROLE = "berth.layer", "model"
_FIX = "package the model again"
UNPACKING_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
)
"""What a damaged archive can raise while it is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The manifest of an image, its digest checked."""

    layout: Path
    digest: Digest
    document: Mapping[str, Any]

    @property
    def layers(self) -> Sequence[Mapping[str, Any]]:
        """Descriptors of the layers, the base first."""
        return cast("Sequence[Mapping[str, Any]]", self.document.get("layers", []))

    def of_the_model(self) -> Manifest:
        """Return the same with only the layers of the model, where some are marked so.

        They are all that a model server reads of a whole image.
        """
        marked = [layer for layer in self.layers if _role(layer) == _MODEL_ROLE]
        return replace(self, document={**self.document, "layers": marked or list(self.layers)})


def is_layout(path: Path) -> bool:
    """Return whether a path is a folder with an OCI layout."""
    return (path / "oci-layout").is_file() and (path / "index.json").is_file()


def manifest_of(layout: Path, digest: str | None = None) -> Manifest:
    """Return the manifest of a digest, or of the newest image.

    Raises:
        NotFoundError: when the layout has no such image.
        DamagedError: when what is there is not what its digest says.
    """
    entries = images.read_index(layout)
    entry = next((e for e in reversed(entries) if digest in {None, e.get("digest")}), None)
    if entry is None:
        raise NotFoundError(f"{str(layout)!r} holds no image {digest or 'at all'}")
    data = read_checked(layout, entry, bytes_max=_DOCUMENT_BYTES_MAX)
    document = json_object(data, str(entry["digest"]))
    layers = document.get("layers", [])
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise DamagedError(f"manifest {entry['digest']} lists no layers", fix=_FIX)
    return Manifest(layout=layout, digest=Digest(str(entry["digest"])), document=document)


def read_checked(layout: Path, descriptor: Mapping[str, Any], *, bytes_max: int) -> bytes:
    """Return the blob of a descriptor.

    Raises:
        DamagedError: when it is missing, too large, or not what its digest says.
    """
    path = _blob(layout, descriptor)
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= bytes_max else b""
    except OSError as error:
        message = f"{str(path)!r} cannot be read: {error.strerror}"
        raise DamagedError(message, fix=_FIX) from error
    if size > bytes_max:
        raise DamagedError(f"{str(path)!r} has {size:,} bytes, more than {bytes_max:,}")
    if images.digest_of(data) != descriptor["digest"] or len(data) != descriptor.get("size"):
        raise DamagedError(f"{str(path)!r} is not what its digest says", fix=_FIX)
    return data


def layer_files(manifest: Manifest) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Yield every entry of every layer with a reader of its content, the base first.

    The reader is good until the next entry is asked for; None for what is no plain file. Entries
    that take away those of a lower layer are left out, those below them are not: what can be read
    from the image by any means is to be seen.

    Raises:
        DamagedError: when a layer is no archive or not what its digest says.
    """
    for layer in manifest.layers:
        path = _blob(manifest.layout, layer)
        _check_file(path, str(layer["digest"]))
        try:
            with path.open("rb") as raw, _unpacked(raw) as plain:
                yield from _entries(cast("IO[bytes]", Counted(plain, _LAYER_BYTES_MAX)))
        except UNPACKING_ERRORS as error:
            message = f"layer {layer['digest']} of {str(manifest.layout)!r} is no archive: {error}"
            raise DamagedError(message, fix=_FIX) from error


def _entries(layer: IO[bytes]) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Yield the entries of one layer but for those that take others away."""
    with tarfile.open(fileobj=layer, mode="r|") as archive:
        for entry in archive:
            if not Path(entry.name).name.startswith(_WHITEOUT):
                yield entry, archive.extractfile(entry) if entry.isreg() else None


def check_layers(manifest: Manifest) -> None:
    """Check the digests of config and layers.

    Raises:
        DamagedError: when one is not what it says.
    """
    config = manifest.document.get("config")
    for part in [*([config] if isinstance(config, dict) else []), *manifest.layers]:
        _check_file(_blob(manifest.layout, part), str(part["digest"]))


class Counted(io.RawIOBase):
    """A stream that ends with an error once it has given too many bytes."""

    def __init__(self, inner: IO[bytes], bytes_max: int) -> None:
        super().__init__()
        self._inner = inner
        self._left = bytes_max

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes.

        Raises:
            ValueError: when there were more than allowed.
        """
        data = self._inner.read(size if 0 <= size <= _CHUNK_BYTES else _CHUNK_BYTES)
        self._left -= len(data)
        if self._left < 0:
            raise ValueError("it unpacks to more bytes than allowed")
        return data

    def readable(self) -> bool:
        """Return that it can be read."""
        return True


def json_object(data: bytes, name: str) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        DamagedError: when it is none.
    """
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{name!r} is not JSON: {error}", fix=_FIX) from error
    if not isinstance(value, dict):
        raise DamagedError(f"{name!r} holds no JSON object", fix=_FIX)
    return cast("dict[str, Any]", value)


def _role(layer: Mapping[str, Any]) -> object:
    """Return what the annotation of a layer says that it brings."""
    annotations = layer.get("annotations")
    return cast("dict[str, object]", annotations).get(_ROLE) if annotations else None


def _unpacked(raw: IO[bytes]) -> IO[bytes]:
    """Return the stream of a layer without its compression, told by its first bytes."""
    magic = raw.read(4)
    raw.seek(0)
    if magic.startswith(_GZIP):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    if magic == _ZSTD:
        # Only images of other builders are packed so; the library is an extra.
        import zstandard  # noqa: PLC0415

        return cast("IO[bytes]", zstandard.ZstdDecompressor().stream_reader(raw))
    return raw


def _blob(layout: Path, descriptor: Mapping[str, Any]) -> Path:
    digest = descriptor.get("digest")
    hexadecimal = str(digest).removeprefix("sha256:")
    if len(hexadecimal) != hashlib.sha256().digest_size * 2 or not hexadecimal.isalnum():
        raise DamagedError(f"{str(layout)!r} names a blob {digest!r}", fix=_FIX)
    return images.blob_path(layout, str(digest))


def _check_file(path: Path, digest: str) -> None:
    """Compare a file with its digest, without holding it in memory."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        message = f"{str(path)!r} cannot be read: {error.strerror}"
        raise DamagedError(message, fix=_FIX) from error
    if f"sha256:{found}" != digest:
        raise DamagedError(f"{str(path)!r} is not what its digest says", fix=_FIX)
