"""Reading what an untrusted process says: so much of it and so long, and why it ended."""

from __future__ import annotations

import os
import select
import signal
import time
from typing import IO

_CHUNK_BYTES = 1 << 16
_SIGNALS = {
    signal.SIGXCPU: "it needs more processor time than allowed",
    signal.SIGXFSZ: "it writes a larger file than allowed",
    signal.SIGSYS: "it calls what it may not",
    signal.SIGKILL: "it was ended: it needs more than allowed",
    signal.SIGSEGV: "it crashed: it touched memory that is not its own",
    signal.SIGABRT: "it crashed: it gave up by itself",
}


def read(stream: IO[bytes], *, seconds: float, bytes_max: int, until: bytes = b"") -> bytes:
    """Return what comes to the end, or to what begins with `until`; of more, the beginning.

    stream: unbuffered.

    Raises:
        TimeoutError: when it takes longer.
    """
    end = time.monotonic() + seconds
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    found = bytearray()
    while len(found) < bytes_max and not (until and until in found):
        left = end - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise TimeoutError(f"it takes longer than {seconds:g} s")
        part = os.read(stream.fileno(), _CHUNK_BYTES)
        if not part:
            break
        found += part
    return bytes(found[:bytes_max])


def why(code: int) -> str:
    """Return in words why a process ended by a signal, which `code` is the negative of."""
    words = {int(number): text for number, text in _SIGNALS.items()}
    return words.get(-code, f"it died of signal {-code}")
