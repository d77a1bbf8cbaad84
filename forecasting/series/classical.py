"""Classical methods of one series, by statsmodels: exponential smoothing and decomposition.

They serve as further candidates for a few series and as anchors of benchmarks; trees over all
series are faster and better on many.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from statsmodels.tsa.holtwinters import ExponentialSmoothing, SimpleExpSmoothing
from statsmodels.tsa.seasonal import MSTL

from forecasting.series.panel import DAY, WEEK, Vector

MOST_HOURS = 42 * DAY
"""Of history: more costs time and hardly changes what is smoothed exponentially."""
_FEWEST_DAYS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoothing:
    """Parameters of Holt-Winters: of level, trend and season, and the damping of the trend."""

    level: float
    trend: float
    season: float
    damping: float


def estimate(values: Vector) -> Smoothing | None:
    """Return the parameters that fit a series without gaps; None where it is short or constant.

    Additive season of a day and damped additive trend (Holt, 1957; Winters, 1960; Gardner and
    McKenzie, 1985), by least squares.
    """
    recent = values[-MOST_HOURS:]
    if len(recent) < _FEWEST_DAYS * DAY or np.ptp(recent) == 0:
        return None
    with warnings.catch_warnings():
        # Where the search does not converge its best point is still a set of parameters.
        warnings.simplefilter("ignore")
        found = _model(recent / np.abs(recent).max()).fit().params
    return Smoothing(
        level=float(found["smoothing_level"]),
        trend=float(found["smoothing_trend"]),
        season=float(found["smoothing_seasonal"]),
        damping=float(found["damping_trend"]),
    )


def holt_winters(values: Vector, hours: int, smoothing: Smoothing | None) -> Vector:
    """Return the forecast of the coming hours, at least 0; the last day again without parameters.

    Args:
        values: (known,) a series without gaps, of at least four days where there are parameters.
        hours: How many to forecast.
        smoothing: Parameters that were estimated at some earlier time.
    """
    if smoothing is None or len(values) < _FEWEST_DAYS * DAY:
        return np.asarray([values[-DAY + hour % DAY] for hour in range(hours)], dtype=np.float64)
    recent = values[-MOST_HOURS:]
    size = float(np.abs(recent).max()) or 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = _model(recent / size).fit(
            smoothing_level=smoothing.level,
            smoothing_trend=smoothing.trend,
            smoothing_seasonal=smoothing.season,
            damping_trend=smoothing.damping,
            optimized=False,
        )
    said = np.asarray(fitted.forecast(hours), dtype=np.float64) * size
    return np.maximum(np.nan_to_num(said, nan=float(recent[-1])), 0.0)


def holt_winters_afresh(values: Vector, hours: int) -> Vector:
    """Return the forecast with parameters and first state estimated now, about half a second.

    Args:
        values: (known,) a series without gaps, of at least four days.
        hours: How many to forecast.
    """
    recent = values[-MOST_HOURS:]
    if np.ptp(recent) == 0:
        return np.full(hours, float(recent[-1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = _model(recent, first="estimated").fit()
    return np.maximum(np.asarray(fitted.forecast(hours), dtype=np.float64), 0.0)


def decomposition(values: Vector, hours: int) -> Vector:
    """Return season of day and week again plus a smoothed rest (MSTL; Bandara et al., 2021).

    Args:
        values: (known,) a series without gaps, of at least two weeks and a day.
        hours: How many to forecast.
    """
    recent = values[-MOST_HOURS:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = MSTL(recent, periods=(DAY, WEEK)).fit()
        season = np.asarray(parts.seasonal).sum(axis=1)
        rest = SimpleExpSmoothing(recent - season, initialization_method="estimated").fit()
    ahead = np.arange(hours)
    daily = np.asarray(parts.seasonal)[:, 0][-DAY:][ahead % DAY]
    weekly = np.asarray(parts.seasonal)[:, 1][-WEEK:][ahead % WEEK]
    said: Vector = np.asarray(rest.forecast(hours), dtype=np.float64)
    return np.asarray(np.maximum(said + daily + weekly, 0.0), dtype=np.float64)


def _model(values: Vector, first: str = "heuristic") -> ExponentialSmoothing:
    """Return the model of Holt-Winters with a damped trend and a season of a day."""
    return ExponentialSmoothing(
        values,
        trend="add",
        damped_trend=True,
        seasonal="add",
        seasonal_periods=DAY,
        initialization_method=first,
    )
