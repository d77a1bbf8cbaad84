"""Tests of one value against a reference: pure functions, each with its expected band.

A p-value is the probability of a value at least so far out, were everything normal. Counts use
the conditional test of two Poisson rates (Przyborowski and Wilenski 1940) and its
over-dispersed normal form; shares the beta-binomial predictive distribution with Jeffreys'
prior; gauges a Student t with the median and the median absolute deviation, whose degrees of
freedom are cut to the efficiency of that estimate (37 %).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from alarms.detection.memory import NORMAL_MAD, Sample, Spread, median_sorted
from alarms.detection.settings import Worse

MAD_EFFICIENCY = 0.37
MEDIAN_ERROR = math.sqrt(math.pi / 2)
"""Standard error of a median in standard errors of a mean, for normal values."""
NARROWEST = 0.25
"""Least share of the variance of a series that values which follow one another are taken for."""
SKEW_FROM = 0.25
"""Bowley skewness of a window from which positive values are tested as logarithms."""
SCATTER_FREEDOM = 20.0
"""Degrees of freedom up to which the scatter of a whole series fills up those of a reference."""
LOGARITHM_MOST = 700.0
"""With few values at a strict level a band of logarithms may be wider than any number."""
EXACT_TRIALS = 2_000
"""Up to so many trials shares are tested exactly; above, the normal form is as good."""
DISPERSION_EXACT = 1.2
"""Counts whose variance is at most so many times their mean count as Poisson."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How far one value is from normal.

    statistic: signed, positive above; usual: the level compared with; low, high: the band in
    which a value is normal, in the unit of the value; said: what else there is to say, in words.
    """

    test: str
    value: float
    statistic: float
    p_value: float
    usual: float
    low: float
    high: float
    said: str = ""

    def is_outside(self, level: float, worse: Worse) -> bool:
        """Return whether the value is outside its band, significantly, to the bad side."""
        if self.p_value > level or self.low <= self.value <= self.high:
            return False
        if worse is Worse.HIGHER:
            return self.statistic > 0
        return self.statistic < 0 if worse is Worse.LOWER else True


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of one value: the finding, and whether it is outside what is normal."""

    finding: Finding
    outside: bool


