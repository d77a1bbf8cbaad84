"""A program that runs confined in an empty folder of its own, begun now and told its work later.

It may read itself, its interpreter and the libraries that it is given; it may write its folder and
nothing else. Of our environment it has nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from engine.model.errors import DamagedError, UnreachableError
from executors.packaging.security.sandbox import pipes
from executors.packaging.security.sandbox.confinement import Bounds
from executors.packaging.security.sandbox.running import INTERPRETER, ROOT

BOUNDS = Bounds(memory_bytes=8 << 30, cpu_seconds=120)
_LAUNCH = "executors.packaging.security.sandbox.launch"
_SAID_BYTES = 500
_ENDING_SECONDS = 5.0
"""How long one may take to end that has closed what it answers over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is run: an interpreter of Python with options, a file of ours, its arguments.

    libraries: folders that stand on its path. variables: more of its environment.
    """

    interpreter: Path
    options: Sequence[str] = ()
    file: Path
    arguments: Sequence[str] = ()
    libraries: Sequence[Path] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    bounds: Bounds = BOUNDS


class Apart:
    """A program in a confined process. Not for several threads.

    listening: a socket that it answers over; it cannot make one. Its number stands in the variable
    `BERTH_LISTEN`.

    Raises:
        UnreachableError: when the process cannot be started.
    """

    def __init__(self, program: Program, listening: socket.socket | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="berth-apart-")
        self.home = Path(self._folder.name) / "home"
        self.home.mkdir()
        # Beside its home: a program that may not read it cannot change what we read.
        self._said = tempfile.TemporaryFile(dir=self._folder.name)  # noqa: SIM115 - `end` does
        handed = [listening.fileno()] if listening is not None else []
        told = {
            "bounds": dataclasses.asdict(program.bounds),
            "reads": [str(path) for path in _reads(program)],
            "writes": [str(self.home)],
            "holds_socket": listening is not None,
            "environment": self._environment(program, handed),
        }
        run = [str(program.interpreter), *program.options, str(program.file), *program.arguments]
        try:
            self._process = subprocess.Popen(
                [*INTERPRETER, "-m", _LAUNCH, json.dumps(told), *run],
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)},
                cwd=self.home,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                pass_fds=handed,
                bufsize=0,
            )
        except OSError as error:
            self._said.close()
            self._folder.cleanup()
            raise UnreachableError(f"no process could be started: {error}") from error

    @property
    def is_alive(self) -> bool:
        """Whether it waits, or is at work."""
        return self._process.poll() is None

    def begin(self, files: Mapping[str, bytes], *work: str) -> None:
        """Lay files out in a folder, and tell it that folder and more words; does not wait."""
        folder = self.home / "models"
        lay_out(files, folder)
        stdin = cast("IO[bytes]", self._process.stdin)
        # It may have ended meanwhile; `line` tells with what words.
        with contextlib.suppress(BrokenPipeError):
            stdin.write(json.dumps([str(folder), *work]).encode() + b"\n")

    def line(self, *, seconds: float, bytes_max: int) -> bytes:
        """Wait until it has said a line; return it.

        Raises:
            DamagedError: when it ends before, or says none in time; with its last words.
        """
        stdout = cast("IO[bytes]", self._process.stdout)
        try:
            found = pipes.read(stdout, seconds=seconds, bytes_max=bytes_max, until=b"\n")
        except TimeoutError as error:
            raise DamagedError(str(error), fix="make it smaller or faster") from error
        line, end, _ = found.partition(b"\n")
        if not end:
            raise DamagedError(self._words(), fix="repair it, then push again")
        return line

    def stop(self) -> None:
        """Let it end, whatever it does; does not wait for it."""
        self._process.kill()

    def end(self) -> None:
        """End it, and put away what it had."""
        self._process.kill()
        with self._process:
            self._said.close()
        self._folder.cleanup()

    def _environment(self, program: Program, handed: Sequence[int]) -> dict[str, str]:
        home = str(self.home)
        found = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": home, "TMPDIR": home}
        found |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "LANG": "C.UTF-8"}
        if program.libraries:
            found["PYTHONPATH"] = ":".join(map(str, program.libraries))
        if handed:
            found["BERTH_LISTEN"] = str(handed[0])
        return {**found, **program.variables}

    def _words(self) -> str:
        """Return its last words, and why it ended where that was not by itself."""
        told = ""
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(_ENDING_SECONDS)
            told = pipes.why(code) if code < 0 else ""
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - _SAID_BYTES))
        said = self._said.read(_SAID_BYTES).decode(errors="replace").strip()
        return " ".join(filter(None, (told, said))) or "it ends before it answers"


def lay_out(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files of a package below a folder."""
    for name, data in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _reads(program: Program) -> list[Path]:
    """Return what a program may read beside what all may."""
    real = program.interpreter.resolve()
    return [program.interpreter, real, real.parent.parent / "lib", program.file, *program.libraries]
