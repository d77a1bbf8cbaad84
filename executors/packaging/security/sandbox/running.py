"""Starts a confined process for one call, and reads its answer with distrust."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from engine.model.errors import (
    BerthError,
    DamagedError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from executors.packaging.security.sandbox import pipes
from executors.packaging.security.sandbox.confinement import Bounds

_INSIDE = "executors.packaging.security.sandbox.inside"
ROOT = Path(__file__).resolve().parents[4]
"""Folder of our packages."""
INTERPRETER = (sys.executable, "-P", "-s", "-B")
_ANSWER_BYTES_MAX = 16 << 20
_SAID_BYTES_MAX = 2_000
_ENDING_SECONDS = 10.0
_LOADING_SECONDS = 60.0
_KINDS: Mapping[str, type[BerthError]] = {
    "NotFoundError": NotFoundError,
    "RefusedError": RefusedError,
    "DamagedError": DamagedError,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A function of ours, `module:name`, with arguments that are JSON.

    reads, writes: what it may open; nothing else is open to it where Landlock is.
    """

    function: str
    arguments: Mapping[str, Any]
    reads: Sequence[Path] = ()
    writes: Sequence[Path] = ()
    bounds: Bounds = field(default_factory=Bounds)
    seconds: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a call returned, and how it was confined; `missing` could not be applied."""

    value: Any
    applied: tuple[str, ...]
    missing: tuple[str, ...]


class Begun:
    """A process that has imported a function of ours and waits for its one call.

    Raises:
        UnreachableError: when it cannot be started.
    """

    def __init__(self, function: str) -> None:
        # Nothing of this process's environment: it holds passphrases and tokens.
        environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)}
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - `end` closes it
        try:
            self._process = subprocess.Popen(
                [*INTERPRETER, "-m", _INSIDE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                env=environment,
                cwd="/",
                bufsize=0,
            )
        except OSError as error:
            self._said.close()
            raise UnreachableError(f"no process could be started: {error}") from error
        self._is_loaded = False
        self._tell({"call": function, "root": str(ROOT)})

    @property
    def is_alive(self) -> bool:
        """Whether it waits, or is at work."""
        return self._process.poll() is None

    def await_loaded(self) -> None:
        """Wait until it has imported its function, has ended, or took very long."""
        stdout = cast("IO[bytes]", self._process.stdout)
        if not self._is_loaded:
            with contextlib.suppress(TimeoutError):
                pipes.read(stdout, seconds=_LOADING_SECONDS, bytes_max=1, until=b"\n")
        self._is_loaded = True

    def make(self, call: Call) -> Answer:
        """Make the call, whose function is the one that it was begun for; it has ended then.

        Raises:
            BerthError: what the function raised.
            DamagedError: when it was ended by a limit, or gave no answer.
        """
        told = {
            "arguments": dict(call.arguments),
            "reads": [str(path.resolve()) for path in call.reads],
            "writes": [str(path.resolve()) for path in call.writes],
            "bounds": dataclasses.asdict(call.bounds),
        }
        self._tell(told)
        stdout = cast("IO[bytes]", self._process.stdout)
        try:
            data = pipes.read(stdout, seconds=call.seconds, bytes_max=_ANSWER_BYTES_MAX)
            code = self._process.wait(_ENDING_SECONDS)
            self._said.seek(0)
            return _answer(code, data, self._said.read(_SAID_BYTES_MAX))
        except (TimeoutError, subprocess.TimeoutExpired) as error:
            raise DamagedError(f"it takes longer than {call.seconds:g} s") from error
        finally:
            self.end()

    def stop(self) -> None:
        """Let it end, whatever it does; does not wait for it."""
        self._process.kill()

    def end(self) -> None:
        """End it."""
        self._process.kill()
        with self._process:
            self._said.close()

    def _tell(self, document: Mapping[str, Any]) -> None:
        stdin = cast("IO[bytes]", self._process.stdin)
        # It may have ended meanwhile; its answer, or that there is none, tells.
        with contextlib.suppress(BrokenPipeError):
            stdin.write(json.dumps(document).encode() + b"\n")


def run(call: Call) -> Answer:
    """Make a call in a process of its own.

    Raises:
        BerthError: what the function raised.
        DamagedError: when it was ended by a limit, or gave no answer.
        UnreachableError: when the process cannot be started.
    """
    return Begun(call.function).make(call)


def _answer(code: int, data: bytes, said: bytes) -> Answer:
    """Return the answer of a process that has ended."""
    if code < 0:
        raise DamagedError(pipes.why(code), fix="do not use it, or raise the limits")
    try:
        found: Any = json.loads(data)
        applied, missing = (tuple(map(str, found[key])) for key in ("applied", "missing"))
        fault = found.get("error")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        last = said.decode("utf-8", "replace").strip().splitlines()[-1:]
        message = f"the confined process gave no answer (exit {code}): {' '.join(last)}"
        raise DamagedError(message) from error
    if fault:
        kind = _KINDS.get(str(fault.get("kind")), DamagedError)
        raise kind(str(fault.get("message")), fix=str(fault.get("fix", "")))
    return Answer(value=found.get("value"), applied=applied, missing=missing)
