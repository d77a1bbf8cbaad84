"""A part of a step: who learns is told what is over, and what people said of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from engine.model.alarms import SuperAlarmState
from engine.model.identifiers import SuperAlarmId
from engine.model.records import CHECK_FEEDBACK, SUPER_ALARMS
from engine.ports import CauseFinder, CheckLearner, Grouper, Learner
from engine.watching.desk import Desk

PAST_MOST = 300
"""Past super-alarms that are told after a start."""
CHECKS_MOST = 1_000
"""What people said of checks that is told after a start."""
_RESOLVED = SuperAlarmState.RESOLVED.value

Verdicts = Callable[[float], Mapping[SuperAlarmId, tuple[float, bool]]]
"""What people said after a time: when, and whether the first cause was right."""


def nobody_judged(since: float) -> Mapping[SuperAlarmId, tuple[float, bool]]:
    """Return no verdicts: where people have no way to give them."""
    del since
    return {}


class Learning:
    """Tells the past after a start, and then what has ended or was judged since."""

    def __init__(
        self,
        desk: Desk,
        grouper: Grouper,
        cause_finder: CauseFinder,
        verdicts: Verdicts = nobody_judged,
    ) -> None:
        self._desk = desk
        self._verdicts = verdicts
        self._first = [one for one in (grouper,) if isinstance(one, Learner)]
        self._always = [one for one in (cause_finder,) if isinstance(one, Learner)]
        self._ended_to = -math.inf
        self._judged_to = -math.inf
        self._checks = cause_finder if isinstance(cause_finder, CheckLearner) else None
        self._checks_to: float | None = None

    def step(self) -> bool:
        """Tell learners what is new; nothing in the store changes."""
        self._tell_checks()
        judged = self._verdicts(self._judged_to)
        self._judged_to = max((at for at, _ in judged.values()), default=self._judged_to)
        is_start = self._ended_to == -math.inf
        found = self._desk.ledger.select(
            SUPER_ALARMS,
            where={"state": _RESOLVED},
            order_by="updated_at",
            descending=True,
            since=None if is_start else self._ended_to,
            limit=PAST_MOST,
        )
        past = [stored.value for stored in reversed(found)]
        self._ended_to = past[-1].updated_at if past else max(self._ended_to, 0.0)
        known = {group.super_alarm_id for group in past}
        for key in judged.keys() - known:
            stored = self._desk.ledger.get(SUPER_ALARMS, key)
            if stored is not None:
                past.append(stored.value)
        if past:
            past.sort(key=lambda group: (group.updated_at, group.super_alarm_id))
            # What was said of an earlier time is not of the cause that is likely now.
            came = {group.super_alarm_id: group.reopened_at for group in past}
            verdicts = {
                key: is_right for key, (at, is_right) in judged.items() if at >= came.get(key, 0.0)
            }
            for learner in (*(self._first if is_start else ()), *self._always):
                learner.learn(past, verdicts)
        return False

    def _tell_checks(self) -> None:
        """Tell the cause finder what people said of checks, where it learns of that."""
        if self._checks is None:
            return
        found = self._desk.ledger.select(
            CHECK_FEEDBACK,
            order_by="at",
            descending=True,
            since=self._checks_to,
            limit=CHECKS_MOST,
        )
        if found:
            given = [stored.value for stored in reversed(found)]
            self._checks_to = given[-1].at
            self._checks.learn_checks(given)
