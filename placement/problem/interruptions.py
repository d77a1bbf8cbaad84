"""Runs on machines that may be taken away: how long they last, and what they cost then.

Interruptions come at a steady rate. A run that is cut off starts again from its beginning, so that
one of length h ends at its first try with probability exp(-rate h), and takes (exp(rate h) - 1) /
rate hours on average (the restart model of checkpointing, Daly 2006, without checkpoints).
"""

from __future__ import annotations

import math

from engine.model.profiles import QUANTILE_LEVELS, Quantiles

MOST_TRIES = 10.0
"""A run that needs more tries than so many on average is better not begun."""

MOST_CUTS = 1_000
"""A run that may be cut off more often is as good as one without end: so often is enough, and times
stay within 64 bits."""

_HOUR_SECONDS = 3600.0


def expected_tries(seconds: float, per_hour: float) -> float:
    """Return how often a run of a length begins, on average, before it ends."""
    # Beyond any number that is of use the power only has to stay a number.
    return math.exp(min(per_hour * seconds / _HOUR_SECONDS, 100.0))


def expected_seconds(seconds: float, per_hour: float) -> float:
    """Return how long a run of a length holds machines on average, lost tries included."""
    if per_hour <= 0:
        return seconds
    return (expected_tries(seconds, per_hour) - 1.0) / per_hour * _HOUR_SECONDS


def lasting(duration: Quantiles, per_hour: float) -> Quantiles:
    """Return how long runs last, by level: no longer than this with at least its probability.

    At a level q a run of length d is cut off as often as with probability q at most, and every try
    that is lost counts as if it were lost at its end: a little too long, never too short.
    """
    if per_hour <= 0:
        return duration
    values = [
        seconds * (1 + _cuts(level, seconds, per_hour))
        for level, seconds in zip(QUANTILE_LEVELS, duration.values, strict=True)
    ]
    return Quantiles(**dict(zip(("p50", "p80", "p90", "p95", "p99"), values, strict=True)))


def _cuts(level: float, seconds: float, per_hour: float) -> int:
    """Return the fewest interruptions that no more come than with a probability of `level`."""
    ends = 1.0 / expected_tries(seconds, per_hour)
    if ends >= 1.0:
        return 0
    # Where a try hardly ever ends, 1 - ends is 1 to a computer, whose logarithm is nothing.
    cuts = math.log(1.0 - level) / math.log1p(-ends)
    return max(math.ceil(min(cuts, MOST_CUTS) - 1e-9) - 1, 0)


def longest_seconds(duration: Quantiles, per_hour: float, nodes: int) -> float:
    """Return how long a run may last at P99 on up to so many nodes, where it is worth beginning."""
    most = math.log(MOST_TRIES) * _HOUR_SECONDS / max(duration.mean, 1e-9)
    return lasting(duration, min(per_hour * nodes, most)).p99
