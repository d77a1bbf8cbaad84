"""A part of a step: groupers and cause finders that learn are told what is over."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from engine.model.alarms import SuperAlarm, SuperAlarmState
from engine.model.identifiers import SuperAlarmId
from engine.model.records import SUPER_ALARMS
from engine.ports import CauseFinder, Grouper, Learner
from engine.watching.desk import Desk

PAST_MOST = 300
"""Past super-alarms that are told after a start."""
_RESOLVED = SuperAlarmState.RESOLVED.value


class Learning:
    """Tells the past after a start, and then what has ended since."""

    def __init__(self, desk: Desk, grouper: Grouper, cause_finder: CauseFinder) -> None:
        self._desk = desk
        self._first = [one for one in (grouper,) if isinstance(one, Learner)]
        self._always = [one for one in (cause_finder,) if isinstance(one, Learner)]
        self._told_to = -math.inf

    def step(self) -> bool:
        """Tell learners what ended; nothing in the store changes."""
        is_start = self._told_to == -math.inf
        since = None if is_start else self._told_to
        found = self._desk.ledger.select(
            SUPER_ALARMS,
            where={"state": _RESOLVED},
            order_by="updated_at",
            descending=True,
            since=since,
            limit=PAST_MOST,
        )
        past = [stored.value for stored in reversed(found)]
        self._told_to = past[-1].updated_at if past else max(self._told_to, 0.0)
        if past:
            verdicts = self._verdicts(past)
            for learner in (*(self._first if is_start else ()), *self._always):
                learner.learn(past, verdicts)
        return False

    def _verdicts(self, past: Sequence[SuperAlarm]) -> Mapping[SuperAlarmId, bool]:
        """Return whether first causes were right, of those that a person judged."""
        del past
        return {}
