"""What is attached to an image: bill, attestations and signatures, by cosign's tags.

They stand in an OCI layout of their own, `attached/` in the layout of the image, under the tags
`sha256-HEX.sbom`, `.att` and `.sig`. A registry gets them under the same tags beside the image:
registries of before OCI 1.1 know no referrers.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from executors.packaging import images
from executors.packaging.security import layouts

FOLDER = "attached"
_PART_BYTES_MAX = 32 << 20
_PARTS_MAX = 64


class Suffix(StrEnum):
    """Kinds of attachment, by the end of their tag."""

    BILL = "sbom"
    ATTESTATIONS = "att"
    SIGNATURES = "sig"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One document of an attachment."""

    media_type: str
    data: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)


def tag_of(digest: str, suffix: Suffix) -> str:
    """Return the tag under which an image's attachment is found."""
    return f"{digest.replace(':', '-')}.{suffix.value}"


def write(
    layout: Path, digest: str, suffix: Suffix, parts: Sequence[Part], *, durable: bool = True
) -> None:
    """Write the attachment of an image; one of the same kind is replaced.

    durable: False for a folder that is read at once and thrown away.
    """
    folder = layout / FOLDER
    (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    layers: list[dict[str, Any]] = []
    for part in parts:
        descriptor: dict[str, Any] = {
            **_keep(folder, part.data, durable=durable),
            "mediaType": part.media_type,
        }
        if part.annotations:
            descriptor["annotations"] = dict(part.annotations)
        layers.append(descriptor)
    config = images.canonical(
        {
            "architecture": "",
            "os": "",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        }
    )
    manifest = images.canonical(
        {
            "schemaVersion": 2,
            "mediaType": images.MANIFEST_TYPE,
            "config": {
                **_keep(folder, config, durable=durable),
                "mediaType": images.CONFIG_TYPE,
            },
            "layers": layers,
        }
    )
    tag = tag_of(digest, suffix)
    entry = {
        **_keep(folder, manifest, durable=durable),
        "mediaType": images.MANIFEST_TYPE,
        "annotations": {images.TAG: tag},
    }
    kept = (e for e in _entries(folder) if _tag(e) != tag)
    images.write_index(folder, [*kept, entry], durable=durable)


def read(layout: Path, digest: str, suffix: Suffix) -> tuple[Part, ...]:
    """Return the parts of an attachment; none when there is no such attachment.

    Raises:
        DamagedError: when it is not what its digests say.
    """
    folder = layout / FOLDER
    tag = tag_of(digest, suffix)
    entry = next((e for e in _entries(folder) if _tag(e) == tag), None)
    if entry is None:
        return ()
    manifest = layouts.manifest_of(folder, str(entry.get("digest")))
    return tuple(
        Part(
            media_type=str(layer.get("mediaType")),
            data=layouts.read_checked(folder, layer, bytes_max=_PART_BYTES_MAX),
            annotations=cast("Mapping[str, str]", layer.get("annotations") or {}),
        )
        for layer in manifest.layers[:_PARTS_MAX]
    )


def add(
    layout: Path, digest: str, suffix: Suffix, parts: Sequence[Part], *, durable: bool = True
) -> None:
    """Add parts to an attachment; those that it holds already change nothing."""
    known = read(layout, digest, suffix)
    added = [part for part in parts if part not in known]
    write(layout, digest, suffix, [*known, *added], durable=durable)


def copy(source: Path, target: Path, digest: str) -> None:
    """Copy what is attached to an image from one layout to another, added to what is there."""
    for suffix in Suffix:
        parts = read(source, digest, suffix)
        if parts:
            add(target, digest, suffix, parts)


def manifests(layout: Path) -> Iterator[tuple[str, bytes]]:
    """Yield tag and manifest of everything that is attached in a layout; blobs are below `FOLDER`.

    Raises:
        DamagedError: when a manifest is not what its digest says.
    """
    folder = layout / FOLDER
    for entry in _entries(folder):
        yield _tag(entry), layouts.read_checked(folder, entry, bytes_max=_PART_BYTES_MAX)


def tags(layout: Path) -> tuple[str, ...]:
    """Return the tags of everything that is attached in a layout."""
    return tuple(sorted(_tag(entry) for entry in _entries(layout / FOLDER)))


def state(layout: Path) -> bytes:
    """Return what tells whether anything was attached or taken away since."""
    path = layout / FOLDER / "index.json"
    return hashlib.sha256(path.read_bytes()).digest() if path.exists() else b""


def remove(layout: Path) -> None:
    """Take away everything that is attached."""
    shutil.rmtree(layout / FOLDER, ignore_errors=True)


def _entries(folder: Path) -> list[dict[str, Any]]:
    return images.read_index(folder) if (folder / "index.json").exists() else []


def _tag(entry: Mapping[str, Any]) -> str:
    annotations = cast("Mapping[str, str]", entry.get("annotations") or {})
    return annotations.get(images.TAG, "")


def _keep(folder: Path, data: bytes, *, durable: bool) -> dict[str, Any]:
    """Write a blob and return where it is."""
    digest = images.digest_of(data)
    images.write_file(images.blob_path(folder, digest), data, durable=durable)
    return {"digest": digest, "size": len(data)}
