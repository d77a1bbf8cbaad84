"""How long an attempt waits after its start met a conflict, apart from all others.

The gate beside this leaves a whole cluster alone when its server suffers. A conflict is the answer
of a healthy server about one object: only that one waits, twice as long each time, up to a limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.model.errors import BerthError, ConflictError

FIRST_SECONDS = 0.5
LAST_SECONDS = 8.0
_DOUBLINGS = 8
_KNOWN_MAX = 100_000


class Patience:
    """May be used from several threads: each attempt is tried by one at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[int, float]] = {}

    def allows(self, attempt: str) -> bool:
        """Whether an attempt may be tried now."""
        known = self._known.get(attempt)
        return known is None or self._clock() >= known[1]

    def note(self, attempt: str, error: BerthError | None) -> None:
        """Note what came of a try."""
        if not isinstance(error, ConflictError):
            self._known.pop(attempt, None)
            return
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()  # a bound; the worst is that each is tried once too early
        failures = self._known.get(attempt, (0, 0.0))[0]
        pause = min(FIRST_SECONDS * 2.0 ** min(failures, _DOUBLINGS), LAST_SECONDS)
        self._known[attempt] = failures + 1, self._clock() + pause
