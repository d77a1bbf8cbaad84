"""A package as a modelcar: an image whose `/models` KServe shows to the server of the same pod.

KServe runs it beside the server and asks its shell for one thing: a link from `/mnt/models` to the
`/models` of its own root, which the other container sees since the pod shares its processes (`sh`,
`ln`, `sleep` and `ls` of `ConfigureModelcarToContainer`, KServe 0.16). So a modelcar is a shell,
and above it the package's own layer, byte for byte. It has no entry point: all that is run is what
KServe says.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from engine.model.errors import NotFoundError
from engine.model.identifiers import Digest
from executors.packaging import archives, images
from executors.packaging.oci import bases
from executors.packaging.oci.builder import Built, built_of
from executors.packaging.oci.layers import Layer, LayerCache, Role, key_of, model_layer

SHELL = "busybox"
"""The base that is made here; any other name is an image with a shell in a registry."""
_PACKAGE = "busybox-static"
_PROGRAM = "bin/busybox"
_LINKS = ("ln", "ls", "sh", "sleep")
_CREATED = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Modelcar:
    """A modelcar of a package: the image, and the manifest digest and labels of the package."""

    built: Built
    package: Digest
    labels: Mapping[str, str]


def build(
    layout: Path, cache: LayerCache, environment: Mapping[str, str], base: str = SHELL
) -> Modelcar:
    """Return the modelcar of the package in a layout.

    base: `busybox`, Debian's, laid out here, or an image with a shell in a registry.
    environment: where logins of that registry are looked for.

    Raises:
        DamagedError: when the package is not what it says.
        NotFoundError: when the base, or mmdebstrap, is not there.
        RetryableError: when Debian's archive or the registry does not answer.
    """
    package = images.read_image(layout)
    below, variables = _base(base, cache, environment)
    layers = [*below, model_layer(package.files)]
    config = images.canonical(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": _CREATED,
            "config": {"Env": list(variables), "Labels": dict(package.labels), "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        }
    )
    built = built_of(config, layers, package.labels)
    return Modelcar(built=built, package=package.digest, labels=package.labels)


def _base(
    name: str, cache: LayerCache, environment: Mapping[str, str]
) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """Return layers and variables of a base."""
    if name == SHELL:
        return (_shell(cache),), ("PATH=/bin",)
    found = bases.find(name, cache, environment)
    return found.layers, found.environment


def _shell(cache: LayerCache) -> Layer:
    """Return the layer with a shell: one program, which needs no library, under its names."""
    key = key_of("shell", bases.SUITE, _PACKAGE, archives.COMPRESSOR)
    found = cache.find(key)
    if found is not None:
        return found
    with tempfile.TemporaryDirectory(prefix="berth-shell-") as folder:
        target = Path(folder) / "shell.tar"
        try:
            bases.lay_out(_PACKAGE, target)
        except NotFoundError as error:
            fix = "name an image with a shell as `modelcar_base`, or apt install mmdebstrap"
            raise NotFoundError(error.message, fix=fix) from error
        with tarfile.open(target) as archive:
            member = next((each for each in archive if each.name == f"./{_PROGRAM}"), None)
            file = archive.extractfile(member) if member is not None else None
            if file is None:
                raise NotFoundError(f"Debian's {_PACKAGE!r} has no {_PROGRAM!r}")
            program = file.read()

    def write(sink: IO[bytes]) -> None:
        sink.write(_packed(program))

    return cache.make(key, Role.BASE, write)


def _packed(program: bytes) -> bytes:
    """Return a tar with the program and the links to it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        folder = tarfile.TarInfo("bin")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
        entry = tarfile.TarInfo(_PROGRAM)
        entry.size, entry.mode = len(program), 0o755
        archive.addfile(entry, io.BytesIO(program))
        for name in _LINKS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, Path(_PROGRAM).name
            archive.addfile(link)
    return buffer.getvalue()
