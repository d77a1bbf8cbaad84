"""Debian's docker-registry as a process on a port that stays its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType

from tests.support.clusters import programs

LIMIT_SECONDS = 120.0
PROGRAM = shutil.which("docker-registry")
_CONFIG = """\
version: 0.1
log: {{level: info}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}"}}
{auth}
"""


def config(root: Path, port: int, auth: str = "") -> str:
    """Return the configuration of a registry that keeps its images in a folder."""
    return _CONFIG.format(root=root, port=port, auth=auth)


class RegistryProcess:
    """A registry that keeps its images below a folder.

    htpasswd: a file of logins; None lets everybody in.
    """

    def __init__(self, folder: Path, htpasswd: Path | None = None) -> None:
        self._folder = folder
        self._auth = ""
        if htpasswd is not None:
            self._auth = f"auth: {{htpasswd: {{realm: berth, path: {htpasswd}}}}}"
        self.host = ""

    def __enter__(self) -> RegistryProcess:
        # None of those that the kernel gives away: a registry that was killed comes back on it.
        self.start(programs.free_port())
        return self

    def start(self, port: int) -> None:
        """Start it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / "config.yml"
        path.write_text(config(self._folder / "data", port, self._auth), "utf-8")
        log = self._folder / "log.txt"
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [str(PROGRAM), "serve", str(path)], stdout=file, stderr=file
            )
        end = time.monotonic() + LIMIT_SECONDS
        while not (found := re.search(r"listening on ([\d.]+:\d+)", log.read_text("utf-8"))):
            assert self.process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < end, "the registry did not come up"
            time.sleep(0.01)
        self.host = found[1]

    def kill(self) -> None:
        """Kill it, as a machine that loses power does."""
        self.process.kill()
        self.process.wait(LIMIT_SECONDS)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.kill()
