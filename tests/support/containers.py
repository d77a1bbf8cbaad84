"""Podman with an image that nobody had to fetch: empty but for names, the machine's `/usr` inside.

Under hybrid control groups crun refuses to run anything; a mount namespace without the unified
hierarchy helps, and needs no change of the machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest

from executors.containers import ContainerSettings

_UNIFIED = Path("/sys/fs/cgroup/unified")
_LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
_FOLDERS = ("usr", "etc", "tmp", "proc", "sys", "dev", "run", "root")
_IMAGE = "localhost/berth-test:1"


def why_not() -> str:
    """Return why containers cannot be run here; "" when they can."""
    return "" if shutil.which("podman") else "not run: podman is not installed"


class PodmanMachine:
    """A storage of podman's own in a short path, for sockets have short names."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="berth-c-"))
        self.podman = self._words()
        self._make_image()

    def _words(self) -> tuple[str, ...]:
        storage = ("--root", str(self._folder / "r"), "--runroot", str(self._folder / "t"))
        words = ("podman", *storage)
        if not _UNIFIED.is_dir():
            return words
        script = f'umount {_UNIFIED}; exec "$@"'
        return ("unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *words)

    def _make_image(self) -> None:
        """Make an image of links and empty folders; programs come with the mounts."""
        archive = self._folder / "image.tar"
        with tarfile.open(archive, "w") as packed:
            for name in _FOLDERS:
                member = tarfile.TarInfo(name)
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                packed.addfile(member)
            for name, target in _LINKS.items():
                member = tarfile.TarInfo(name)
                member.type, member.linkname = tarfile.SYMTYPE, target
                packed.addfile(member)
        self.call("import", "--quiet", str(archive), _IMAGE)

    @property
    def settings(self) -> ContainerSettings:
        """Settings of an executor with this storage, this image, and the interpreter of tests."""
        python = Path(os.path.realpath(sys.executable))
        mounts = {"/usr", str(Path(sys.base_prefix).resolve())}
        options = [word for path in sorted(mounts) for word in ("--volume", f"{path}:{path}:ro")]
        limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
        return ContainerSettings(
            image=_IMAGE, podman=self.podman, options=(*options, *limits), python=str(python)
        )

    def call(self, *arguments: str) -> str:
        """Return what a command of podman prints."""
        words = [*self.podman, *arguments]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def names(self) -> list[str]:
        """Return the names of all containers, whatever their state."""
        return self.call("ps", "--all", "--format", "{{.Names}}").split()

    def close(self) -> None:
        """Remove what runs, and the storage."""
        self.call("rm", "--all", "--force", "--time", "0")
        overlay = str(self._folder / "r" / "overlay")
        subprocess.run(["umount", "-q", "-R", overlay], check=False)
        shutil.rmtree(self._folder, ignore_errors=True)


def required() -> None:
    """Skip a test where podman is missing; fail in CI."""
    why = why_not()
    if why:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
