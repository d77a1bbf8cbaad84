"""The engine's term, which the store counts up."""

from __future__ import annotations

from engine.model.errors import ConflictError
from engine.model.records import ABSENT, TERMS, Put, Term
from engine.ports import Clock, Ledger

_ATTEMPTS = 10


def begin_term(ledger: Ledger, clock: Clock, process: str) -> Term:
    """Store and return a new term: from now on no engine with an older term can write.

    `Term.number` is also the version of the stored record, so `Check(TERMS, "engine", number)`
    in a batch lets it pass only while this term lasts.

    process: who begins it, for people (host and process id).

    Raises:
        ConflictError: when others began terms at the same time, ten times in a row.
    """
    for _ in range(_ATTEMPTS):
        stored = ledger.get(TERMS, "engine")
        version = stored.version if stored else ABSENT
        term = Term(number=version + 1, started_at=clock.now(), process=process)
        try:
            ledger.commit("store.term", [Put(TERMS, term, version)])
        except ConflictError:
            continue
        return term
    raise ConflictError(f"{_ATTEMPTS} terms were begun by others while {process!r} tried")
