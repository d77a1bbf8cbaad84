"""Only one engine works on a data folder: a lock that ends with its process, even by kill -9."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from engine.model.errors import RefusedError

_NAME = "engine.lock"


class FolderLock:
    """A held lock on a data folder; made by `lock_folder`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Let another engine have the folder; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def lock_folder(home: Path) -> FolderLock:
    """Lock a data folder for this process; the folder is made when it is missing.

    The lock is `flock(2)` on `HOME/engine.lock`, which also holds the pid. Child processes do
    not inherit it.

    Raises:
        RefusedError: when another engine holds it; names its pid and the folder.
    """
    home.mkdir(parents=True, exist_ok=True)
    path = home / _NAME
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise RefusedError(
            f"another engine (pid {pid}) works on the data folder {str(home)!r}",
            fix=f"stop it (kill {pid}), or give this engine a folder of its own: BERTH_HOME=...",
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    return FolderLock(descriptor)
