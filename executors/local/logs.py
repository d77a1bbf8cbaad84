"""Holds the log of a command to a size. Standard library only: shims import it."""

from __future__ import annotations

import contextlib
import os

BYTES_MOST = 64 << 20
"""A log that grows beyond it is cut to its end."""
BYTES_LEFT = 4 << 20
_NOTE = b"[what was written before this line was removed: the log had grown to %d MiB]\n"


def hold(log: int, *, most: int = BYTES_MOST, left: int = BYTES_LEFT) -> None:
    """Cut a log of over `most` bytes to its last `left` bytes, from the start of a line.

    A line that is written meanwhile may be lost. On a full disk the cut still gives room back.

    log: descriptor of a file that is open for reading and appending, here and by whoever writes.
    """
    size = os.fstat(log).st_size
    if size <= most:
        return
    kept = os.pread(log, left, size - left)
    with contextlib.suppress(OSError):
        os.ftruncate(log, 0)
        os.write(log, _NOTE % (size >> 20) + (kept.partition(b"\n")[2] or kept))
