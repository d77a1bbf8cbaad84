"""Scores of series forecasts, written from their definitions, and intervals for point methods."""

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

DAY = 24


def daily_change(values: Vector, end: int) -> Vector:
    """Returns (n,) the mean error of the last day again up to an end (the scale of MASE)."""
    return np.asarray(np.nanmean(np.abs(values[:, DAY:end] - values[:, : end - DAY]), axis=1))


def mase(actual: Vector, said: Vector, scales: Vector) -> Vector:
    """Returns (n,) mean absolute scaled errors of (o, n, h) forecasts with scales (o, n)."""
    return np.asarray((np.nanmean(np.abs(actual - said), axis=2) / scales).mean(axis=0))


def weighted_pinball(actual: Vector, quantile: Vector, level: float) -> float:
    """Returns twice the summed pinball loss over the summed demand, mean over series."""
    above = actual - quantile
    loss = np.maximum(level * above, (level - 1.0) * above)
    return float((2.0 * loss.sum(axis=(0, 2)) / actual.sum(axis=(0, 2))).mean())


def conformal(actual: Vector, said: Vector, level: float, nights: int = 30) -> Vector:
    """Returns quantiles of a point method from the errors that its last origins have shown.

    Args:
        actual: (o, n, h) values at nightly origins.
        said: (o, n, h) forecasts of the median.
        level: Of the quantile.
        nights: How many origins back errors are taken from; only known targets count.
    """
    errors = actual - said
    hours = actual.shape[2]
    stated = np.full_like(actual, np.nan)
    for origin in range(1, len(actual)):
        first = max(0, origin - nights)
        block = errors[first:origin].copy()
        for back in range(len(block)):
            # An error of horizon h is known h hours after its origin.
            block[back, :, min((origin - first - back) * DAY, hours) :] = np.nan
        known = np.moveaxis(block, 1, 0).reshape(actual.shape[1], -1)
        stated[origin] = said[origin] + np.nanquantile(known, level, axis=1)[:, None]
    return np.maximum(stated, 0.0)


def msis(actual: Vector, low: Vector, high: Vector, scale: Vector, level: float = 0.95) -> float:
    """Returns the mean scaled interval score of (n, h) intervals (Gneiting and Raftery, 2007)."""
    penalty = 2.0 / (1.0 - level)
    score = (
        high
        - low
        + penalty * np.maximum(low - actual, 0.0)
        + penalty * np.maximum(actual - high, 0.0)
    )
    return float((score.mean(axis=1) / scale).mean())
