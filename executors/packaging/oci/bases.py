"""The lowest layers of an image: Python and the libraries of the system, without Docker Hub.

Either Debian's own packages laid out by mmdebstrap (no shell, no package manager, nothing run),
or any image in a registry. Both are kept by what they were made of, so they are made once.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.model.errors import NotFoundError, RetryableError
from executors.packaging import archives, images
from executors.packaging.oci import distribution
from executors.packaging.oci.layers import Layer, LayerCache, Role, compressed_copy, key_of

DEBIAN = "debian:bookworm"
"""The base that is made here; any other name is an image in a registry."""
SUITE = "bookworm"
_PYTHON = "/usr/bin/python3.11"
_PACKAGES = (
    "python3.11-minimal,libpython3.11-stdlib,python3.11,libc6,zlib1g,libexpat1,libssl3,libffi8,"
    "libbz2-1.0,liblzma5,libsqlite3-0,libuuid1,libncursesw6,libtinfo6,libreadline8,libgcc-s1,"
    "libstdc++6,libgomp1,ca-certificates,media-types,libdb5.3,libcrypt1,libnsl2,libtirpc3,"
    "libgssapi-krb5-2,libkrb5-3,libk5crypto3,libcom-err2,libkrb5support0,libkeyutils1"
)
_SECONDS_MAX = 600.0
_SAID_BYTES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What an image stands on.

    python: its interpreter; environment: its variables; version: of Python, as 3.11.
    """

    name: str
    layers: tuple[Layer, ...]
    python: str
    version: str
    environment: tuple[str, ...] = ()


def find(
    name: str, cache: LayerCache, environment: Mapping[str, str], *, python: str = "python3"
) -> Base:
    """Return a base, made or pulled where the cache does not have it.

    python: the interpreter in an image of a registry.

    Raises:
        NotFoundError: when mmdebstrap, or the image, is not there.
        RetryableError: when Debian's archive or the registry does not answer.
    """
    if name == DEBIAN:
        return Base(
            name=name, layers=(_debian(cache),), python=_PYTHON, version="3.11", environment=()
        )
    return _pulled(name, cache, environment, python)


def _debian(cache: LayerCache) -> Layer:
    key = key_of("debian", SUITE, _PACKAGES, archives.COMPRESSOR)
    found = cache.find(key)
    if found is not None:
        return found
    with tempfile.TemporaryDirectory(prefix="berth-base-") as folder:
        target = Path(folder) / "base.tar"
        lay_out(_PACKAGES, target)
        return cache.make(key, Role.BASE, compressed_copy(target))


def lay_out(packages: str, target: Path) -> None:
    """Write the files of Debian's packages, named with commas between, into a tar; run nothing.

    Raises:
        NotFoundError: when mmdebstrap is not there.
        RetryableError: when Debian's archive does not answer.
    """
    program = shutil.which("mmdebstrap")
    if program is None:
        message = f"packages of {DEBIAN!r} need mmdebstrap, which is not installed"
        fix = "apt install mmdebstrap, or name an image of a registry as `base`"
        raise NotFoundError(message, fix=fix)
    command = [
        *(program, "--mode=auto", "--variant=extract", f"--include={packages}"),
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        *(SUITE, str(target)),
    ]
    _run(command, "Debian's packages cannot be laid out")


def _run(command: Sequence[str], what: str) -> None:
    """Run a program of the base.

    Raises:
        RetryableError: when it fails, with the end of what it said.
    """
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RetryableError(f"{what}: {error}", fix="repeat when the network is well") from error
    if done.returncode:
        said = done.stderr[-_SAID_BYTES:].decode(errors="replace").strip()
        raise RetryableError(f"{what}: {said}", fix="repeat when the network is well")


def _pulled(name: str, cache: LayerCache, environment: Mapping[str, str], python: str) -> Base:
    """Return an image of a registry as a base; its layers are kept by digest."""
    registry = distribution.Registry(distribution.parse(name), environment)
    try:
        _, manifest = registry.manifest()
        described = manifest["config"]
        config = json.loads(registry.blob(described["digest"], int(described["size"])))
        layers: list[Layer] = []
        for entry, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
            key = key_of("pulled", str(entry["digest"]))
            layer = cache.find(key)
            if layer is None:
                data = registry.blob(entry["digest"], int(entry["size"]))
                path = cache.blob_path(entry["digest"])
                images.write_file(path, data)
                layer = Layer(
                    role=Role.BASE,
                    digest=entry["digest"],
                    diff_id=diff_id,
                    size_bytes=len(data),
                    media_type=str(entry["mediaType"]),
                    path=path,
                )
                cache.note(key, layer)
            layers.append(layer)
    finally:
        registry.close()
    variables = tuple(config.get("config", {}).get("Env") or ())
    version = next(
        (v.partition("=")[2] for v in variables if v.startswith("PYTHON_VERSION=")), "3.11"
    )
    return Base(
        name=name,
        layers=tuple(layers),
        python=python,
        version=".".join(version.split(".")[:2]),
        environment=variables,
    )
