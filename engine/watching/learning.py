"""A part of a step: who learns is told what is over, and what people said of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from engine.model.alarms import SuperAlarm, SuperAlarmState
from engine.model.feedback import Feedback, Verdict
from engine.model.records import CHECK_FEEDBACK, SUPER_ALARMS
from engine.ports import CauseFinder, CheckLearner, Grouper, Learner
from engine.watching.desk import Desk
from engine.watching.judging import OPEN_STATES

PAST_MOST = 300
"""Past super-alarms that are told after a start."""
CHECKS_MOST = 1_000
"""What people said of checks that is told after a start."""
_RESOLVED = SuperAlarmState.RESOLVED.value

Verdicts = Callable[[float], Sequence[Feedback]]
"""What people said of first causes after a time, oldest first."""


def nobody_judged(since: float) -> Sequence[Feedback]:
    """Return no verdicts: where people have no way to give them."""
    del since
    return ()


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
        self._judged_to = max((one.at for one in judged), default=self._judged_to)
        is_start = self._ended_to == -math.inf
        past = {group.coming_id: group for group in self._over(is_start=is_start)}
        for one in judged:
            if one.key not in past:
                past |= {group.coming_id: group for group in self._as_judged(one)}
        if past:
            groups = sorted(past.values(), key=lambda group: (group.updated_at, group.coming_id))
            verdicts = {one.key: one.verdict is Verdict.RIGHT for one in judged}
            for learner in (*(self._first if is_start else ()), *self._always):
                learner.learn(groups, verdicts)
        return False

    def _over(self, *, is_start: bool) -> list[SuperAlarm]:
        """Return what ended since the last look; at first every time that is kept of each."""
        found = self._desk.ledger.select(
            SUPER_ALARMS,
            where={"state": _RESOLVED},
            order_by="updated_at",
            descending=True,
            since=None if is_start else self._ended_to,
            limit=PAST_MOST,
        )
        ended = [stored.value for stored in reversed(found)]
        self._ended_to = ended[-1].updated_at if ended else max(self._ended_to, 0.0)
        if not is_start:
            return ended
        still_open = self._desk.ledger.select(SUPER_ALARMS, where={"state": OPEN_STATES})
        groups = [*ended, *(stored.value for stored in still_open)]
        return [*ended, *(earlier for group in groups for earlier in group.past)]

    def _as_judged(self, given: Feedback) -> list[SuperAlarm]:
        """Return the super-alarm that people judged, as it was that time; empty when not kept."""
        stored = self._desk.ledger.get(SUPER_ALARMS, given.super_alarm_id)
        times = () if stored is None else (*stored.value.past, stored.value)
        return [group for group in times if group.times == given.times]

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
