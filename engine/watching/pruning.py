"""Removes old signals from the store, but never the newest of a series, and old seasons."""

from __future__ import annotations

import math

from engine.model.records import SEASONS, SIGNALS, Delete
from engine.watching.desk import Desk
from engine.watching.recent import Recent

_AT_ONCE = 1_000


class Pruning:
    """Bounds the stored signals by age and number."""

    def __init__(self, desk: Desk, recent: Recent) -> None:
        self._desk = desk
        self._recent = recent
        self._pruned_at = -math.inf
        self._removed = 0

    def step(self) -> bool:
        """Remove some of what is old when it is time; return whether any signals went."""
        policy = self._desk.policy
        now = self._desk.clock.now()
        if now - self._pruned_at < policy.prune_seconds:
            return False
        self._pruned_at = now
        newest = self._recent.newest()
        oldest = self._desk.ledger.select(SIGNALS, order_by="at", limit=_AT_ONCE + len(newest))
        excess = self._recent.added - self._removed - policy.signals_kept
        deletes = [
            Delete(SIGNALS, SIGNALS.key(stored.value))
            for index, stored in enumerate(oldest)
            if index < excess or stored.value.at < now - policy.signals_kept_seconds
            if newest.get(stored.value.series, math.inf) > stored.value.at
        ]
        seasons = self._desk.ledger.select(SEASONS, order_by="expires_at", limit=_AT_ONCE)
        expired = [stored.value for stored in seasons if stored.value.expires_at <= now]
        if expired:
            self._desk.commit(
                "watch.prune.seasons", *(Delete(SEASONS, SEASONS.key(one)) for one in expired)
            )
        if not deletes or not self._desk.commit("watch.prune", *deletes):
            return False
        self._removed += len(deletes)
        return True
