"""The clock of an installation: the machine's, with waits that a clock factor shortens."""

from __future__ import annotations

import threading

from engine import clocks


class ScaledClock(clocks.SystemClock):
    """The wall clock; waits are divided by the clock factor, `now` never is.

    factor: above 0; 60 makes a minute's wait a second. May be used from several threads.
    """

    def __init__(self, factor: float = 1.0) -> None:
        self._factor = factor
        self._stopped = threading.Event()

    def wait(self, seconds: float) -> None:
        """Return after so many seconds divided by the factor, or when the clock is stopped."""
        self._stopped.wait(max(seconds, 0.0) / self._factor)

    def after(self, seconds: float) -> float:
        """Return the instant at which a wait that begins now would end."""
        return self.now() + max(seconds, 0.0) / self._factor

    @property
    def is_stopped(self) -> bool:
        """Whether the clock was stopped, so that whatever goes on for ever should end."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """End all waits, now and from now on."""
        self._stopped.set()


class VirtualClock(ScaledClock):
    """A clock that stands where it is set; of replays, in which nothing waits."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self._now = start

    def now(self) -> float:
        """Return the instant that was set last."""
        return self._now

    def monotonic(self) -> float:
        """Return the same: nobody sets this clock back."""
        return self._now

    def set(self, instant: float) -> None:
        """Go on to an instant; an earlier one changes nothing."""
        self._now = max(self._now, instant)

    def wait(self, seconds: float) -> None:
        """Return at once, so many seconds later."""
        self._now += max(seconds, 0.0)
