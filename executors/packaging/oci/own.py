"""Berth's own image: base, its libraries, itself. Tasks run in it, and so does an engine.

It holds the packages of the installation that builds it, and the libraries that this installation
asks for with the extras `kubernetes` and `postgres`, in the versions that are installed here. There
is no shell in it. `berth`, `python` and `python3` are on its path.
"""

from __future__ import annotations

import importlib.util
import io
import re
import tarfile
from collections.abc import Collection, Mapping
from importlib import metadata
from pathlib import Path
from typing import IO

from engine.model.errors import NotFoundError
from executors.packaging import archives, images
from executors.packaging.oci import bases
from executors.packaging.oci.builder import USER, Built, built_of
from executors.packaging.oci.dependencies import SITE, Installer, Wanted
from executors.packaging.oci.layers import Layer, LayerCache, Role, key_of

PACKAGES = (
    "berth",
    "engine",
    "forecasting",
    "placement",
    "alarms",
    "executors",
    "simulations",
    "api",
)
EXTRAS = ("kubernetes", "postgres")
_DISTRIBUTION = "berth"
_CREATED = "1970-01-01T00:00:00Z"
_HOME = "opt/berth/app"
_EXTRA = re.compile(r"""extra\s*==\s*['"]([\w-]+)['"]""")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_LAUNCHER = b"from api.cli.main import run\n\nrun()\n"
_LEFT_OUT = frozenset({"__pycache__"})
_PASSWD = b"root:x:0:0:root:/root:/sbin/nologin\nberth:x:65532:65532:berth:/tmp:/sbin/nologin\n"
_GROUP = b"root:x:0:\nberth:x:65532:\n"


def build(
    cache: LayerCache, environment: Mapping[str, str], only: Collection[str] | None = None
) -> Built:
    """Return Berth's image; only the layer of Berth itself is made anew when nothing else changed.

    environment: as `dependencies.Installer` wants it. only: of Berth's libraries, where the image
    shall be small and run tasks of one kind; all by default.

    Raises:
        NotFoundError: when the base or uv is not there, or Berth is not installed.
        RetryableError: when Debian's archive or the index does not answer.
    """
    base = bases.find(bases.DEBIAN, cache, environment)
    wanted = Wanted(requirements=requirements(only), version=base.version)
    installer = Installer(environment)
    layers = [*base.layers, installer.layer(wanted, cache), _application(cache, base.python)]
    variables = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": f"/{_HOME}:/{SITE}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "HOME": "/tmp",  # noqa: S108 - of the container
    }
    config = images.canonical(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": _CREATED,
            "config": {
                "Entrypoint": ["berth"],
                "Env": [f"{name}={value}" for name, value in sorted(variables.items())],
                "User": USER,
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        }
    )
    return built_of(config, layers)


def requirements(only: Collection[str] | None = None) -> str:
    """Return what Berth needs in its image, each in the version that is installed here.

    only: names of those that shall be in it; all by default.

    Raises:
        NotFoundError: when Berth is not installed, so that nobody says what it needs.
    """
    try:
        asked = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError as error:
        fix = "install it, `pip install -e .` from its sources"
        raise NotFoundError("Berth is not installed here", fix=fix) from error
    lines = []
    for line in asked:
        requirement, _, marker = line.partition(";")
        extra = _EXTRA.search(marker)
        found = _NAME.match(requirement)
        if found is None or (extra is not None and extra[1] not in EXTRAS):
            continue
        if only is not None and found[0] not in only:
            continue
        lines.append(_as_installed(requirement.strip(), found[0]))
    return "\n".join(sorted(lines)) + "\n"


def _as_installed(requirement: str, name: str) -> str:
    """Return a requirement in the version that is installed, or as it is where none is."""
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return requirement
    extras = re.match(r"[A-Za-z0-9._-]+(\[[^\]]*\])", requirement)
    return f"{name}{extras[1] if extras else ''}=={version}"


def _application(cache: LayerCache, python: str) -> Layer:
    """Return the layer of Berth itself."""
    files = dict(sorted(_sources().items()))
    told = [f"{name}:{images.digest_of(data)}" for name, data in files.items()]
    key = key_of("own", python, archives.COMPRESSOR, *told)

    def write(sink: IO[bytes]) -> None:
        sink.write(_packed(files, python))

    return cache.find(key) or cache.make(key, Role.RUNTIME, write)


def _sources() -> dict[str, bytes]:
    """Return the files of Berth's packages by their path in the image."""
    found: dict[str, bytes] = {}
    for package in PACKAGES:
        described = importlib.util.find_spec(package)
        if described is None or not described.submodule_search_locations:
            raise NotFoundError(f"there is no package {package!r} here", fix="install Berth whole")
        root = Path(described.submodule_search_locations[0])
        for path in sorted(root.rglob("*")):
            inside = path.relative_to(root)
            if path.is_file() and not _LEFT_OUT & set(inside.parts):
                found[f"{_HOME}/{package}/{inside.as_posix()}"] = path.read_bytes()
    return found | _described()


def _described() -> dict[str, bytes]:
    """Return what says that Berth is installed: its version, and its entry points."""
    installed = metadata.distribution(_DISTRIBUTION)
    folder = f"{_HOME}/{_DISTRIBUTION}-{installed.version}.dist-info"
    told = {name: installed.read_text(name) for name in ("METADATA", "entry_points.txt")}
    return {f"{folder}/{name}": text.encode() for name, text in told.items() if text}


def _packed(files: Mapping[str, bytes], python: str) -> bytes:
    """Return the tar of the layer: sources, users, and the two programs of the path."""
    plain = {**files, "etc/passwd": _PASSWD, "etc/group": _GROUP}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        with tarfile.open(fileobj=io.BytesIO(archives.pack_files(plain))) as packed:
            for entry in packed:
                archive.addfile(entry, packed.extractfile(entry) if entry.isfile() else None)
        for name in ("python", "python3"):
            link = tarfile.TarInfo(f"usr/local/bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, python
            archive.addfile(link)
        launcher = tarfile.TarInfo("usr/local/bin/berth")
        content = f"#!{python}\n".encode() + _LAUNCHER
        launcher.size, launcher.mode = len(content), 0o755
        archive.addfile(launcher, io.BytesIO(content))
    return buffer.getvalue()
