"""Builds Berth's own image, and pushes it to a registry or gives it to podman."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from executors.containers.podman import Podman
from executors.packaging.oci import builder, distribution, own
from executors.packaging.oci.layers import LayerCache


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """An image in a registry, by digest, or in podman's storage, by name."""

    image: str
    size_bytes: int


def push_own(home: Path, reference: str, environment: Mapping[str, str]) -> Pushed:
    """Build Berth's image and push it; layers are kept in `layers` of the data folder.

    Raises:
        RefusedError: when the reference is none.
        NotFoundError, RetryableError: as `own.build` and the registry say.
    """
    where = distribution.parse(reference)
    built = own.build(LayerCache(home / "layers"), environment)
    registry = distribution.Registry(where, environment)
    try:
        registry.push(built.layers, built.config, built.manifest, tags=(where.tag,))
    finally:
        registry.close()
    image = f"{where.host}/{where.repository}@{built.digest}"
    return Pushed(image=image, size_bytes=built.size_bytes)


def load_own(
    home: Path,
    name: str,
    podman: Podman,
    environment: Mapping[str, str],
    only: Collection[str] | None = None,
) -> Pushed:
    """Build Berth's image and give it to podman under a name; layers are kept as `push_own` does.

    only: of Berth's libraries, as `own.build` takes it.

    Raises:
        NotFoundError, RetryableError: as `own.build` and podman say.
    """
    built = own.build(LayerCache(home / "layers"), environment, only)
    image = name if "/" in name else f"localhost/{name}"
    # Beside the layers, so that they can be linked.
    with tempfile.TemporaryDirectory(prefix=".own-", dir=home) as folder:
        layout = Path(folder) / "layout"
        builder.write_layout(built, layout)
        podman.take(layout, image)
    return Pushed(image=image, size_bytes=built.size_bytes)
