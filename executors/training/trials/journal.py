"""The journal of a study: every event as a line, durable before anything follows from it.

A line that was cut off by a crash is the last one, and is dropped when the journal is read again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.model.errors import DamagedError, RetryableError

Event = Mapping[str, Any]


class Journal:
    """Appends events to a file. One process writes; it holds the file locked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        _drop_half_line(path)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._descriptor = os.open(path, flags, 0o644)

    def append(self, event: Event) -> None:
        """Write an event; it is on the disk when this returns.

        Raises:
            RetryableError: when the disk is full. What was written before stays readable.
        """
        line = json.dumps(event, sort_keys=True, allow_nan=False) + "\n"
        try:
            os.write(self._descriptor, line.encode())
            os.fdatasync(self._descriptor)
        except OSError as error:
            message = f"cannot write {str(self.path)!r}: {error.strerror}"
            raise RetryableError(message, fix="free disk space, then run the same again") from error

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


def read(path: Path) -> list[dict[str, Any]]:
    """Return all events that were written whole.

    Raises:
        DamagedError: when a line that is not the last one is no event.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    found: list[dict[str, Any]] = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            event = json.loads(line)
        except ValueError as error:
            message = f"{str(path)!r}:{number} is no event: {error}"
            raise DamagedError(message, fix="remove the folder and begin again") from error
        found.append(event)
    return found


def _drop_half_line(path: Path) -> None:
    """Cut off what a crash left of the last line, so that the next event begins a line."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
