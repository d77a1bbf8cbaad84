"""Servers of images, started without a container, that are asked before anything is promoted.

A server runs the program of the image's runtime layer with the libraries of the image's own layers
and none of ours (`python -S`), with limits on memory and time. To load libraries takes longer than
all else between a push and its answer, so after each delivery one is started ahead: it has the
libraries loaded and waits for the folder of a model. Each serves one model and then ends, so no
model meets what another one left.
"""

from __future__ import annotations

import contextlib
import re
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from engine.model.errors import DamagedError, NotFoundError
from executors.packaging.repository import gates
from executors.packaging.repository.settings import Format
from executors.packaging.runtime import serve

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
"""Version of the Python that runs here."""
_AHEAD_MAX = 2
"""Waiting servers; each holds the libraries of one kind of model in memory."""
_SECONDS_MAX = 120
_MEMORY_BYTES_MAX = 8 << 30
_SAID_BYTES = 500
_MODULES = {
    Format.ONNX: ("numpy", "onnxruntime"),
    Format.SKOPS: ("numpy", "skops.io"),
    Format.TORCH: ("numpy", "torch"),
    Format.SERIES: ("numpy", "statsmodels.tsa.arima.model"),
    Format.PYTHON: ("numpy",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a server needs of an image: kind of its model, libraries, version of Python."""

    kind: Format
    libraries: tuple[Path, ...]
    version: str


class ImageServer:
    """The server of an image: begun, told of a model, asked, ended. Not for several threads.

    Raises:
        NotFoundError: when this machine has no Python of the image's version.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        interpreter = _interpreter(surroundings.version)
        self._folder = tempfile.TemporaryDirectory(prefix="berth-asked-")
        home = Path(self._folder.name)
        self._said = home / "said.txt"
        variables = gates.variables(home, None)
        if surroundings.libraries:
            variables["PYTHONPATH"] = ":".join(map(str, surroundings.libraries))
        command = [interpreter, "-S", str(Path(serve.__file__)), "wait"]
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [*command, *_MODULES[surroundings.kind]],
                env={**variables, "HOST": "127.0.0.1", "PORT": "0"},
                cwd=home,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
            )
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(self._process.pid, resource.RLIMIT_CPU, (_SECONDS_MAX, _SECONDS_MAX))
            limit = (_MEMORY_BYTES_MAX, _MEMORY_BYTES_MAX)
            resource.prlimit(self._process.pid, resource.RLIMIT_AS, limit)
            resource.prlimit(self._process.pid, resource.RLIMIT_CORE, (0, 0))

    @property
    def is_alive(self) -> bool:
        """Whether it waits or serves."""
        return self._process.poll() is None

    def begin(self, files: Mapping[str, bytes]) -> None:
        """Let it load the model in these files of the model's layer; does not wait for it."""
        folder = Path(self._folder.name) / "models"
        gates.lay_out(files, folder)
        stdin = cast("IO[bytes]", self._process.stdin)
        # It may have ended meanwhile; `endpoint` tells with what words.
        with contextlib.suppress(BrokenPipeError):
            stdin.write(f"{folder}\n".encode())
            stdin.flush()

    def endpoint(self) -> str:
        """Wait until it serves; return its address.

        Raises:
            DamagedError: when it ends, or does not serve in time; with its last words.
        """
        stdout = cast("IO[bytes]", self._process.stdout)
        end = time.monotonic() + _SECONDS_MAX
        line = b""
        while not line.endswith(b"\n"):
            came, _, _ = select.select([stdout], [], [], max(0.0, end - time.monotonic()))
            part = stdout.read1(4096) if came else b""  # type: ignore[attr-defined]
            if not part:
                break
            line += part
        found = re.search(rb"at port (\d+)", line)
        if found is None:
            raise DamagedError(
                f"the image does not serve: {self._words()}", fix="repair it, then push again"
            )
        return f"http://127.0.0.1:{found[1].decode()}"

    def stop(self) -> None:
        """Let it end, whatever it does; does not wait for it."""
        self._process.kill()

    def end(self) -> None:
        """End it, and put away what it had."""
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def _words(self) -> str:
        self._process.kill()
        self._process.wait()
        said = self._said.read_bytes()[-_SAID_BYTES:].decode(errors="replace").strip()
        return said or f"it does not answer within {_SECONDS_MAX} s"


class ImageServers:
    """Servers of images, some started ahead. May be used from several threads."""

    def __init__(self) -> None:
        self._ahead: dict[Surroundings, ImageServer] = {}
        self._ending: list[ImageServer] = []
        self._guard = threading.Lock()

    def take(self, surroundings: Surroundings) -> ImageServer:
        """Return a server that waits for a model, begun ahead where there is one; end it.

        Raises:
            NotFoundError: as `ImageServer`.
        """
        with self._guard:
            found = self._ahead.pop(surroundings, None)
        if found is not None and found.is_alive:
            return found
        if found is not None:
            found.end()
        return ImageServer(surroundings)

    def give_back(self, server: ImageServer) -> None:
        """Let a server end, without waiting for it; `put_away` does."""
        server.stop()
        with self._guard:
            self._ending.append(server)

    def prepare(self, surroundings: Surroundings) -> None:
        """Begin a server for the next model of this kind; the one begun longest ago gives way."""
        with self._guard:
            if surroundings in self._ahead:
                return
            while len(self._ahead) >= _AHEAD_MAX:
                self._ahead.pop(next(iter(self._ahead))).end()
            self._ahead[surroundings] = ImageServer(surroundings)

    def close(self) -> None:
        """End all that wait."""
        with self._guard:
            self._put_away()
            while self._ahead:
                self._ahead.popitem()[1].end()

    def put_away(self) -> None:
        """Wait for servers that were given back, and remove what they had."""
        with self._guard:
            self._put_away()

    def _put_away(self) -> None:
        while self._ending:
            self._ending.pop().end()


def _interpreter(version: str) -> str:
    """Return a Python of a version on this machine.

    Raises:
        NotFoundError: when there is none.
    """
    if version == RUNNING:
        return sys.executable
    found = shutil.which(f"python{version}")
    if found is None:
        message = f"the image has Python {version}, which this machine has not, so it is not asked"
        fix = f"install python{version}, or write `ask_image = false` below [tests] of model.toml"
        raise NotFoundError(message, fix=fix)
    return found
