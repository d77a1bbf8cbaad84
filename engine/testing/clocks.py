"""A clock that a test moves by hand."""

from __future__ import annotations

import threading


class ManualClock:
    """Time stands still until somebody waits or advances it (port `Clock`); thread-safe."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> float:
        """Return seconds since 1970 in UTC."""
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        """Return the same as `now`: a test moves both."""
        return self.now()

    def wait(self, seconds: float) -> None:
        """Advance the clock and return at once."""
        self.advance(seconds)

    def after(self, seconds: float) -> float:
        """Return the instant at which a wait that begins now would end."""
        return self.now() + max(0.0, seconds)

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass; a negative number lets none pass."""
        with self._lock:
            self._now += max(0.0, seconds)
