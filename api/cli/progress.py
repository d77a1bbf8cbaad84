"""How a search goes on: a live line on a terminal, or a line for each better plan; and Ctrl-C.

On a terminal the line is kept up to date until the plan is there. Elsewhere nothing is said unless
it is asked for (`--progress`), and then one line for each better plan.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from api.cli.frame import Talk

if TYPE_CHECKING:
    from types import FrameType

    from api.client.remote import Remote
    from api.wiring import Application
    from engine.model.plans import Incumbent
    from engine.ports import Watch

Answer = TypeVar("Answer")
_CLEAR = "\r\x1b[K"


class Progress:
    """A watch (`engine.ports.Watch`) that prints; Ctrl-C makes it want an end."""

    def __init__(
        self, *, live: bool, lines: bool, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._live = live
        self._lines = lines
        self._seconds = seconds
        self._began = seconds()
        self._ends = False

    @property
    def is_ended(self) -> bool:
        """Whether the search was asked to end early."""
        return self._ends

    def found(self, incumbent: Incumbent) -> None:
        """Print a better plan."""
        text = incumbent_text(incumbent, self._seconds() - self._began)
        if self._live:
            sys.stderr.write(f"{_CLEAR}{text}")
        elif self._lines:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def wants_end(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._ends

    def end(self) -> None:
        """Ask the search to end with the best plan it has."""
        self._ends = True

    def clear(self) -> None:
        """Take the live line away."""
        if self._live:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()


def incumbent_text(incumbent: Incumbent, seconds: float) -> str:
    """Return the line about a plan on the way."""
    from api.report import words

    parts = [f"incumbent {words.money(incumbent.objective_micro_dollars)}"]
    if incumbent.unplaced_weight:
        parts.append(f"weight {incumbent.unplaced_weight:g} without a place")
    parts.append(f"bound {words.money(incumbent.bound_micro_dollars)}")
    parts.append(f"gap {words.share(incumbent.gap)}")
    parts.append(words.duration(seconds))
    return f"solving  {', '.join(parts)}"


def watched(
    talk: Talk, door: Remote | Application, ask: Callable[[Watch | None], Answer]
) -> Answer:
    """Return the answer to a question, with its progress where the search runs in this process."""
    if not door.is_engine:
        with watching(talk) as watch:
            return ask(watch)
    if talk.progress:
        talk.say("note: the running engine searches; its progress is not shown here")
    return ask(None)


@contextmanager
def watching(talk: Talk) -> Generator[Progress]:
    """Yield a watch for one search. The first Ctrl-C ends the search, the second the command."""
    live = sys.stderr.isatty() and not talk.quiet
    progress = Progress(live=live, lines=talk.progress)

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        if progress.is_ended:
            raise KeyboardInterrupt
        progress.end()
        progress.clear()
        talk.say("stopping at the best plan so far; Ctrl-C again stops without one")

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield progress
    finally:
        signal.signal(signal.SIGINT, before)
        progress.clear()
    if progress.is_ended:
        talk.say("stopped early: this is the best that was found until then")
