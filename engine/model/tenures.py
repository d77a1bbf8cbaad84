"""Which model served when: the record by which a roll-back finds one that served well."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.model.identifiers import Digest

KEPT = 8
"""Models that a record remembers, the one that serves included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenure:
    """A model and when it served: from `since` until the next one did.

    until: None where no other is known to have served after it.
    """

    digest: Digest
    since: float
    until: float | None = None


def handed_over(known: tuple[Tenure, ...], digest: Digest, at: float) -> tuple[Tenure, ...]:
    """Return a record, oldest first, in which a model serves from an instant on.

    One that only starts again, as after its server was lost, goes on with its tenure.
    """
    if known and known[-1].digest == digest:
        return known
    ended = tuple(replace(last, until=at) for last in known[-1:])
    return (*known[:-1], *ended, Tenure(digest=digest, since=at))[-KEPT:]
