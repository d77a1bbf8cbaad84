"""Podman with an image that nobody had to fetch: empty but for names, the machine's `/usr` inside.

Under hybrid control groups crun refuses to run anything; a mount namespace without the unified
hierarchy helps, and needs no change of the machine.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.wiring.own_image import load_own
from executors.containers import ContainerSettings, podman
from tests.support.clusters import own_image

_UNIFIED = Path("/sys/fs/cgroup/unified")
_LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
_FOLDERS = ("usr", "etc", "tmp", "proc", "sys", "dev", "run", "root")
_IMAGE = "localhost/berth-test:1"
_LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


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
        return ContainerSettings(
            image=_IMAGE, podman=self.podman, options=(*options, *_LIMITS), python=str(python)
        )

    def with_gpus(self, count: int) -> ContainerSettings:
        """Return settings whose podman is told of GPUs, in a file that nobody else sees.

        There are none: what a container sees of one is the variable GPU.
        """
        folder = self._folder / "over-etc"
        (folder / "work").mkdir(parents=True)
        (folder / "etc" / "cdi").mkdir(parents=True)
        devices = [
            {"name": str(gpu), "containerEdits": {"env": [f"GPU={gpu}"]}} for gpu in range(count)
        ]
        described = {"cdiVersion": "0.3.0", "kind": "nvidia.com/gpu", "devices": devices}
        (folder / "etc" / "cdi" / "nvidia.json").write_text(json.dumps(described), "utf-8")
        layers = f"lowerdir=/etc,upperdir={folder / 'etc'},workdir={folder / 'work'}"
        script = f'mount -t overlay overlay -o {layers} /etc; exec "$@"'
        words = ("unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh")
        return dataclasses.replace(self.settings, podman=(*words, *self.podman))

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


class BerthMachine(PodmanMachine):
    """The same, with Berth's image, of the libraries that tasks need; its layers are kept."""

    def __init__(self) -> None:
        super().__init__()
        home = self._folder / "home"
        home.mkdir()
        own_image.LAYERS.mkdir(parents=True, exist_ok=True)
        (home / "layers").symlink_to(own_image.LAYERS)
        try:
            machine = podman.Podman(self.podman)
            pushed = load_own(home, "berth:test", machine, os.environ, own_image.TRAINING)
        except BaseException:
            self.close()
            raise
        self.image = pushed.image

    @property
    def settings(self) -> ContainerSettings:
        """Settings of an executor with this image, and else those of an installation."""
        return ContainerSettings(image=self.image, podman=self.podman, options=_LIMITS)


@pytest.fixture(scope="session")
def berth_machine() -> Iterator[BerthMachine]:
    """A machine whose podman has Berth's image, for the tests of this process."""
    required("mmdebstrap")
    made = BerthMachine()
    yield made
    made.close()


def required(*programs: str) -> None:
    """Skip a test where podman, or another program, is missing; fail in CI."""
    absent = [name for name in programs if shutil.which(name) is None]
    why = why_not() or (f"not run: {', '.join(absent)} not installed" if absent else "")
    if why:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
