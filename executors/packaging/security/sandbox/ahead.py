"""A confined process that is begun before it is needed: to load libraries takes longest."""

from __future__ import annotations

import threading

from executors.packaging.security.sandbox.running import Begun


class Ahead:
    """At most one process of a function waits for its call. For several threads."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._waiting: Begun | None = None
        self._guard = threading.Lock()

    def prepare(self) -> None:
        """Begin a process, unless one waits; `close` ends it.

        Raises:
            UnreachableError: when it cannot be started.
        """
        with self._guard:
            if self._waiting is None:
                self._waiting = Begun(self._function)

    def await_loaded(self) -> None:
        """Wait until the process that waits has loaded its libraries."""
        with self._guard:
            if self._waiting is not None:
                self._waiting.await_loaded()

    def take(self) -> Begun:
        """Return the process that waits, or a new one where none does or it ended.

        Raises:
            UnreachableError: when none can be started.
        """
        found = self._let_go()
        if found is not None and found.is_alive:
            return found
        if found is not None:
            found.end()
        return Begun(self._function)

    def close(self) -> None:
        """End the process that waits."""
        found = self._let_go()
        if found is not None:
            found.end()

    def _let_go(self) -> Begun | None:
        with self._guard:
            found, self._waiting = self._waiting, None
        return found
