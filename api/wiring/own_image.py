"""Builds Berth's own image and pushes it to a registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from executors.packaging.oci import distribution, own
from executors.packaging.oci.layers import LayerCache


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """An image in a registry; `image` names it by digest."""

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
