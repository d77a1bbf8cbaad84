"""What a server in a pod measured, sent to the engine's artefact endpoint, window by window.

The engine may be away: windows wait in memory, and the oldest are given up when there are too many.
Serving never waits for the engine, which is told by a thread of its own.
"""

from __future__ import annotations

import logging
import math
import threading
import urllib.error
import urllib.request
from collections import deque

from executors.tasks.context import Origin

_LOG = logging.getLogger(__name__)
_WINDOWS_MAX = 600
_TIMEOUT_SECONDS = 5.0
_PAUSE_SECONDS = 2.0
_REFUSED = range(400, 500)


class Telling:
    """Collects the signals of a window and sends them. pipeline: whose model; address: where to."""

    def __init__(self, pipeline: str, address: str) -> None:
        self._pipeline = pipeline
        self._address = address
        self._lines: list[str] = []
        self._at = 0.0
        self._windows: deque[bytes] = deque(maxlen=_WINDOWS_MAX)
        self._changed = threading.Condition()
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._send_all, name="telling", daemon=True)

    @property
    def pipeline(self) -> str:
        """The pipeline whose model serves."""
        return self._pipeline

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def close(self) -> None:
        """Send what waits, once, and end."""
        self._leaving.set()
        with self._changed:
            self._changed.notify()
        self._thread.join(2 * _TIMEOUT_SECONDS)

    def begin(self, at: float) -> None:
        """Let what follows be measured at an instant, the same for all pods of a server."""
        self._at = at

    def signal(
        self,
        origin: Origin,
        name: str,
        value: float,
        *,
        unit: str = "",
        shape: str = "gauge",
        weight: float = 1.0,
    ) -> None:
        """Take a measured value; one that is not finite is left out, as nothing was measured."""
        if not math.isfinite(value):
            return
        self._lines.append(
            origin.line(name, value, at=self._at, unit=unit, shape=shape, weight=weight)
        )

    def end(self) -> None:
        """Let what was taken since `begin` be sent."""
        content = "".join(f"{line}\n" for line in self._lines).encode()
        self._lines = []
        if content:
            with self._changed:
                self._windows.append(content)
                self._changed.notify()

    # ------------------------------------------------------------------- sending

    def _send_all(self) -> None:
        """Send window after window; one that the engine refuses is not sent again."""
        while (window := self._next()) is not None:
            try:
                put(self._address, window)
            except urllib.error.HTTPError as error:
                error.close()
                if error.code not in _REFUSED:
                    self._again(window)
                else:
                    _LOG.warning("the engine refused a window: %s", error)
            except OSError as error:
                _LOG.info("the engine does not take a window: %s", error)
                self._again(window)

    def _next(self) -> bytes | None:
        """Return the oldest window, once there is one; None when all is over."""
        with self._changed:
            while not self._windows:
                if self._leaving.is_set():
                    return None
                self._changed.wait()
            return self._windows.popleft()

    def _again(self, window: bytes) -> None:
        """Put a window back to the front, unless there is no more room or time for it."""
        if self._leaving.wait(_PAUSE_SECONDS):
            with self._changed:
                self._windows.clear()
            return
        with self._changed:
            if len(self._windows) < _WINDOWS_MAX:
                self._windows.appendleft(window)


def put(address: str, content: bytes) -> None:
    """Leave signals at a signed address.

    Raises:
        HTTPError: when the engine answers that it does not take them.
        OSError: when it does not answer.
    """
    request = urllib.request.Request(address, data=content, method="PUT")  # noqa: S310 - as signed
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
        answer.read()
