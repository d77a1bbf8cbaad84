"""A part of a step: who watches for drift is told of trainings that ended.

It stands before reading: values after a training are compared with values after that training.
"""

from __future__ import annotations

import math

from engine.model.alarms import ActionKind, ActionState
from engine.model.records import ACTIONS
from engine.ports import DriftWatch
from engine.watching.desk import Desk

_LOOKED_AT_SECONDS = 7 * 86_400.0
"""Actions are told again for as long after they were wanted; telling twice changes nothing."""


class Trainings:
    """Tells of retrainings that ended well."""

    def __init__(self, desk: Desk, drift: DriftWatch | None) -> None:
        self._desk = desk
        self._drift = drift
        self._told: set[str] = set()

    def step(self) -> bool:
        """Tell what ended since; nothing in the store changes."""
        if self._drift is None:
            return False
        since = self._desk.clock.now() - _LOOKED_AT_SECONDS if self._told else -math.inf
        where = {"kind": ActionKind.RETRAIN.value, "state": ActionState.DONE.value}
        found = self._desk.ledger.select(ACTIONS, where=where, order_by="wanted_at", since=since)
        for stored in found:
            action = stored.value
            # One that a guard held back until it was not needed any more has no run.
            is_told = action.action_id in self._told or action.run_id is None
            if is_told or action.pipeline is None or action.ended_at is None:
                continue
            self._told.add(action.action_id)
            self._drift.trained(action.pipeline, action.ended_at)
        return False