UNKNOWN = Spread(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Scatters:
    """How well a series was foretold so far: in its own unit, and on the scale of ratios.

    ratios: of logarithms of a gauge, of Anscombe's roots of a count.
    """

    plain: Spread = UNKNOWN
    ratios: Spread = UNKNOWN


NOTHING_KNOWN = Scatters()


def gauge(
    value: float,
    reference: Sample,
    *,
    level: float,
    effect: float,
    following: float = 0.0,
    known: Scatters = NOTHING_KNOWN,
) -> Finding:
    """Return the robust z-test of a level against a reference of earlier values.

    Positive references that are skewed to the right are compared as logarithms.
    effect: smallest change that matters, as a share of the usual level.
    following: correlation of a value with the one before it, from 0 to below 1. Values that follow
        one another say less than as many that do not (Bartlett 1946): they lie too close together,
        and their median and spread are those of few.
    known: how well earlier values were foretold.
    """
    values = reference.values
    logarithmic = values[0] > 0 and value > 0 and _bowley(values) > SKEW_FROM
    middle = reference.median()
    if logarithmic:
        logs = [math.log(entry) for entry in values]
        centre, spread = _centre_and_spread(logs)
        seen = math.log(value)
    else:
        centre, spread = middle, reference.deviation()
        seen = value
    count = len(values)
    floor = 0.02 if logarithmic else max(0.02 * abs(middle), 1e-9)
    scale = max(spread, _share_of_range(values, logarithmic=logarithmic), floor)
    worth = max(1.0, count * (1 - following) / (1 + following))
    scale /= math.sqrt(max(NARROWEST, 1 - (count / worth - 1) / (count - 1)))
    scale *= math.sqrt(1 + MEDIAN_ERROR**2 / worth)
    squares = count * (1 - following**2) / (1 + following**2)
    freedom = max(2.0, MAD_EFFICIENCY * (squares - 1))
    scale, freedom = moderated(scale, freedom, known.ratios if logarithmic else known.plain)
    statistic = (seen - centre) / scale
    p_value = 2 * float(special.stdtr(freedom, -abs(statistic)))
    reach = -float(special.stdtrit(freedom, level / 2)) * scale
    low, high = centre - reach, centre + reach
    if logarithmic:
        low, high = math.exp(max(low, -LOGARITHM_MOST)), math.exp(min(high, LOGARITHM_MOST))
    margin = effect * abs(middle)
    return Finding(
        test="robust z of logarithms" if logarithmic else "robust z",
        value=value,
        statistic=statistic,
        p_value=p_value,
        usual=middle,
        low=min(low, middle - margin),
        high=max(high, middle + margin),
    )


def moderated(scale: float, freedom: float, known: Spread) -> tuple[float, float]:
    """Return scale and degrees of freedom, with what is known beside the reference.

    It counts only as far as the reference says too little by itself. A scale only grows by it:
    where a slot scatters more than the rest, its own scatter counts.
    """
    more = min(known.freedom, max(0.0, SCATTER_FREEDOM - freedom))
    variance = (freedom * scale**2 + more * known.variance) / (freedom + more)
    return max(scale, math.sqrt(variance)), freedom + more


def _bowley(values: list[float]) -> float:
    """Return the octile skewness of sorted values, between -1 and 1."""
    last = len(values) - 1
    low, high = values[last // 8], values[last - last // 8]
    if high == low:
        return 0.0
    return (high + low - 2 * median_sorted(values)) / (high - low)


def _centre_and_spread(values: list[float]) -> tuple[float, float]:
    """Return median and normal-consistent deviation of sorted values."""
    centre = median_sorted(values)
    return centre, NORMAL_MAD * median_sorted(sorted(abs(entry - centre) for entry in values))


def _share_of_range(values: list[float], *, logarithmic: bool) -> float:
    """Return a spread that does not vanish where most values are equal but not all.

    The median absolute deviation of a series that mostly repeats one value is zero; a sixth
    of the central 90 % is what its range would be for a normal series, at least.
    """
    last = len(values) - 1
    low, high = values[last // 20], values[last - last // 20]
    return (math.log(high / low) if logarithmic else high - low) / 6


def count(
    value: float,
    reference: Sample,
    *,
    level: float,
    effect: float,
    known: Spread = UNKNOWN,
) -> Finding:
    """Return the test of a count against the counts of earlier windows of the same length.

    Exact while the reference is no wider than Poisson; else normal after Anscombe's square
    root, with the reference's own spread and what is known of how well the series was foretold.
    """
    windows = len(reference)
    usual = reference.total / windows
    spread = _anscombe_spread(reference)
    z_level = -float(special.ndtri(level / 2))
    predictive = math.sqrt(1 + 1 / windows)
    if spread**2 <= DISPERSION_EXACT:
        p_value = rate_p_value(value, reference.total, 1 / (1 + windows))
        scale, test = predictive, "Poisson, exact"
        centre = usual
    else:
        scale, test = spread * predictive, "robust z of counts"
        centre = reference.median()
        # The spread is itself an estimate, from its median absolute deviation.
        freedom = max(2.0, MAD_EFFICIENCY * (windows - 1))
        scale, freedom = moderated(scale, freedom, known)
        p_value = 2 * float(special.stdtr(freedom, -abs(root(value) - root(centre)) / scale))
        z_level = -float(special.stdtrit(freedom, level / 2))
    statistic = (root(value) - root(centre)) / scale
    reach = z_level * scale
    low = max(0.0, (max(0.0, root(centre) - reach) / 2) ** 2 - 3 / 8)
    high = ((root(centre) + reach) / 2) ** 2 - 3 / 8
    return Finding(
        test=test,
        value=value,
        statistic=statistic,
        p_value=p_value,
        usual=usual,
        low=max(0.0, min(low, centre * (1 - effect))),
        high=max(high, centre * (1 + effect)),
    )


def root(value: float) -> float:
    """Return Anscombe's transform: about normal with variance 1 for Poisson counts."""
    return 2 * math.sqrt(max(value, 0.0) + 3 / 8)


def _anscombe_spread(reference: Sample) -> float:
    """Return the spread of transformed counts, at least 1 (Poisson)."""
    roots = [root(value) for value in reference.values]
    return max(1.0, _centre_and_spread(roots)[1])


def rate_p_value(value: float, total: float, share: float) -> float:
    """Return the two-sided p-value of `value` events against `total` in the reference.

    Given their sum, events fall into the tested window with probability `share`.
    """
    events = round(value) + round(total)
    below = float(special.bdtr(round(value), events, share))
    above = 1.0 if round(value) == 0 else float(special.bdtrc(round(value) - 1, events, share))
    return min(1.0, 2 * min(below, above))


def share(
    value: float,
    trials: float,
    hits: float,
    reference_trials: float,
    *,
    level: float,
    effect: float,
) -> Finding:
    """Return the test of a share of `trials` against `hits` of `reference_trials`.

    effect: smallest change that matters, in points.
    """
    usual = hits / reference_trials
    smooth = (hits + 0.5) / (reference_trials + 1)
    variance = smooth * (1 - smooth) * (1 / trials + 1 / reference_trials)
    error = math.sqrt(variance)
    statistic = (value - smooth) / error
    if trials <= EXACT_TRIALS:
        misses = reference_trials - hits
        p_value = beta_binomial_p_value(round(value * trials), round(trials), hits, misses)
    else:
        p_value = 2 * float(special.ndtr(-abs(statistic)))
    reach = max(-float(special.ndtri(level / 2)) * error, effect)
    return Finding(
        test="beta-binomial" if trials <= EXACT_TRIALS else "two shares, normal",
        value=value,
        statistic=statistic,
        p_value=p_value,
        usual=usual,
        low=max(0.0, usual - reach),
        high=min(1.0, usual + reach),
    )


def beta_binomial_p_value(hits: int, trials: int, past_hits: float, past_misses: float) -> float:
    """Return the two-sided predictive p-value of `hits` in `trials` after a past of both."""
    a, b = past_hits + 0.5, past_misses + 0.5
    counts = np.arange(trials + 1, dtype=float)
    logs = (
        special.gammaln(trials + 1)
        - special.gammaln(counts + 1)
        - special.gammaln(trials - counts + 1)
        + special.betaln(counts + a, trials - counts + b)
        - special.betaln(a, b)
    )
    masses = np.exp(logs)
    below, above = float(masses[: hits + 1].sum()), float(masses[hits:].sum())
    return min(1.0, 2 * min(below, above))


@dataclass(frozen=True, slots=True)
class Reference:
    """A feature as it was trained on: what windows are compared with."""

    name: str
    centre: float
    deviation: float
    rows: float

    def error(self, weight: float) -> float:
        """Return the standard error of the difference to a window of so many rows."""
        factor = MEDIAN_ERROR if self.name == "median" else 1.0
        rows = 1 / weight + (1 / self.rows if self.rows > 1 else 0.0)
        return factor * self.deviation * math.sqrt(rows)


def shift(
    value: float,
    reference: Reference,
    *,
    rows: float,
    error: float,
    level: float,
    effect: float,
) -> Finding:
    """Return the two-sided test of a mean or median of some rows against a measured reference.

    The tails are Student's with `rows` - 1 degrees of freedom although the spread is known: in
    small windows of a skewed feature one extreme row must not look like a shift of all.

    error: standard error of the difference; effect: smallest shift that matters, in standard
    deviations of single values in the reference.
    """
    statistic = (value - reference.centre) / error
    freedom = max(1.0, rows - 1)
    reach = max(-float(special.stdtrit(freedom, level / 2)) * error, effect * reference.deviation)
    return Finding(
        test=f"t of the {reference.name} against its reference",
        value=value,
        statistic=statistic,
        p_value=2 * float(special.stdtr(freedom, -abs(statistic))),
        usual=reference.centre,
        low=reference.centre - reach,
        high=reference.centre + reach,
    )
