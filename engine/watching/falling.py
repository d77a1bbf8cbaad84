"""When a share fell: whether at a change, or at another time. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from engine.model.signals import Signal

SURE = 9.0
"""Twice the logarithm of how much likelier another time must be: three deviations."""


def elsewhere(values: Sequence[Signal], changed_at: float) -> float | None:
    """Return when a share moved, where that is surely not when something changed; else None.

    values: of one share with its trials, oldest first. Compared are the likelihoods of two
    binomial shares, one before and one after an instant, at the change and at the instant that
    explains the values best.
    """
    trials = [one.weight for one in values]
    hits = [one.value * one.weight for one in values]
    change = sum(one.at <= changed_at for one in values)
    if not 0 < change < len(values):
        return None
    all_hits, all_trials = math.fsum(hits), math.fsum(trials)
    best, place, at_change = -math.inf, change, 0.0
    left_hits = left_trials = 0.0
    for number in range(1, len(values)):
        left_hits += hits[number - 1]
        left_trials += trials[number - 1]
        found = _fit(left_hits, left_trials)
        found += _fit(all_hits - left_hits, all_trials - left_trials)
        if number == change:
            at_change = found
        if found > best:
            best, place = found, number
    return values[place].at if 2.0 * (best - at_change) >= SURE else None


def _fit(hits: float, trials: float) -> float:
    """Return the logarithm of the likelihood of so many hits at their own share."""
    parts = (hits, trials - hits)
    return math.fsum(part * math.log(part / trials) for part in parts if part > 0)
