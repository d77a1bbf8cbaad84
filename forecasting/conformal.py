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
_STEP = 0.01
_FIRST_FOLLOWED = 8
"""Before so many residuals the quantiles are mostly prior, and their misses teach nothing."""
_MOST_LEVEL = 0.9995


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


def offsets(
    residuals: Sequence[float],
    prior_spread: float,
    *,
    independent: int | None = None,
    levels: Sequence[float] = QUANTILE_LEVELS,
) -> tuple[float, ...]:
    """Return what to add to a median for each of `QUANTILE_LEVELS`; they rise.

    Args:
        residuals: Actual minus forecast of held-out cases, on the scale of the forecast.
        prior_spread: Standard deviation that is assumed before there are residuals.
        independent: How many of the residuals are as good as independent: errors of one day
            are much alike. All of them unless said.
        levels: What to cover in place of `QUANTILE_LEVELS`, where coverage is being repaired.
    """
    ordered = sorted(residuals)
    count = len(ordered)
    effective = min(count, independent or count)
    ranks = [math.ceil((effective + 1) * level) for level in levels]
    values = [
        ordered[math.ceil(rank * count / effective) - 1] if rank <= effective else math.nan
        for rank in ranks
    ]
    if math.isnan(values[-1]):
        values = _widened(ordered, values, prior_spread, effective, levels)
    return tuple(accumulate(values, max))


def _widened(
    ordered: Sequence[float],
    values: Sequence[float],
    prior_spread: float,
    effective: int,
    levels: Sequence[float],
) -> list[float]:
    """Return offsets where the upper ones are not known: Student's t with a prior spread."""
    share = effective / len(ordered) if ordered else 0.0
    centre = _median(ordered) * effective / (effective + 1.0)
    squares = share * sum((value - centre) ** 2 for value in ordered)
    freedom = _PRIOR_WEIGHT + effective
    spread = math.sqrt((_PRIOR_WEIGHT * prior_spread**2 + squares) / freedom)
    spread *= math.sqrt(1.0 + 1.0 / freedom)
    widened = [centre]
    for level, value in zip(levels[1:], values[1:], strict=True):
        assumed = centre + student_quantile(level, freedom) * spread
        widened.append(max(assumed, *ordered[-1:], centre) if math.isnan(value) else value)
    return widened


def followed(residuals: Sequence[float], prior_spread: float) -> tuple[float, ...]:
    """Return the levels to ask for, moved by what earlier quantiles really covered.

    Each residual is told from those before it; after a miss the level of the next quantile is
    raised, after a hit lowered by a little (adaptive conformal inference, Gibbs and Candes, 2021).
    The median stays.

    Args:
        residuals: In order of time.
        prior_spread: As in `offsets`.
    """
    moved = list(QUANTILE_LEVELS)
    for count in range(_FIRST_FOLLOWED, len(residuals)):
        told = offsets(residuals[:count], prior_spread, levels=moved)
        for place, level in enumerate(QUANTILE_LEVELS[1:], start=1):
            covered = residuals[count] <= told[place]
            step = _STEP * (level - float(covered))
            moved[place] = min(max(moved[place] + step, moved[place - 1]), _MOST_LEVEL)
    return tuple(moved)


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
