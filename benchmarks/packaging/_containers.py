"""Podman and buildah where they are installed, with storage of their own.

Under hybrid cgroups crun refuses to run anything; a mount namespace without the unified hierarchy
helps, and needs no change of the machine.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

_UNIFIED = Path("/sys/fs/cgroup/unified")
_LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
SECONDS_MAX = 300.0


class Containers:
    """Runs podman or buildah on a storage below `folder`.

    The storage itself stands in a short path of its own, for sockets have short names.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._folder = Path(tempfile.mkdtemp(prefix="berth-c-"))

    @staticmethod
    def has(program: str) -> bool:
        """Returns whether a program is installed."""
        return shutil.which(program) is not None

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Runs a command; raises when it fails."""
        storage = ["--root", str(self._folder / "r"), "--runroot", str(self._folder / "t")]
        command = [self._program, *storage, *arguments]
        if _UNIFIED.is_dir():
            script = 'umount "$0"; exec "$@"'
            command = [
                *("unshare", "-m", "--propagation", "private", "sh", "-c", script),
                *(str(_UNIFIED), *command),
            ]
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{self._program} {' '.join(arguments[:3])}: {done.stderr[-2000:]}")
        return done

    def start(self, image: str, port: int) -> str:
        """Starts an image on the host's network; returns the container's id."""
        options = ["-d", "--network", "host", "--cgroups=disabled", *_LIMITS]
        variables = ["-e", f"PORT={port}", "-e", "HOST=127.0.0.1"]
        plain = ["--tls-verify=false"]
        return self.run("run", *options, *plain, *variables, image).stdout.strip()

    def remove(self, container: str) -> None:
        """Ends and removes a container; podman refuses one that ends just then, so twice."""
        try:
            self.run("rm", "-f", "-t", "1", container)
        except RuntimeError:
            self.run("rm", "-f", container)

    def close(self) -> None:
        """Removes the storage."""
        command = [str(shutil.which("umount")), "-q", "-R", str(self._folder / "r" / "overlay")]
        subprocess.run(command, check=False)
        shutil.rmtree(self._folder, ignore_errors=True)
