"""The bulkhead of one cluster: how fast it is asked, and that it is left alone when it suffers.

One gate a cluster, shared by all of its users, so that a cluster in trouble costs no other
anything. After a failure it stays shut for a time that doubles up to a limit, with jitter, never
shorter than the server asked for; then one request at a time tries.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from engine.model.errors import UnreachableError

FIRST_SECONDS = 0.8
LAST_SECONDS = 15.0
"""Short enough that a cluster that is back is worked on within half a minute."""
_DOUBLINGS = 16  # 2 ** 16 x 0.8 s is far above the longest pause
_TRIAL_SECONDS = 10.0
# While one request tries, others wait for what it learns, at most so long.


class Gate:
    """May be used from several threads.

    writes_per_second: 0 for no limit. clock: monotonic seconds; chance: for jitter.
    """

    def __init__(
        self,
        name: str,
        writes_per_second: float = 0.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        self._name = name
        self._rate = writes_per_second
        self._clock = clock
        self._chance = chance or random.Random()  # noqa: S311 - jitter, no secret
        self._lock = threading.Lock()
        self._failures = 0
        self._shut_until = 0.0
        self._why = ""
        self.succeeded_at = 0.0
        """Instant of the last answer."""
        self._tokens = max(1.0, writes_per_second)
        self._filled_at = clock()

    @property
    def is_open(self) -> bool:
        """Whether a request may be made now."""
        return self._clock() >= self._shut_until

    @property
    def trouble(self) -> str:
        """What the last failure was; "" after a success."""
        return self._why

    def wait_seconds(self) -> float:
        """Return how long the gate stays shut."""
        return max(0.0, self._shut_until - self._clock())

    def enter(self) -> None:
        """Pass, or learn that the cluster is to be left alone.

        Raises:
            UnreachableError: while the gate is shut; nothing was sent.
        """
        with self._lock:
            now = self._clock()
            if now < self._shut_until:
                wait = self._shut_until - now
                message = f"cluster {self._name!r} is left alone for {wait:.1f} s: {self._why}"
                raise UnreachableError(message, fix="wait, or see berth doctor")
            if self._failures:
                self._shut_until = now + _TRIAL_SECONDS

    def succeeded(self) -> None:
        """Note an answer."""
        with self._lock:
            self._failures = 0
            self._shut_until = 0.0
            self._why = ""
            self.succeeded_at = self._clock()

    def failed(self, why: str, retry_after_seconds: float = 0.0) -> None:
        """Note that there was no answer, or one that asks for patience."""
        with self._lock:
            self._failures += 1
            doubled = FIRST_SECONDS * 2.0 ** min(self._failures - 1, _DOUBLINGS)
            pause = min(doubled, LAST_SECONDS) * self._chance.uniform(0.75, 1.0)
            self._shut_until = self._clock() + max(pause, retry_after_seconds)
            self._why = why

    def take(self, wanted: int) -> int:
        """Return how many of so many writes may be made now; they count as made."""
        if not self._rate:
            return wanted
        with self._lock:
            now = self._clock()
            most = max(1.0, self._rate)
            self._tokens = min(most, self._tokens + (now - self._filled_at) * self._rate)
            self._filled_at = now
            taken = min(wanted, int(self._tokens))
            self._tokens -= taken
            return taken
