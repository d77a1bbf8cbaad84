"""Files that survive a crash, and the documents in an attempt's folder. Standard library only.

    attempts/ATTEMPT_ID/
      order.json    what was asked            launch.json   what the shim needs of it
      claim         who runs it, written once shim.log      faults of the shim itself
      inputs/       outputs of upstream tasks outputs/      what the task writes
      work/         working folder            log.txt       output of the command
      signals.jsonl measured values           endpoint.json where a server listens
      stop          that it was asked to end  exit.json     how the command ended
      state.json    the final observation
      container     name of its container  container.pid  its first process, as seen from here

`executors.local.shim` imports this module, so it stays free of everything heavy.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NotRequired, TypedDict, cast

ORDER = "order.json"
LAUNCH = "launch.json"
PARAMETERS = "parameters.json"
CLAIM = "claim"
INPUTS = "inputs"
OUTPUTS = "outputs"
WORK = "work"
LOG = "log.txt"
SIGNALS = "signals.jsonl"
ENDPOINT = "endpoint.json"
STOP = "stop"
EXIT = "exit.json"
STATE = "state.json"
FORGOTTEN = "forgotten"
SHIM_LOG = "shim.log"
CONTAINER = "container"
CONTAINER_PID = "container.pid"

Ending = Literal["exited", "signalled", "memory", "timeout", "stopped", "refused"]
"""Who ended a command: itself, a foreign signal, a limit, the executor, or it never began."""


class Launch(TypedDict):
    """What the shim needs to know. Sizes in bytes, times in seconds; 0 or None: no limit.

    down: file whose existence means that the cluster refuses; started_log: file that gets a
    line for every real start.
    """

    attempt_id: str
    command: list[str]
    folder: str
    memory_bytes: int
    cpus: list[int]
    time_limit_seconds: float | None
    grace_seconds: float
    down: str
    started_log: str


class Claim(TypedDict):
    """Who runs an attempt: process id with its identity, so that a reused id is told apart."""

    pid: int
    identity: str
    at: float


class Exit(TypedDict):
    """How a command ended. `code` is negative for a signal; memory in bytes, times in seconds.

    last_lines: of its standard error, oldest first; absent in documents of older versions.
    """

    ending: Ending
    code: int | None
    message: str
    started_at: float
    ended_at: float
    cpu_seconds: float
    memory_bytes_peak: int
    last_lines: NotRequired[list[str]]


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file by new content: after a crash either the old or the new one is there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_once(path: Path, data: bytes) -> bool:
    """Create a file with its whole content, durably; false when it is there already.

    A link, unlike `O_EXCL`, never shows an empty file to somebody who reads at the wrong time.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def append_durably(path: Path, line: str) -> None:
    """Append one line, durably. Lines under 4 KiB from several processes do not mix."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{line}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def dump(document: Mapping[str, object]) -> bytes:
    """Return a document as JSON text."""
    return json.dumps(document, sort_keys=True).encode()


def load(path: Path) -> dict[str, object] | None:
    """Return a JSON object, or None when the file is not there or holds no such thing."""
    try:
        value: object = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def read_claim(folder: Path) -> Claim | None:
    """Return who claimed an attempt, or None.

    A shim in a container calls itself 1, so the process id is the one that podman wrote down.
    """
    claim = cast("Claim | None", load(folder / CLAIM))
    if claim is not None and claim["pid"] and (folder / CONTAINER).exists():
        claim["pid"] = _container_pid(folder)
    return claim


def _container_pid(folder: Path) -> int:
    """Return the id of a container's first process on this machine; 0 is nobody's."""
    try:
        return int((folder / CONTAINER_PID).read_text())
    except (FileNotFoundError, ValueError):
        return 0


def read_exit(folder: Path) -> Exit | None:
    """Return how an attempt's command ended, or None."""
    return cast("Exit | None", load(folder / EXIT))


def read_launch(folder: Path) -> Launch | None:
    """Return what an attempt's shim was told, or None."""
    return cast("Launch | None", load(folder / LAUNCH))
