"""What every part of a step has at hand: the store under the engine's term, and the clock."""

from __future__ import annotations

from dataclasses import dataclass

from engine.model.errors import ConflictError, RefusedError
from engine.model.records import TERMS, Check, Term, Write
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
        """Write all or nothing under the term; false when somebody else wrote first.

        Then the caller leaves the matter to the next step, which sees the new state.

        Raises:
            RefusedError: when a newer engine took over: this one must stop.
        """
        try:
            self.ledger.commit(name, [Check(TERMS, "engine", self.term.number), *writes])
        except ConflictError:
            stored = self.ledger.get(TERMS, "engine")
            if stored is not None and stored.version == self.term.number:
                return False
            raise RefusedError(
                f"the term {self.term.number} of this engine is over: another engine took over",
                fix="stop this engine; only one may work on a store",
            ) from None
        return True
