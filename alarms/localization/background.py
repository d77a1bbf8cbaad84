"""How often each alarm fires whatever happens: surprise counts, not volume.

Some alarms fire in every event, and some start with one event and go on through the next ones (a
level that does not come back). Neither says what is at fault. The rate of an alarm is therefore
taken from other events, those nearby weighing more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

NEARBY_SHARE = 0.7
"""Part of an event's weight that fades with distance; the rest stays."""
NEARBY_EVENTS = 5.0
"""Distance in events at which the fading part is down to a third."""
PRIOR_RATE = 0.05
"""Rate of an alarm that nothing is known of; it weighs as one event."""
RATE_LEAST = 0.005
RATE_MOST = 0.98


class AlarmKey(NamedTuple):
    """An alarm without its time: on what, and which."""

    entity: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Another event: how many events away it is, and which alarms fired in it."""

    distance: float
    alarms: frozenset[AlarmKey]


class Background:
    """Rates of alarms, from other events."""

    def __init__(self, history: Iterable[Past]) -> None:
        fired: dict[AlarmKey, list[float]] = {}
        weights: list[float] = []
        for past in history:
            weight = 1.0 - NEARBY_SHARE + NEARBY_SHARE * math.exp(-past.distance / NEARBY_EVENTS)
            weights.append(weight)
            for key in past.alarms:
                fired.setdefault(key, []).append(weight)
        # Exact sums do not depend on the order in which a set is walked.
        self._total = math.fsum(weights) + 1.0
        self._fired = {key: math.fsum(fired[key]) for key in sorted(fired)}

    @property
    def known(self) -> Sequence[AlarmKey]:
        """Alarms that fired in any of the events, sorted."""
        return tuple(self._fired)

    def rate(self, key: AlarmKey) -> float:
        """Return the probability that an alarm fires in an event that it has no part in."""
        rate = (self._fired.get(key, 0.0) + PRIOR_RATE) / self._total
        return min(RATE_MOST, max(RATE_LEAST, rate))
