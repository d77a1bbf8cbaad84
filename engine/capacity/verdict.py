"""The report's first sentence: until when there is enough, and what to do then."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from engine.model.capacity import PoolOutlook

_MILLION = 1_000_000


def verdict(pools: Sequence[PoolOutlook], until: float) -> str:
    """Return what a person must know who reads nothing else; times are UTC.

    until: end of the horizon.
    """
    if not pools:
        return "No demand was given, so nothing can be said."
    short = sorted(
        (pool for pool in pools if pool.short_from is not None), key=lambda p: p.short_from or 0.0
    )
    if not short:
        return f"Enough of {_names(pools)} until {_day(until)} (P95), the end of the horizon."
    first = short[0]
    sentences = [_when(first), _what(first), _answer(first)]
    if len(short) > 1:
        also = "; ".join(f"{pool.pool} from {_day(pool.short_from or 0.0)}" for pool in short[1:])
        sentences.append(f"Also short: {also}.")
    enough = [pool for pool in pools if pool.short_from is None]
    if enough:
        sentences.append(f"Enough of {_names(enough)}.")
    return " ".join(sentences)


def _when(pool: PoolOutlook) -> str:
    """Return until when there is enough."""
    if pool.short_from == pool.forecast.starts_at:
        return "Not enough already (P95):"
    return f"Enough until {_day(pool.short_from or 0.0)} (P95). Then"


def _what(pool: PoolOutlook) -> str:
    """Return how much is missing for how long."""
    hours = len(pool.forecast.hours)
    share = 100 * pool.hours_short / hours
    by = max(pool.short_by, 1.0)
    return (
        f"{by:,.0f} {pool.pool} short at most, in {pool.hours_short} of {hours} hours "
        f"({share:.1f} %)."
    )


def _answer(pool: PoolOutlook) -> str:
    """Return the cheapest answer with its cost, or that the fleet has none."""
    if pool.answer is None:
        return f"No answer has a price: the fleet has no {pool.pool}."
    cost = pool.answer.cost_micro_dollars_per_month / _MILLION
    price = f"${cost:,.0f} a month" if cost else "at no cost"
    return f"Cheapest answer: {pool.answer.name} ({pool.answer.description}), {price}."


def _names(pools: Sequence[PoolOutlook]) -> str:
    """Return the names of pools in a sentence."""
    return ", ".join(pool.pool for pool in pools)


def _day(at: float) -> str:
    """Return an instant as day and hour: `9 Dec 14:00`."""
    time = datetime.datetime.fromtimestamp(at, datetime.UTC)
    return f"{time.day} {time:%b %H:%M}"
