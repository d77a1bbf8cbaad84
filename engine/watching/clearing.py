"""Removes what was received, folded and told long ago, so that no table grows for ever."""

from __future__ import annotations

import math

from engine.model.alarms import SuperAlarmState
from engine.model.records import FIRINGS, FOLDINGS, MESSAGES, Delete, Write
from engine.watching.desk import Desk

_AT_ONCE = 1_000


class Clearing:
    """Bounds firings, foldings and messages by age; what is still going on always stays."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._cleared_at = -math.inf

    def step(self) -> bool:
        """Remove some old records when it is time; return whether any went."""
        policy, ledger = self._desk.policy, self._desk.ledger
        now = self._desk.clock.now()
        if now - self._cleared_at < policy.prune_seconds:
            return False
        self._cleared_at = now
        before = now - policy.signals_kept_seconds
        deletes: list[Write] = [
            *(
                Delete(FIRINGS, one.value.firing_id)
                for one in ledger.select(FIRINGS, order_by="received_at", limit=_AT_ONCE)
                if one.value.received_at < before and one.value.expires_at < before
            ),
            *(
                Delete(FOLDINGS, one.value.alarm.alarm_id)
                for one in ledger.select(FOLDINGS, order_by="at", limit=_AT_ONCE)
                if one.value.at < before and not one.value.silence_id
            ),
            *(
                Delete(MESSAGES, one.value.message_id)
                for one in ledger.select(MESSAGES, order_by="due_at", limit=_AT_ONCE)
                if one.value.changed_at < before
                and one.value.group.state is SuperAlarmState.RESOLVED
            ),
        ]
        return bool(deletes) and self._desk.commit("watch.clear", *deletes)
