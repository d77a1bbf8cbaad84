"""Scores of a ranking in which ties count by expectation."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

TIE = 1e-9


def hit(scores: Mapping[str, float], truth: str, most: int) -> float:
    """Return the probability that the truth is among the first, ties drawn at random."""
    if truth not in scores:
        return 0.0
    mine = scores[truth]
    above = sum(score > mine + TIE for score in scores.values())
    equal = sum(abs(score - mine) <= TIE for score in scores.values())
    return min(1.0, max(0.0, (most - above) / equal))


def average_hit(scores: Mapping[str, float], truth: str, most: int = 5) -> float:
    """Return the mean of `hit` over 1 to `most` (Avg@5)."""
    return statistics.fmean(hit(scores, truth, k) for k in range(1, most + 1))


def mean(values: Sequence[float]) -> float:
    """Return the mean, 0 where there is none."""
    return statistics.fmean(values) if values else 0.0
