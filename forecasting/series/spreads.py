"""Quantiles by the errors to be expected, where a series has shown few errors of its own.

How far a forecast errs differs by series, hour and horizon. Where only a few nights have been gone
through, a series' own errors are too few to tell, and those of all series in one unit are too
wide for most of them. So the mean absolute error is learned over all series: a generalised linear
model of the gamma family with a logarithmic link (Nelder and Wedderburn, 1972) on what
`forecasting.series.traits` reads from the past. Each series' own errors move it by a factor that is
shrunk to 1. The quantiles are those of all errors in units of what was expected of them (locally
weighted split conformal prediction; Lei et al., 2018, section 5.2): the expectation for an error
comes from a model that did not see its series, and a factor that did not see its day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasting.series.panel import DAY, Index, Mask, Vector

_FOLDS = 3
_SHRUNK_HOURS = 6.0 * DAY
"""How many hours of a series' own errors those of all series count for."""
_LEAST_ERROR = 0.02
"""In daily changes: an error of nothing is rounding or luck."""
_LEAST_ROWS = 2_000
"""Known errors below which nothing is learned from them."""
_PENALTY = 1e-3
_STEPS = 30
_LONGEST_STEP = 0.5
_MOST_RATIO = 50.0
"""Of an error to what is expected: one that is larger moves a model no further."""
_MOST_DEVIATIONS = 5.0
"""Traits are held within so many deviations of those that were learned from."""
_MEDIAN = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What n series showed at o origins in time order.

    origins: (o,) first hour to forecast; unit: (o, n) daily changes, 0 for a constant series;
    medians, actual: (o, n, h), NaN where unknown; traits: (o, n, h, k).
    """

    origins: Index
    unit: Vector
    medians: Vector
    actual: Vector
    traits: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Errors:
    """m known errors in daily changes with their traits (m, k), series and days."""

    traits: Vector
    scaled: Vector
    series: Index
    days: Index


def quantiles(shown: Shown, place: int, levels: Sequence[float]) -> Vector | None:
    """Return (n, t, levels) of an origin for the t horizons of which an error was known before it.

    Args:
        shown: Several origins of all series.
        place: Which of the origins; what comes after it is not looked at.
        levels: Rising levels within 0 and 1. That of 0.5 is the median as it is.

    Returns:
        None where too few errors were known.
    """
    known = _known(shown, place)
    told = np.flatnonzero(known.any(axis=(0, 1)))
    if known.sum() < _LEAST_ROWS:
        return None
    errors = _errors(shown, known)
    model = _Model.fit(errors.traits, errors.scaled)
    apart = np.abs(errors.scaled) / _expected_apart(errors)
    count = shown.unit.shape[1]
    factors = _own_factors(errors, apart, count)
    scores = np.sign(errors.scaled) * apart / _factors_apart(errors, apart, count)
    horizons = int(told[-1]) + 1
    ahead = model.expected(shown.traits[place, :, :horizons])
    widths = ahead * (shown.unit[place] * factors)[:, None]
    medians = shown.medians[place, :, :horizons]
    found = medians[:, :, None] + widths[:, :, None] * _offsets(scores, levels)
    return np.asarray(np.maximum(found, 0.0), dtype=np.float64)


def _known(shown: Shown, place: int) -> Mask:
    """Return (o, n, h): whether an error was known before an origin, in a unit that is one."""
    hours = np.arange(shown.actual.shape[2])
    ended = shown.origins[:, None] + hours[None, :] < shown.origins[place]
    measured = ~np.isnan(shown.actual) & (shown.unit > 0)[:, :, None]
    return np.asarray(ended[:, None, :] & measured, dtype=np.bool_)


def _errors(shown: Shown, known: Mask) -> _Errors:
    """Return the known errors."""
    origins, series, hours = np.nonzero(known)
    far = shown.actual[known] - shown.medians[known]
    return _Errors(
        traits=shown.traits[known].astype(np.float64),
        scaled=far / shown.unit[origins, series],
        series=series,
        days=(shown.origins[origins] + hours - int(shown.origins[0])) // DAY,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """A mean absolute error, log-linear in standardised traits."""

    middles: Vector
    deviations: Vector
    weights: Vector

    @classmethod
    def fit(cls, traits: Vector, scaled: Vector) -> _Model:
        """Return the model of (m, k) traits and (m,) errors, by Fisher's scoring."""
        middles, deviations = traits.mean(axis=0), traits.std(axis=0)
        deviations = np.where(deviations > 0, deviations, 1.0)
        rows = _rows(traits, middles, deviations)
        size = np.abs(scaled) + _LEAST_ERROR
        penalty = np.full(rows.shape[1], _PENALTY * len(rows))
        penalty[0] = 0.0
        inverse = np.linalg.inv(rows.T @ rows + np.diag(penalty + 1e-9))
        weights = np.zeros(rows.shape[1])
        weights[0] = np.log(size.mean())
        for _ in range(_STEPS):
            ratio = np.minimum(size / np.exp(rows @ weights), _MOST_RATIO)
            step = inverse @ (rows.T @ (ratio - 1.0) - penalty * weights)
            weights = weights + np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
        return cls(middles=middles, deviations=deviations, weights=weights)

    def expected(self, traits: Vector | NDArray[np.float32]) -> Vector:
        """Return the mean absolute errors of (..., k) traits."""
        rows = _rows(traits, self.middles, self.deviations)
        return np.asarray(np.exp(rows @ self.weights), dtype=np.float64)


