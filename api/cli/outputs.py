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
            _put(path.resolve(), data)
    except OSError as error:
        message = f"{str(path)!r} cannot be written: {error.strerror}"
        raise RefusedError(message, fix="name another place, or make room there") from error


def _put(path: Path, data: bytes) -> None:
    """Write beside the file, then put that in its place: a full disk leaves no half of it."""
    draft = path.with_name(f".{path.name[:100]}.{os.getpid()}")
    try:
        draft.write_bytes(data)
        if path.exists():
            draft.chmod(path.stat().st_mode & 0o777)
        draft.replace(path)
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()
