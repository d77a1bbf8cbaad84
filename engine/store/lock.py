"""Who works on a data folder: one engine, or replicas of one. Locks end with their process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from engine.model.errors import BerthError, RefusedError, RetryableError

_NAME = "engine.lock"


class FolderLock:
    """A held lock on a data folder; made by `lock_folder`."""

    def __init__(self, *descriptors: int) -> None:
        self._descriptors = descriptors

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The open files that hold it."""
        return self._descriptors

    def release(self) -> None:
        """Let another engine have the folder; a second call does nothing."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = ()

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def lock_folder(home: Path, replica: str = "") -> FolderLock:
    """Lock a data folder for this process; the folder is made when it is missing.

    The lock is `flock(2)` on `HOME/engine.lock`, which also holds the pid. Child processes do
    not inherit it. Replicas share that lock, and each has one of its own, `engine-NAME.lock`.

    Raises:
        RefusedError: when another engine holds it; names its pid and the folder.
        RetryableError: when the folder cannot be written, as on a full disk.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(home, error) from error
    if not replica:
        return FolderLock(_locked(home, _NAME, fcntl.LOCK_EX))
    shared = FolderLock(_locked(home, _NAME, fcntl.LOCK_SH))
    try:
        own = _locked(home, f"engine-{replica}.lock", fcntl.LOCK_EX)
    except BerthError:
        shared.release()
        raise
    return FolderLock(*shared.descriptors, own)


def _locked(home: Path, name: str, kind: int) -> int:
    path = home / name
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        pid = f"{os.getpid()}\n".encode("ascii")
        os.pwrite(descriptor, pid, 0)
        os.ftruncate(descriptor, len(pid))
    except BlockingIOError as error:
        pid_there = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise RefusedError(
            f"another engine (pid {pid_there}) works on the data folder {str(home)!r}",
            fix=f"stop it (kill {pid_there}), give this engine a folder of its own "
            "(BERTH_HOME=...), or start each of them with a name of its own: BERTH_REPLICA=...",
        ) from error
    except OSError as error:
        os.close(descriptor)
        raise _unwritable(path, error) from error
    return descriptor


def _unwritable(path: Path, error: OSError) -> RetryableError:
    return RetryableError(
        f"{str(path)!r} cannot be written: {error.strerror}",
        fix="make room on its disk, or set BERTH_HOME to a folder that may be written",
    )
