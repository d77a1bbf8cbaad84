"""The tests of a model that stand between a push and its image.

An ONNX model is data and is asked in this process. Everything else can run code: it is asked in a
process of its own, with the libraries of its own layer, limits on memory and time, and nothing of
the engine's environment.
"""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from engine.model.errors import DamagedError, RefusedError
from executors.packaging.repository.package import Package
from executors.packaging.repository.settings import Format
from executors.packaging.runtime import serve

_REPEATS = 20
_SECONDS_MAX = 120
_MEMORY_BYTES_MAX = 8 << 30
_SAID_CHARACTERS = 500
_SERVER = Path(serve.__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One test: what was measured, what is allowed, and whether it holds."""

    name: str
    holds: bool
    said: str


def judge(package: Package, site: Path | None) -> tuple[Gate, ...]:
    """Return all tests of a package.

    site: folder of the model's libraries; None where it is asked in this process.
    """
    given = package.settings
    size_mib = package.size_bytes / 2**20
    gates = [
        Gate(
            name="size",
            holds=size_mib <= given.size_mib,
            said=f"{size_mib:.2f} MiB, at most {given.size_mib:g}",
        ),
        *_loss(package.history),
    ]
    try:
        found = ask(package, site)
    except (DamagedError, RefusedError) as error:
        return (*gates, Gate(name="loads", holds=False, said=error.message))
    return (*gates, *_answers(package, found))


def ask(package: Package, site: Path | None) -> Mapping[str, Any]:
    """Return what a model answers to its examples, and how long it takes.

    Raises:
        DamagedError: when it cannot be loaded or does not answer; with its words.
    """
    with tempfile.TemporaryDirectory(prefix="berth-model-") as scratch:
        folder = Path(scratch)
        lay_out(package.files, folder)
        if package.settings.format is Format.ONNX and site is None:
            return _here(folder, package.settings.latency_ms_p99)
        return _apart(folder, site, package.settings.latency_ms_p99)


def lay_out(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files of a package below a folder."""
    for name, data in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _here(folder: Path, limit_ms: float) -> Mapping[str, Any]:
    try:
        return serve.measure(serve.Model(folder), _REPEATS, limit_ms)
    except Exception as error:  # onnxruntime's errors share no base class
        raise DamagedError(f"the model cannot be loaded: {error}", fix="export it again") from error


def _limit() -> None:  # pragma: no cover - runs in the child, between fork and exec
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS_MAX, _SECONDS_MAX))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES_MAX, _MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def variables(folder: Path, site: Path | None) -> dict[str, str]:
    """Return the environment in which a model of somebody's runs: nothing of ours is in it."""
    found = {"BERTH_MODEL_FOLDER": str(folder), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    found |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "HOME": str(folder)}
    return {**found, "PYTHONPATH": str(site)} if site is not None else found


def _apart(folder: Path, site: Path | None, limit_ms: float) -> Mapping[str, Any]:
    command = [sys.executable, str(_SERVER), "check", str(_REPEATS), str(limit_ms)]
    try:
        done = subprocess.run(
            command,
            env=variables(folder, site),
            cwd=folder,
            capture_output=True,
            timeout=_SECONDS_MAX,
            check=False,
            preexec_fn=_limit,
        )
    except subprocess.TimeoutExpired as error:
        message = f"the model does not answer its examples within {_SECONDS_MAX} s"
        raise DamagedError(message, fix="make it smaller or faster") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-_SAID_CHARACTERS:]
        raise DamagedError(f"the model fails: {said}", fix="repair it, then push again")
    try:
        return cast("dict[str, Any]", json.loads(done.stdout.splitlines()[-1]))
    except (ValueError, IndexError) as error:
        raise DamagedError("the model ends the process before it answers") from error


def _answers(package: Package, found: Mapping[str, Any]) -> Sequence[Gate]:
    """Return the tests that look at answers."""
    outputs = cast("list[dict[str, Any]]", found["outputs"])
    rows = len(package.example["rows"])
    bad = [o["name"] for o in outputs if any(not _finite(value) for value in o["data"])]
    odd = [o["name"] for o in outputs if not o["shape"] or o["shape"][0] != rows]
    wrong = str(found["error"])
    times = sorted(found["latencies_ms"])
    p99 = times[math.ceil(0.99 * len(times)) - 1]
    limit = package.settings.latency_ms_p99
    names = ", ".join(str(output["name"]) for output in outputs)
    return (
        Gate(
            name="schema",
            holds=not odd,
            said=f"outputs {names}" if not odd else f"{odd} do not answer {rows} rows",
        ),
        Gate(
            name="not a number",
            holds=not bad,
            said="none" if not bad else f"outputs {bad} hold NaN or infinity",
        ),
        Gate(name="expected answers", holds=not wrong, said=wrong or f"all of {rows} rows"),
        Gate(name="latency", holds=p99 <= limit, said=f"p99 {p99:.3f} ms, at most {limit:g}"),
    )


def _finite(value: object) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _loss(history: Mapping[str, Any] | None) -> Sequence[Gate]:
    """Return whether the loss fell in training, where the repository tells of one."""
    if history is None:
        return ()
    losses: Any = history.get("loss")
    fine = (
        isinstance(losses, list)
        and len(losses) > 1
        and all(isinstance(value, (int, float)) and math.isfinite(value) for value in losses)
    )
    if not fine:
        said = "history.json holds no `loss` of two or more numbers"
        return (Gate(name="loss falls", holds=False, said=said),)
    first, last = float(losses[0]), float(losses[-1])
    said = f"{first:.4g} to {last:.4g} in {len(losses)} steps"
    return (Gate(name="loss falls", holds=last < first, said=said),)
