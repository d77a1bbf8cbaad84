"""Which of several engines on one store leads, and under which term.

The lease stands in the store beside the term, and both change in one commit: whoever takes over
ends the term of the former leader, whose next write is refused, wherever it was halted. Time is
measured by each engine on a monotonic clock of its own and never written down (the rule of
client-go's leader election; Gray and Cheriton, Leases, 1989).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import replace

from engine.model.errors import ConflictError
from engine.model.records import ABSENT, LEASES, TERMS, Check, Lease, Put, Stored, Term
from engine.ports import Clock, Ledger

LEASE_SECONDS = 15.0
_RENEWED_WITHIN = 2.0 / 3.0
# Of the lease: a leader that could not renew for so long stands back before others take over.


class Elector:
    """Takes the lease when nobody renews it, and renews it; one thread at a time may `look`.

    process: who asks, for people. monotonic: seconds that never jump, and go on while halted.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        process: str,
        *,
        seconds: float = LEASE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._process = process
        self._seconds = seconds
        self._monotonic = monotonic
        self._me = f"{process} {uuid.uuid4().hex[:8]}"
        self._seen: Stored[Lease] | None = None
        self._seen_at = monotonic()
        self._term: Term | None = None
        self._renewed_at = 0.0

    @property
    def term(self) -> Term | None:
        """The term of this engine while it leads, or None; may be asked by any thread."""
        fresh = self._monotonic() - self._renewed_at < self._seconds * _RENEWED_WITHIN
        return self._term if fresh else None

    @property
    def leader(self) -> str:
        """Who leads as far as is known, "" when nobody does."""
        return self._seen.value.holder.rpartition(" ")[0] if self._seen else ""

    def look(self) -> Term | None:
        """Renew the lease, or take it when nobody does; return the term while this engine leads.

        A lease that could not be renewed in time and that nobody took is renewed all the same:
        nobody led in between, so that the term goes on.

        Raises:
            RetryableError: when the store does not answer; whether this engine still leads is
                told by `term`.
        """
        began = self._monotonic()
        stored = self._ledger.get(LEASES, "engine")
        if self._term is not None and (stored is None or stored.value.holder != self._me):
            self._term = None
        if self._seen is None or stored is None or stored.version != self._seen.version:
            self._seen, self._seen_at = stored, self._monotonic()
        try:
            if self._term is not None:
                self._renew(began, stored, self._term)
            elif self._is_free(stored):
                self._take(began, stored)
        except ConflictError:
            # Somebody else wrote first; the next look tells who.
            self._term = None
        return self.term

    def release(self) -> None:
        """Give the lease back, so that another engine takes over at once.

        Raises:
            RetryableError: when the store does not answer; others wait for the lease to end.
        """
        term, self._term = self._term, None
        stored = self._ledger.get(LEASES, "engine")
        if term is None or stored is None or stored.value.holder != self._me:
            return
        given = Put(LEASES, replace(stored.value, holder=""), stored.version)
        try:
            self._ledger.commit("store.lease-released", [given])
        except ConflictError:
            return

    def _is_free(self, stored: Stored[Lease] | None) -> bool:
        # One that is ours without a term was taken by a commit whose answer got lost.
        if stored is None or stored.value.holder in {"", self._me}:
            return True
        return self._monotonic() - self._seen_at >= stored.value.seconds

    def _take(self, began: float, stored: Stored[Lease] | None) -> None:
        former = self._ledger.get(TERMS, "engine")
        ended = former.version if former else ABSENT
        term = Term(number=ended + 1, started_at=self._clock.now(), process=self._process)
        lease = Lease(holder=self._me, seconds=self._seconds)
        version = stored.version if stored else ABSENT
        self._ledger.commit("store.lease", [Put(LEASES, lease, version), Put(TERMS, term, ended)])
        self._term, self._renewed_at = term, began

    def _renew(self, began: float, stored: Stored[Lease] | None, term: Term) -> None:
        assert stored is not None  # noqa: S101 - asked before
        lease = replace(stored.value, renewals=stored.value.renewals + 1, seconds=self._seconds)
        renewed = Put(LEASES, lease, stored.version)
        self._ledger.commit("store.lease-renewed", [Check(TERMS, "engine", term.number), renewed])
        self._renewed_at = began
