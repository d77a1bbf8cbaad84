"""Files that people name: read whole, with a clear error for what cannot be read."""

from __future__ import annotations

import gzip
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
            with gzip.open(path) as file:
                content = file.read(_UNPACKED_BYTES_MAX)
        return content.decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        strerror = error.strerror if isinstance(error, OSError) else None
        option = f"--{setting} or BERTH_{setting.upper()}"
        message = f"cannot be read: {strerror or error}"
        fault = Fault(code="U012", message=message, fix=f"see {option}")
        raise InvalidInputError(str(path), [fault]) from error
