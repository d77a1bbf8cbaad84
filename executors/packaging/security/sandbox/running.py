"""Starts a confined process for one call, and reads its answer with distrust."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.model.errors import (
    BerthError,
    DamagedError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from executors.packaging.security.sandbox.confinement import Bounds

_INSIDE = "executors.packaging.security.sandbox.inside"
_ROOT = Path(__file__).resolve().parents[4]
_ANSWER_BYTES_MAX = 16 << 20
_SAID_BYTES_MAX = 2_000
_KINDS: Mapping[str, type[BerthError]] = {
    "NotFoundError": NotFoundError,
    "RefusedError": RefusedError,
    "DamagedError": DamagedError,
}
_SIGNALS = {
    signal.SIGXCPU: "it needs more processor time than allowed",
    signal.SIGXFSZ: "it writes a larger file than allowed",
    signal.SIGSYS: "it calls what it may not",
    signal.SIGKILL: "it was ended: it needs more than allowed",
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


def run(call: Call) -> Answer:
    """Make a call in a process of its own.

    Raises:
        BerthError: what the function raised.
        DamagedError: when it was ended by a limit, or gave no answer.
        UnreachableError: when the process cannot be started.
    """
    told = {
        "call": call.function,
        "arguments": dict(call.arguments),
        "reads": [str(path.resolve()) for path in call.reads],
        "writes": [str(path.resolve()) for path in call.writes],
        "bounds": dataclasses.asdict(call.bounds),
        "root": str(_ROOT),
    }
    # Nothing of this process's environment: it holds passphrases and tokens.
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(_ROOT)}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        try:
            code = subprocess.run(
                [sys.executable, "-P", "-s", "-B", "-m", _INSIDE],
                input=json.dumps(told).encode(),
                stdout=out,
                stderr=said,
                env=environment,
                timeout=call.seconds,
                check=False,
                cwd="/",
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise DamagedError(f"it takes longer than {call.seconds:g} s") from error
        except OSError as error:
            raise UnreachableError(f"no process could be started: {error}") from error
        out.seek(0)
        said.seek(0)
        return _answer(code, out.read(_ANSWER_BYTES_MAX), said.read(_SAID_BYTES_MAX))


def _answer(code: int, data: bytes, said: bytes) -> Answer:
    """Return the answer of a process that has ended."""
    if code < 0:
        why = _SIGNALS.get(signal.Signals(-code), f"it died of signal {-code}")
        raise DamagedError(why, fix="do not use it, or raise the limits")
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
