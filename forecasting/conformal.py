"""Quantiles from residuals: split conformal where there are enough, wider where there are few.

With n exchangeable residuals the smallest value that covers a new one with probability q is the
residual of rank ceil((n + 1) q) (Vovk et al., 2005; Lei et al., 2018). Where that rank is above n
no residual is large enough, and Student's t with a prior spread takes over, so that a forecast
from two runs is much wider than one from fifty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from statistics import NormalDist

from engine.model.profiles import QUANTILE_LEVELS, Quantiles

_PRIOR_WEIGHT = 5.0
"""How many residuals the prior spread counts for."""
_ENOUGH = 100
"""From here on no level needs more residuals than there are."""


def student_quantile(level: float, freedom: float) -> float:
    """Return a quantile of Student's t by the expansion of Abramowitz and Stegun (26.7.5).

    Within 2 % for `freedom` of at least 3 and levels up to 0.99.
    """
    z = NormalDist().inv_cdf(level)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def offsets(residuals: Sequence[float], prior_spread: float) -> tuple[float, ...]:
    """Return what to add to a median for each of `QUANTILE_LEVELS`; rising, from the median's own.

    Args:
        residuals: Actual minus forecast of held-out cases, on the scale of the forecast.
        prior_spread: Standard deviation that is assumed before there are residuals.
    """
    ordered = sorted(residuals)
    count = len(ordered)
    if count >= _ENOUGH:
        ranks = (math.ceil((count + 1) * level) for level in QUANTILE_LEVELS)
        return tuple(ordered[rank - 1] for rank in ranks)
    centre = _median(ordered) * count / (count + 1.0)
    squares = sum((value - centre) ** 2 for value in ordered)
    freedom = _PRIOR_WEIGHT + count
    spread = math.sqrt((_PRIOR_WEIGHT * prior_spread**2 + squares) / freedom)
    spread *= math.sqrt(1.0 + 1.0 / freedom)
    values = [centre]
    for level in QUANTILE_LEVELS[1:]:
        rank = math.ceil((count + 1) * level)
        assumed = centre + student_quantile(level, freedom) * spread
        covers = ordered[rank - 1] if rank <= count else max(assumed, *ordered[-1:], centre)
        values.append(covers)
    return tuple(accumulate(values, max))


def rising(values: Sequence[float]) -> Quantiles:
    """Return five values as quantiles: not negative, and never crossing."""
    p50, p80, p90, p95, p99 = accumulate((max(float(value), 0.0) for value in values), max)
    return Quantiles(p50=p50, p80=p80, p90=p90, p95=p95, p99=p99)


def _median(ordered: Sequence[float]) -> float:
    """Return the median of sorted values; 0 of none."""
    if not ordered:
        return 0.0
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
