"""Files that survive a crash, and the documents in an attempt's folder. Standard library only.

    attempts/ATTEMPT_ID/
      order.json    what was asked            launch.json   what the shim needs of it
      claim         who runs it, written once shim.log      faults of the shim itself
      inputs/       outputs of upstream tasks outputs/      what the task writes
      work/         working folder            log.txt       output of the command
      signals.jsonl measured values           endpoint.json where a server listens
      stop          that it was asked to end  exit.json     how the command ended
      state.json    the final observation
      container     its name               podman/pid    its first process, as seen from here

`executors.local.shim` imports this module, so it stays free of everything heavy.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Literal, NotRequired, TypedDict, cast, get_args

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
SHIM_LOG = "shim.log"
CONTAINER = "container"
PODMAN = "podman"
CONTAINER_PID = f"{PODMAN}/pid"

BYTES_MAX = 16 << 20
"""Largest document that is read: a task may write whatever it likes into its folder."""
_NUMBER_MOST = 1e15
_SAID_CHARACTERS = 300
_NOT_PLAIN = {errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENOTDIR, errno.EACCES}

Ending = Literal["exited", "signalled", "memory", "timeout", "stopped", "refused"]
"""Who ended a command: itself, a foreign signal, a limit, the executor, or it never began."""


class NotPlainError(OSError):
    """Where a file should be is a link, a folder, a pipe, or nothing that its owner may read."""


class Launch(TypedDict):
    """What the shim needs to know. Sizes in bytes, times in seconds; 0 or None: no limit.

    down: file whose existence means that the cluster refuses; started_log: file that gets a
    line for every real start. gpus: numbers of those that the task may see. inputs: digest of what
    comes in from each task before it. commit: of the pipeline's folder, "" where that is no
    checkout.
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
    gpus: NotRequired[list[int]]
    inputs: NotRequired[dict[str, str]]
    commit: NotRequired[str]


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
    temporary = _temporary(path)
    try:
        with temporary.open("xb") as file:
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
    temporary = _temporary(path)
    try:
        with temporary.open("xb") as file:
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


def _temporary(path: Path) -> Path:
    """Return a name beside a file that nobody can foresee, and so put a link there."""
    return path.with_name(f".{path.name}.{os.urandom(8).hex()}")


def append_durably(path: Path, line: str) -> None:
    """Append one line, durably. Lines under 4 KiB from several processes do not mix.

    Raises:
        NotPlainError: when there is something else than a file.
    """
    descriptor = _open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, f"{line}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def dump(document: Mapping[str, object]) -> bytes:
    """Return a document as JSON text."""
    return json.dumps(document, sort_keys=True).encode()


def open_plain(path: Path) -> BinaryIO:
    """Open a file for reading, and nothing else that a task may have put in its place.

    Raises:
        NotPlainError: when it is a link, which may lead to a secret, a pipe, which may never end,
            a folder, below what is none, or shut to its owner. OSError: when it cannot be opened.
    """
    return os.fdopen(_open(path, os.O_RDONLY), "rb")


def _open(path: Path, flags: int) -> int:
    wanted = flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, wanted, 0o644)
    except OSError as error:
        if error.errno in _NOT_PLAIN:
            raise NotPlainError(errno.EINVAL, "it is no plain file", str(path)) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotPlainError(errno.EINVAL, "it is no plain file", str(path))
    return descriptor


def walk(top: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield what is below a folder, by its path from there, in no order; links are not followed.

    However deep a task made it.

    Raises:
        OSError: when a folder cannot be read.
    """
    folders = [""]
    while folders:
        folder = folders.pop()
        with os.scandir(top / folder) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                yield name, entry


def remove(folder: Path) -> None:
    """Remove a folder with all that is below it; nothing when it is not there.

    By `rm`, which goes as deep as a task may: `shutil.rmtree` ends in a RecursionError on the way.

    Raises:
        OSError: when something stays.
    """
    said = _run("rm", "-rf", folder)
    if said is not None:  # a folder that its owner may not write
        _run("chmod", "-R", "u+rwX", folder)
        said = _run("rm", "-rf", folder)
    if said is not None:
        raise OSError(errno.EIO, said, str(folder))


def _run(program: str, options: str, *rest: str | Path) -> str | None:
    """Return None when a program did what it should, or else the end of what it said."""
    command = [program, options, *map(str, rest)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stderr.strip()[-_SAID_CHARACTERS:] if done.returncode else None


def parse(data: bytes) -> object:
    """Return what a JSON text says, where it can be written again.

    Raises:
        ValueError: when it is no JSON, nested too deeply, or has half a character.
    """
    try:
        value: object = json.loads(data)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value


def read(path: Path) -> object:
    """Return what a plain file of JSON says.

    Raises:
        ValueError: as `parse`, or when it is larger than `BYTES_MAX`. NotPlainError, OSError: as
            `open_plain`.
    """
    with open_plain(path) as file:
        data = file.read(BYTES_MAX + 1)
    if len(data) > BYTES_MAX:
        raise ValueError(f"it has over {BYTES_MAX} bytes")
    return parse(data)


def load(path: Path) -> dict[str, object] | None:
    """Return a JSON object, or None when the file is not there or holds no such thing."""
    try:
        value = read(path)
    except (FileNotFoundError, NotPlainError, ValueError):
        return None
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def read_claim(folder: Path) -> Claim | None:
    """Return who claimed an attempt, or None.

    A shim in a container calls itself 1, so the process id is the one that podman wrote down.
    """
    found = load(folder / CLAIM)
    if found is None or not _fits(found, {"pid": int, "identity": str, "at": float}):
        return None
    claim = cast("Claim", found)
    if claim["pid"] and (folder / CONTAINER).exists():
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
    found = load(folder / EXIT)
    if found is None or not _fits(found, _EXIT) or found["ending"] not in get_args(Ending):
        return None
    code, lines = found.get("code"), found.get("last_lines", [])
    if not _is(code, int) and code is not None:
        return None
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        return None
    return cast("Exit", found)


def read_launch(folder: Path) -> Launch | None:
    """Return what an attempt's shim was told, or None."""
    found = load(folder / LAUNCH)
    if found is None or not _fits(found, {"grace_seconds": float, "folder": str}):
        return None
    is_whole = _are_numbers(found.get("cpus")) and _are_numbers(found.get("gpus", []))
    return cast("Launch", found) if is_whole else None


_EXIT = {
    "ending": str,
    "message": str,
    "started_at": float,
    "ended_at": float,
    "cpu_seconds": float,
    "memory_bytes_peak": int,
}


def _fits(document: Mapping[str, object], kinds: Mapping[str, type]) -> bool:
    """Whether a document has such values: a task may have written it."""
    return all(_is(document.get(name), kind) for name, kind in kinds.items())


def _are_numbers(value: object) -> bool:
    return isinstance(value, list) and all(_is(each, int) for each in value)


def _is(value: object, kind: type) -> bool:
    if kind is str:
        return isinstance(value, str)
    is_number = isinstance(value, int) or (kind is float and isinstance(value, float))
    return is_number and abs(cast("float", value)) < _NUMBER_MOST
