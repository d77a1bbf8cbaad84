"""What may follow from an event: turning points, the hour after them, and the entities they struck.

One alarm that seldom fires says little: in a large system some such alarm fires every hour. Several
of different names in one event are a turning point, and so is a single one on an entity that a
turning point struck lately. Nothing else has an aftermath.
"""

from __future__ import annotations

import math
from collections import OrderedDict

from alarms.grouping.episodes import Unusual

AFTERMATH_SECONDS = 3_600.0
"""What fires for so long after a turning point may follow from it."""
NAMES_LEAST = 2
"""Rare alarms of so many names are a turning point."""


class Aftermaths:
    """Knows which parts of the system had a turning point lately, and which entities it struck."""

    def __init__(self) -> None:
        self._turned_at: OrderedDict[int, float] = OrderedDict()  # by part, the longest ago first
        self._struck_at: OrderedDict[int, float] = OrderedDict()  # by entity, likewise

    def ends_at(self, part: int, at: float) -> float:
        """Return when the aftermath that a part is in is over, or infinity where it is in none."""
        over_at = self._turned_at.get(part, -math.inf) + AFTERMATH_SECONDS
        return over_at if at <= over_at else math.inf

    def weigh(self, event: Unusual, name: str, entity: int, part: int, at: float) -> None:
        """Note a rare alarm of an event, which may thereby become a turning point."""
        event.names.add(name)
        event.entities.add(entity)
        struck = {entity}
        if not event.is_turn:
            is_struck = at - self._struck_at.get(entity, -math.inf) <= AFTERMATH_SECONDS
            event.is_turn = is_struck or len(event.names) >= NAMES_LEAST
            struck = event.entities
        if event.is_turn:
            _note(self._turned_at, part, at)
            for one in sorted(struck):
                _note(self._struck_at, one, at)


def _note(latest: OrderedDict[int, float], key: int, at: float) -> None:
    latest[key] = at
    latest.move_to_end(key)
    while at - next(iter(latest.values())) > AFTERMATH_SECONDS:
        latest.popitem(last=False)
