"""The engine's loops, each in a thread: a step that fails is told, counted and tried again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from api.messages.answers import Finding
from engine.model.errors import BerthError

_LOG = logging.getLogger("berth.loops")
_FIRST_BACKOFF_SECONDS = 0.5
_LAST_BACKOFF_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopPlan:
    """What a loop does: `step` returns whether it changed something; an idle one pauses."""

    name: str
    step: Callable[[], bool]
    pause_seconds: float


class Loop:
    """Repeats a step until it is stopped.

    After a step that changed something the next one follows at once; after an idle one the loop
    pauses; after a failure it waits longer each time, up to half a minute.
    """

    def __init__(self, plan: LoopPlan) -> None:
        self._plan = plan
        self._stopping = threading.Event()
        self._failed = (0, "")
        self._steps = 0
        self._stepped_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"berth-{plan.name}", daemon=True)

    def start(self) -> None:
        """Begin to step."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the loop to end after the step it is in."""
        self._stopping.set()

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the end and return whether it came."""
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def finding(self) -> Finding:
        """Return how the loop is."""
        since = time.monotonic() - self._stepped_at
        failures, message = self._failed  # read at once: the loop goes on meanwhile
        fine = failures == 0 and (self._thread.is_alive() or self._stopping.is_set())
        told = message or f"{self._steps} steps, the last one {since:.1f} s ago"
        fix = "" if fine else "read the engine's log; the loop tries again by itself"
        return Finding(name=f"loop {self._plan.name}", fine=fine, message=told, fix=fix)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._stopping.wait(self._once())

    def _once(self) -> float:
        """Take one step and return the seconds to wait before the next one."""
        try:
            changed = self._plan.step()
        except Exception as error:
            return self._tell(error)
        self._failed = (0, "")
        self._steps += 1
        self._stepped_at = time.monotonic()
        return 0.0 if changed else self._plan.pause_seconds

    def _tell(self, error: Exception) -> float:
        """Tell of a failure and return how long to wait."""
        failures = self._failed[0] + 1
        exponent = min(failures - 1, 16)  # 2 ** 16 is far above the longest wait
        wait = min(_FIRST_BACKOFF_SECONDS * float(2**exponent), _LAST_BACKOFF_SECONDS)
        message = f"failed {failures} times in a row: {type(error).__name__}: {error}"
        self._failed = (failures, message)
        # What Berth raises on purpose explains itself; for anything else the trace is needed.
        trace = None if isinstance(error, BerthError) else error
        _LOG.error("%s %s; again in %.1f s", self._plan.name, message, wait, exc_info=trace)
        return wait
