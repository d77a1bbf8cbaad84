"""Which alarms fire seldom: what is everyday, and what is news, by their own past.

An occasion is a stretch of time in which an alarm fires, however often. Counted are the occasions
of the alarm and of all alarms of its name; older ones count less and less. Their geometric mean
is compared with what an alarm of a given rate would have reached in the time that was observed.
Both are needed: a new host makes every alarm on it a new one, and a name such as "first seen"
says little although each of its alarms is seldom.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from alarms.grouping.alert import Alert

RARE_SECONDS = 36_000.0
"""An alarm is rare that has had no more than an occasion in ten hours."""
REMEMBERED_SECONDS = 7 * 86_400.0
"""After so long an occasion counts 1/e, so that what has become routine is known as such."""


@dataclass(frozen=True, slots=True)
class Novelty:
    """What a firing says by itself.

    Attributes:
        is_rare: Whether its alarm seldom fired before.
        is_fresh: Whether this begins an occasion; what fired a moment ago is no news again.
    """

    is_rare: bool
    is_fresh: bool

    @property
    def is_news(self) -> bool:
        """Return whether it is news: rare, and not of a moment ago."""
        return self.is_rare and self.is_fresh


class Routines:
    """Learns how often alarms and names fire. Constant work a firing.

    Args:
        occasion_seconds: Firings within so long of the first are one occasion.
        alarms_most: Alarms, and names, that are remembered; those whose occasion is longest ago
            are forgotten.
    """

    def __init__(self, *, occasion_seconds: float, alarms_most: int = 200_000) -> None:
        self._alarms = _Occasions(occasion_seconds, alarms_most)
        self._names = _Occasions(occasion_seconds, alarms_most)
        self._since: float | None = None

    def judge(self, alerts: Sequence[Alert], at: float) -> list[Novelty]:
        """Return what each alert of one instant says, whatever their order; count them all."""
        if self._since is None:
            self._since = at
        observed = _faded(at - self._since)
        found = [self._novelty(alert, at, observed) for alert in alerts]
        for alert in alerts:
            self._alarms.note(alert.fingerprint, at)
            self._names.note(alert.name, at)
        return found

    def _novelty(self, alert: Alert, at: float, observed_seconds: float) -> Novelty:
        fingerprint = alert.fingerprint
        before = math.sqrt(
            (1.0 + self._alarms.count(fingerprint, at)) * (1.0 + self._names.count(alert.name, at))
        )
        is_rare = before <= max(1.0, observed_seconds / RARE_SECONDS)
        return Novelty(is_rare, is_fresh=not self._alarms.lasts(fingerprint, at))


def _faded(seconds: float) -> float:
    """Return how long was observed, as much as occasions of that time count."""
    return REMEMBERED_SECONDS * -math.expm1(-max(0.0, seconds) / REMEMBERED_SECONDS)


class _Occasions:
    """Counts occasions by key."""

    def __init__(self, occasion_seconds: float, keys_most: int) -> None:
        self._occasion_seconds = occasion_seconds
        self._keys_most = keys_most
        self._past: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        """The count when the newest occasion began, and when it did; the oldest first."""

    def count(self, key: Hashable, at: float) -> float:
        """Return how many occasions there were, the older the less."""
        count, since = self._past.get(key, (0.0, at))
        return count * math.exp(min(0.0, since - at) / REMEMBERED_SECONDS)

    def lasts(self, key: Hashable, at: float) -> bool:
        """Return whether the newest occasion is not over."""
        _, since = self._past.get(key, (0.0, -math.inf))
        return at - since <= self._occasion_seconds

    def note(self, key: Hashable, at: float) -> None:
        """Count a firing."""
        if self.lasts(key, at):
            return
        self._past[key] = self.count(key, at) + 1.0, at
        self._past.move_to_end(key)
        if len(self._past) > self._keys_most:
            self._past.popitem(last=False)
