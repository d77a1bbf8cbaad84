"""The share of one sender: what floods is folded, and nothing else that it sends is lost.

One sender may speak for many systems. When it fires more than its share, alarms of a name that
fired seldom are made all the same: most floods are of one name.
"""

from __future__ import annotations

from collections import Counter, deque

PER_WINDOW = 2_000
"""Alarms of one sender within the time in which alarms may join a group; more are a flood."""
PER_NAME = 50
"""In a flood alarms of a name are made until there are so many of it."""
FLOOD_MOST = 2
"""In a flood of ever new names, so many times its share are made."""


class Share:
    """Alarms that were made for one sender lately, counted by name."""

    def __init__(self) -> None:
        self._made: deque[tuple[float, str]] = deque()
        self._names: Counter[str] = Counter()

    def begin(self, since: float) -> None:
        """Forget what was made before."""
        while self._made and self._made[0][0] <= since:
            _, name = self._made.popleft()
            self._names[name] -= 1

    def admits(self, name: str) -> bool:
        """Return whether another alarm of a name may be made."""
        if len(self._made) < PER_WINDOW:
            return True
        return self._names[name] < PER_NAME and len(self._made) < FLOOD_MOST * PER_WINDOW

    def add(self, at: float, name: str) -> None:
        """Count an alarm that is made."""
        self._made.append((at, name))
        self._names[name] += 1

    def copy(self) -> Share:
        """Return another one that counts the same, for what may come to nothing."""
        made = Share()
        made._made, made._names = self._made.copy(), self._names.copy()
        return made
