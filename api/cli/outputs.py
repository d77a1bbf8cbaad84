"""Files that commands write for people: whole or not at all, whatever the disk says."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def write(path: Path, content: str | bytes, *, new: bool = False) -> None:
    """Write a file; what stood there before stays until all of the new one does.

    new: refuse to write where something stands already.

    Raises:
        RefusedError: when it cannot be written, or must be new and is not; nothing was changed.
    """
    from engine.model.errors import RefusedError

    data = content.encode() if isinstance(content, str) else content
    if new and os.path.lexists(path):
        message = f"{str(path)!r} is there already; nothing was written"
        raise RefusedError(message, fix="choose another name, or remove it")
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)  # a device or a pipe, whose place nothing can take
        else:
            _put(path.resolve(), data, new=new)
    except OSError as error:
        message = f"{str(path)!r} cannot be written: {error.strerror}"
        raise RefusedError(message, fix="name another place, or make room there") from error


def _put(path: Path, data: bytes, *, new: bool) -> None:
    """Write beside the file, then put that in its place: a full disk leaves no half of it.

    new: what came to stand there meanwhile is not replaced, where the file system has links.
    """
    draft = path.with_name(f".{path.name[:100]}.{os.getpid()}")
    try:
        draft.write_bytes(data)
        if path.exists():
            draft.chmod(path.stat().st_mode & 0o777)
        if not (new and _linked(draft, path)):
            draft.replace(path)
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()


def _linked(draft: Path, path: Path) -> bool:
    """Give a file a second name that nothing has; False where no file can have two.

    Raises:
        FileExistsError: when something has that name.
    """
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True
