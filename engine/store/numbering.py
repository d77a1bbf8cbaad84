"""Numbers that the store counts up: those of runs, and the engine's term."""

from __future__ import annotations

from engine.model.errors import ConflictError
from engine.model.identifiers import RunId
from engine.model.records import ABSENT, RUNS, TERMS, Put, Term
from engine.ports import Clock, Ledger

_ATTEMPTS = 10


def next_run_id(ledger: Ledger) -> RunId:
    """Return the lowest `r-N` above all runs.

    The caller creates the run with `expected=ABSENT`, so that of two callers with the same id
    one gets a `ConflictError` and asks again.
    """
    newest = ledger.select(RUNS, order_by="created_at", descending=True, limit=100)
    number = 1 + max((_number(stored.value.run_id) for stored in newest), default=0)
    # A clock that was set back hides newer numbers behind older times.
    while ledger.get(RUNS, f"r-{number}") is not None:
        number += 1
    return RunId(f"r-{number}")


def _number(run_id: RunId) -> int:
    return int(run_id.removeprefix("r-"))


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
