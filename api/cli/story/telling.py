"""How the story is told: headings, commands as a person would type them, one line an event."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from typing import TextIO

WIDTH = 100


class Teller:
    """Prints the story.

    run: runs a `berth` command line in this process and returns its exit code; its output goes
        where everything goes.
    """

    def __init__(self, out: TextIO, run: Callable[[Sequence[str]], int]) -> None:
        self._out = out
        self._run = run
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the story began."""
        return time.monotonic() - self._began

    def scene(self, title: str) -> None:
        """Begin a scene."""
        line = f"── {title} "
        self._out.write(f"\n{line}{'─' * max(0, WIDTH - len(line))}\n\n")
        self._out.flush()

    def say(self, text: str) -> None:
        """Print one line with the time since the beginning."""
        self._out.write(f"[{self.seconds:5.1f} s] {text}\n")
        self._out.flush()

    def command(self, *arguments: str) -> int:
        """Show a command line, run it, and return its exit code."""
        self._out.write(f"$ berth {shlex.join(arguments)}\n")
        self._out.flush()
        code = self._run(arguments)
        self._out.write("\n")
        self._out.flush()
        return code
