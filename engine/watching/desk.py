"""What every part of a step has at hand: the store under the engine's term, and the clock."""

from __future__ import annotations

from dataclasses import dataclass

from engine import fence
from engine.model.records import Term, Write
from engine.ports import Clock, Ledger
from engine.watching.policy import WatchPolicy


@dataclass(frozen=True, slots=True)
class Desk:
    """The store, the clock, the policy, and the term under which the loop writes."""

    ledger: Ledger
    clock: Clock
    policy: WatchPolicy
    term: Term

    def commit(self, name: str, *writes: Write) -> bool:
        """Write all or nothing under the term; as `engine.fence.commit`."""
        return fence.commit(self.ledger, self.term, name, writes)
