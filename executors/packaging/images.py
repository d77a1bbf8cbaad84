"""One packaged model as an OCI image layout (image-spec 1.1) in a folder.

    oci-layout           says what the folder is
    index.json           the manifests in it
    blobs/sha256/HEX     manifest, config, layer

The one layer of a package is a plain tar with `models/model.onnx` (or `.skops`),
`models/metadata.json` and `models/example.json`, so that it also serves as a model volume, and as
the last layer of a whole image (`executors.packaging.oci`). It holds no times, owners or
compression, and the same files always give the same manifest digest.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from engine.model.errors import DamagedError, NotFoundError
from engine.model.identifiers import Digest
from executors.packaging import archives

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
TAG = "org.opencontainers.image.ref.name"
ROLE = "berth.layer"
"""Annotation of a layer of a whole image: what it brings; a package is the layer `model`."""
FORMAT = "berth.format"
"""Label of a package: the format of its model."""
_FOLDER = "models"
_LAYOUT = {"imageLayoutVersion": "1.0.0"}
_DOCUMENT_BYTES_MAX = 4 << 20
_EPOCH = "1970-01-01T00:00:00Z"
_AGAIN = "package the model again"
_WAITERS_MAX = 16
_TOGETHER: ContextVar[list[Path] | None] = ContextVar("together", default=None)
_LAYER_LIMITS = archives.Limits(bytes_max=8 << 30, entries_max=10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A packaged model, every byte of it checked. `files` are those of its layer, by name."""

    digest: Digest
    labels: Mapping[str, str]
    files: Mapping[str, bytes]

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the package says of its model.

        Raises:
            DamagedError: when that is missing or no JSON object.
        """
        return self.document("metadata.json")

    def document(self, name: str) -> Mapping[str, Any]:
        """Return a JSON object of the layer.

        Raises:
            DamagedError: when it is missing or no JSON object.
        """
        if name not in self.files:
            raise DamagedError(f"{name!r} is missing from the model package", fix=_AGAIN)
        return _object(self.files[name], name)


def canonical(document: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """Return a document as bytes, the same for the same value."""
    text = json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def digest_of(data: bytes) -> Digest:
    """Return the digest of some bytes."""
    return Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")


def blob_path(layout: Path, digest: str) -> Path:
    """Return where a layout keeps a blob."""
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


def write_image(
    layout: Path, files: Mapping[str, bytes], *, labels: Mapping[str, str], tag: str = ""
) -> Digest:
    """Write a layout that holds one image; return the digest of its manifest."""
    return write_package(layout, pack(files), labels=labels, tag=tag)


def write_package(
    layout: Path, layer: bytes, *, labels: Mapping[str, str], tag: str = "", durable: bool = True
) -> Digest:
    """Write a layout that holds one package, given its one layer; return its digest.

    durable: False for a folder that is read at once and thrown away.
    """
    (layout / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    config = canonical(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": _EPOCH,
            "config": {"Labels": dict(labels)},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
        }
    )
    manifest = canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _keep(layout, CONFIG_TYPE, config, durable=durable),
            "layers": [_keep(layout, LAYER_TYPE, layer, durable=durable)],
            "annotations": dict(labels),
        }
    )
    entry = _keep(layout, MANIFEST_TYPE, manifest, durable=durable)
    if tag:
        entry["annotations"] = {TAG: tag}
    write_index(layout, [entry], durable=durable)
    return digest_of(manifest)


def write_index(
    layout: Path, manifests: Sequence[Mapping[str, Any]], *, durable: bool = True
) -> None:
    """Write what makes a folder of blobs a layout, the list of its manifests last."""
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": list(manifests)}
    if not (layout / "oci-layout").exists():
        write_file(layout / "oci-layout", canonical(_LAYOUT), durable=durable)
    write_file(layout / "index.json", canonical(index), durable=durable)


@contextmanager
def together() -> Generator[None]:
    """Make the files that are written within durable at the end: all waits become one.

    What names them is to be written after that, or else may be repaired by writing them again.
    """
    written: list[Path] = []
    token = _TOGETHER.set(written)
    try:
        yield
    finally:
        _TOGETHER.reset(token)
    if written:
        # A file system writes its journal once for all who wait at the same time.
        with ThreadPoolExecutor(min(len(written), _WAITERS_MAX)) as waiters:
            list(waiters.map(_wait_for_disk, written))


def _wait_for_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_file(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace a file, whole or not at all, and so that it outlives a crash if `durable`."""
    waiting = _TOGETHER.get()
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        if durable and waiting is None:
            os.fsync(file.fileno())
    partial.replace(path)
    if durable and waiting is not None:
        waiting.append(path)


