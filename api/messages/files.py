"""Files that people name: read whole, with a clear error for what cannot be read."""

from __future__ import annotations

import errno
import gzip
import os
import zlib
from pathlib import Path

from engine.model.errors import Fault, InvalidInputError

_GZIP = b"\x1f\x8b"
_UNPACKED_BYTES_MAX = 256 * 1024**2


def read_text(path: Path, setting: str) -> str:
    """Return the text of a file that a setting names; one compressed by gzip is unpacked.

    Raises:
        InvalidInputError: when it cannot be read, is damaged, too large, or not UTF-8.
    """
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP):
            content = _unpacked(path)
        return content.decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        strerror = error.strerror if isinstance(error, OSError) else None
        option = f"--{setting} or BERTH_{setting.upper()}"
        message = f"cannot be read: {strerror or error}"
        fault = Fault(code="U012", message=message, fix=f"see {option}")
        raise InvalidInputError(str(path), [fault]) from error


def _unpacked(path: Path) -> bytes:
    """Return what gzip packed; an OSError when that is too large."""
    with gzip.open(path) as file:
        content = file.read(_UNPACKED_BYTES_MAX + 1)
    if len(content) > _UNPACKED_BYTES_MAX:
        raise OSError(errno.EFBIG, f"it holds more than {_UNPACKED_BYTES_MAX >> 20} MiB")
    return content


def copy_privately(source: Path, target: Path) -> list[Path]:
    """Copy the files of a folder, not those of folders in it, with mode 0600; return the copies.

    A copy that is there is replaced in one step. Names that begin with a dot are left out:
    volumes of Kubernetes keep their own there.

    Raises:
        InvalidInputError: when a file cannot be read, or a copy cannot be written.
    """
    copies: list[Path] = []
    try:
        found = [each for each in sorted(source.iterdir()) if each.is_file()]
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in found:
            if path.name.startswith("."):
                continue
            draft = target / f".{path.name}.draft"
            draft.unlink(missing_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as to:
                to.write(path.read_bytes())
            draft.replace(target / path.name)
            copies.append(target / path.name)
    except OSError as error:
        message = f"cannot be copied to {str(target)!r}: {error.strerror or error}"
        fix = "name a folder that can be read, and one that can be written"
        raise InvalidInputError(
            str(source), [Fault(code="U012", message=message, fix=fix)]
        ) from error
    return copies
