"""What holidays do to demand, taken out before a forecast and put back into it.

A holiday is compared with the same day of the weeks before and after it. The mean ratio of those
that were seen, drawn towards 1 while they are few, is the effect. Past holidays are divided by it,
so that the days after them are not forecast from an odd day, and holidays to come are multiplied
(prior adjustment for calendar effects, as in X-11; Findley et al., 1998).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from engine.model.capacity import DemandForecast, DemandSeries
from forecasting.series.panel import HOUR_SECONDS, WEEK, Mask, Vector

_PRIOR = 0.5
"""How many holidays without effect stand in while few were seen."""
_LEAST, _MOST = 0.02, 20.0
_FEWEST_HOURS = 12
"""Of a holiday that must be known for it to count."""


def effect(series: DemandSeries) -> float:
    """Return the demand of a holiday as a share of other days'; 1 where none was seen."""
    values = np.asarray(series.values, dtype=np.float64)
    usual = np.where(_inside(series, len(values)), np.nan, values)
    logs: list[float] = []
    for start, end in series.holidays:
        hours = np.arange(_hour(series, start), _hour(series, end))
        hours = hours[(hours >= 0) & (hours < len(values))]
        around = np.concatenate([hours - WEEK, hours + WEEK])
        around = around[(around >= 0) & (around < len(values))]
        here, there = _known(values[hours]), _known(usual[around])
        if len(here) >= _FEWEST_HOURS and len(there) >= _FEWEST_HOURS and there.mean() > 0:
            logs.append(math.log(min(max(here.mean() / there.mean(), _LEAST), _MOST)))
    return math.exp(sum(logs) / (len(logs) + _PRIOR))


def without(series: DemandSeries) -> DemandSeries:
    """Return a series as it would be had there been no holidays."""
    if not series.holidays:
        return series
    values = np.asarray(series.values, dtype=np.float64)
    factor = np.where(_inside(series, len(values)), effect(series), 1.0)
    return dataclasses.replace(series, values=tuple((values / factor).tolist()), holidays=())


def restored(told: DemandForecast, series: DemandSeries) -> DemandForecast:
    """Return a forecast of a series without holidays with their effect put back."""
    share = effect(series)
    begins = range(len(told.hours))
    at = [told.starts_at + hour * HOUR_SECONDS for hour in begins]
    inside = [any(start <= moment < end for start, end in series.holidays) for moment in at]
    if not any(inside):
        return told
    return dataclasses.replace(
        told,
        hours=tuple(
            hour.times(share) if holiday else hour
            for hour, holiday in zip(told.hours, inside, strict=True)
        ),
        method=f"{told.method}; holidays at {share:.2f} of other days",
    )


def _inside(series: DemandSeries, count: int) -> Mask:
    """Return which hours of a series lie in a holiday."""
    inside = np.zeros(count, dtype=np.bool_)
    for start, end in series.holidays:
        inside[max(_hour(series, start), 0) : max(_hour(series, end), 0)] = True
    return inside


def _hour(series: DemandSeries, at: float) -> int:
    return math.floor((at - series.starts_at) / HOUR_SECONDS)


def _known(values: Vector) -> Vector:
    return values[~np.isnan(values)]
