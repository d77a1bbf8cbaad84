"""The clock of the machine; tests and simulations use `engine.testing.ManualClock` instead."""

from __future__ import annotations

import time


class SystemClock:
    """The wall clock in UTC, and real waiting (port `Clock`)."""

    def now(self) -> float:
        """Return seconds since 1970 in UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since some instant; nobody can set them."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleep; a negative time returns at once."""
        time.sleep(max(0.0, seconds))

    def after(self, seconds: float) -> float:
        """Return the instant at which a wait that begins now would end."""
        return self.now() + max(0.0, seconds)