def _rows(traits: Vector | NDArray[np.float32], middles: Vector, deviations: Vector) -> Vector:
    """Return standardised traits after a column of ones."""
    standard = np.clip((traits - middles) / deviations, -_MOST_DEVIATIONS, _MOST_DEVIATIONS)
    ones = np.ones((*standard.shape[:-1], 1))
    return np.concatenate([ones, standard], axis=-1)


def _expected_apart(errors: _Errors) -> Vector:
    """Return what a model expects of each error that has not seen its series."""
    expected = np.empty(len(errors.scaled))
    fold = errors.series % _FOLDS
    for number in range(_FOLDS):
        inside = fold == number
        model = _Model.fit(errors.traits[~inside], errors.scaled[~inside])
        expected[inside] = model.expected(errors.traits[inside])
    return expected


def _own_factors(errors: _Errors, apart: Vector, count: int) -> Vector:
    """Return (n,) how much more a series errs than is expected, shrunk to 1."""
    sums = np.bincount(errors.series, weights=apart, minlength=count).astype(np.float64)
    hours = np.bincount(errors.series, minlength=count).astype(np.float64)
    return _shrunk(sums, hours, float(apart.mean()))


def _factors_apart(errors: _Errors, apart: Vector, count: int) -> Vector:
    """Return the factor of each error's series by its errors on other days."""
    days = int(errors.days.max()) + 1
    key = errors.series * days + errors.days
    sums = np.bincount(key, weights=apart, minlength=count * days).reshape(count, days)
    hours = np.bincount(key, minlength=count * days).astype(np.float64).reshape(count, days)
    others = _shrunk(
        sums.sum(axis=1, keepdims=True) - sums,
        hours.sum(axis=1, keepdims=True) - hours,
        float(apart.mean()),
    )
    return np.asarray(others[errors.series, errors.days], dtype=np.float64)


def _shrunk(sums: Vector, hours: Vector, mean: float) -> Vector:
    """Return means of errors over that of all, with `_SHRUNK_HOURS` of the latter among them."""
    least = max(mean, 1e-12)
    return np.asarray((sums / least + _SHRUNK_HOURS) / (hours + _SHRUNK_HOURS), dtype=np.float64)


def _offsets(scores: Vector, levels: Sequence[float]) -> Vector:
    """Return the quantiles of scores: above the median at least 0, below it at most 0."""
    asked = np.asarray(levels)
    found = np.quantile(scores, asked, method="inverted_cdf")
    found = np.where(asked > _MEDIAN, np.maximum(found, 0.0), np.minimum(found, 0.0))
    return np.where(asked == _MEDIAN, 0.0, found)