def read_image(layout: Path, digest: str | None = None) -> Image:
    """Read the image of a digest from a layout, or its newest one, checking every digest.

    Raises:
        NotFoundError: when the layout holds no image of that digest.
        DamagedError: when a file is missing, cut off, changed, or of another kind; it is named.
    """
    entries = read_index(layout)
    entry = next((e for e in reversed(entries) if digest in {None, e.get("digest")}), None)
    if entry is None:
        raise NotFoundError(f"{str(layout)!r} holds no image {digest or 'at all'}")
    manifest_data = read_blob(layout, entry, MANIFEST_TYPE)
    manifest = _object(manifest_data, str(entry["digest"]))
    config = _object(read_blob(layout, manifest.get("config"), CONFIG_TYPE), "the image config")
    layers = manifest.get("layers")
    if not isinstance(layers, list) or not layers:
        raise DamagedError(f"manifest {entry['digest']} lists no layers", fix=_AGAIN)
    files: dict[str, bytes] = {}
    for layer in _of_the_model(cast("list[object]", layers)):
        files |= _untar(read_blob(layout, layer, LAYER_TYPE), layout)
    return Image(digest=digest_of(manifest_data), labels=_labels(config), files=files)


def newest_labels(layout: Path) -> Mapping[str, str]:
    """Return the labels of a layout's newest image, without reading its files.

    Raises:
        NotFoundError: when the layout holds none.
        DamagedError: as `read_image`.
    """
    entries = read_index(layout)
    if not entries:
        raise NotFoundError(f"{str(layout)!r} holds no image at all")
    manifest = _object(read_blob(layout, entries[-1], MANIFEST_TYPE), "the newest manifest")
    return _labels(_object(read_blob(layout, manifest.get("config"), CONFIG_TYPE), "its config"))


def _labels(config: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the labels of an image's config; none where it has none of their kind."""
    about = config.get("config")
    labels = about.get("Labels") if isinstance(about, dict) else None
    return cast("dict[str, str]", labels) if isinstance(labels, dict) else {}


def read_index(layout: Path) -> list[dict[str, Any]]:
    """Return the manifests a layout lists, oldest first.

    Raises:
        DamagedError: when the folder is no such layout.
    """
    if _object(_read(layout / "oci-layout"), str(layout / "oci-layout")) != _LAYOUT:
        raise DamagedError(f"{str(layout / 'oci-layout')!r} is not version 1.0.0", fix=_AGAIN)
    path = layout / "index.json"
    entries = _object(_read(path), str(path)).get("manifests")
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise DamagedError(f"{str(path)!r} lists no manifests", fix=_AGAIN)
    return cast("list[dict[str, Any]]", entries)


def read_blob(layout: Path, descriptor: object, media_type: str) -> bytes:
    """Return the blob that a descriptor names, of the kind that is expected there.

    Raises:
        DamagedError: when the kind, the size or the digest is another.
    """
    found = cast("dict[str, Any]", descriptor) if isinstance(descriptor, dict) else {}
    digest = found.get("digest")
    if not isinstance(digest, str) or not digest.startswith("sha256:") or "/" in digest:
        raise DamagedError(f"{str(layout)!r} names a blob {digest!r}", fix=_AGAIN)
    path = blob_path(layout, digest)
    if found.get("mediaType") != media_type:
        kind = found.get("mediaType")
        raise DamagedError(f"{str(path)!r} is {kind!r}, expected {media_type!r}", fix=_AGAIN)
    data = _read(path)
    if len(data) != found.get("size"):
        size = found.get("size")
        raise DamagedError(f"{str(path)!r} has {len(data)} bytes, expected {size}", fix=_AGAIN)
    if digest_of(data) != digest:
        raise DamagedError(f"{str(path)!r} is not what its digest says", fix=_AGAIN)
    return data


def _keep(layout: Path, media_type: str, data: bytes, *, durable: bool) -> dict[str, Any]:
    """Write a blob and return its descriptor."""
    digest = digest_of(data)
    write_file(blob_path(layout, digest), data, durable=durable)
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{str(path)!r} cannot be read: {error.strerror}"
        raise DamagedError(message, fix=_AGAIN) from error


def _object(data: bytes, name: str) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        value: object = json.loads(data) if len(data) <= _DOCUMENT_BYTES_MAX else None
    except ValueError as error:
        raise DamagedError(f"{name!r} is not JSON: {error}", fix=_AGAIN) from error
    if not isinstance(value, dict):
        raise DamagedError(f"{name!r} holds no JSON object", fix=_AGAIN)
    return cast("dict[str, Any]", value)


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return a tar of files in order of name, without anything that changes by itself."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(f"{_FOLDER}/{name}")
            entry.size = len(files[name])
            entry.mode = 0o444
            archive.addfile(entry, io.BytesIO(files[name]))
    return buffer.getvalue()


def _of_the_model(layers: Sequence[object]) -> list[object]:
    """Return the layers of the model: those marked so, or all where none is marked at all."""
    marked = [
        layer
        for layer in layers
        if isinstance(layer, dict)
        and cast("dict[str, Any]", layer).get("annotations", {}).get(ROLE) == "model"
    ]
    return list(marked or layers)


def _untar(data: bytes, layout: Path) -> dict[str, bytes]:
    """Return the files of a layer by name; nothing is written to disk."""
    found = archives.read_files(data, f"a layer of {str(layout)!r}", _LAYER_LIMITS)
    return {name.removeprefix(f"{_FOLDER}/"): content for name, content in found.items()}
