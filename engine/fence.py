"""Writes under the term of an engine: none of one that another has taken over."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from engine.model.errors import ConflictError, RefusedError
from engine.model.records import TERMS, Check, Term, Write
from engine.ports import Ledger

_LOG = logging.getLogger(__name__)


def commit(ledger: Ledger, term: Term, name: str, writes: Sequence[Write]) -> bool:
    """Write all or nothing under a term; false when somebody else wrote first.

    Then the caller leaves the matter to the next step, which sees the new state.

    Raises:
        RefusedError: when a newer engine took over: this one must stop.
    """
    try:
        ledger.commit(name, [Check(TERMS, "engine", term.number), *writes])
    except ConflictError:
        stored = ledger.get(TERMS, "engine")
        if stored is not None and stored.version == term.number:
            _LOG.info("%s: somebody else wrote first", name)
            return False
        raise RefusedError(
            f"the term {term.number} of this engine is over: another engine took over",
            fix="stop this engine; only one may work on a store",
        ) from None
    return True
