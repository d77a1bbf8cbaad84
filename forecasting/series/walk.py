"""What every method would have said at past origins, and says now.

A walk goes through origins in time order. Trees are learned anew from time to time, each time from
nothing but what lies before; the last origin may be the present, whose truth is not known. The
honest test of a forecast and the forecast itself thus come from the same code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecasting.series import boosting, classical, rows
from forecasting.series.panel import DAY, Index, Known, Vector

TREES = "trees"
SMOOTHING = "Holt-Winters"

Block = tuple[boosting.Trees | None, tuple[int, ...]]
"""Learned trees, and the origins in time order that they serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Forecasts from o origins of n series for h hours.

    origins: (o,) first hour to forecast; actual: (o, n, h), NaN where unknown; scale: (o, n) mean
    daily change before each origin; members: method to (o, n, h) forecasts of the median.
    """

    origins: Index
    actual: Vector
    scale: Vector
    members: Mapping[str, Vector]

    @property
    def hours(self) -> int:
        """Longest horizon."""
        return int(self.actual.shape[2])


def walk(values: Vector, blocks: Sequence[Block], *, hours: int, smoothed: bool = False) -> Walk:
    """Return what every method says at every origin; what lies behind it is not looked at.

    Args:
        values: (n, hours known) series, NaN where unknown.
        blocks: Trees that were learned before their origins.
        hours: Longest horizon.
        smoothed: Whether Holt-Winters is among the methods: it takes half a second a series and
            block, which is too much for many.
    """
    known = Known(values)
    parts: list[Walk] = []
    for trees, origins in blocks:
        smoothing = _estimates(known, origins[0]) if smoothed else None
        parts.extend(_origin(known, origin, hours, trees, smoothing) for origin in origins)
    return _after_another(parts)


def _after_another(parts: Sequence[Walk]) -> Walk:
    """Return walks of the same series as one."""
    return Walk(
        origins=np.concatenate([part.origins for part in parts]),
        actual=np.concatenate([part.actual for part in parts]),
        scale=np.concatenate([part.scale for part in parts]),
        members={
            name: np.concatenate([part.members[name] for part in parts])
            for name in parts[0].members
        },
    )


def _estimates(known: Known, origin: int) -> list[classical.Smoothing | None]:
    """Return parameters of exponential smoothing from what lies before an origin."""
    return [
        classical.estimate(values[begin:origin]) if begin < origin else None
        for values, begin in zip(known.values, known.begins, strict=True)
    ]


def _smoothed(
    known: Known, origin: int, hours: int, estimates: Sequence[classical.Smoothing | None]
) -> Vector:
    """Return (n, hours) forecasts by exponential smoothing; 0 for series that have not begun."""
    said = np.zeros((len(known.values), hours))
    for place, (begin, smoothing) in enumerate(zip(known.begins, estimates, strict=True)):
        if origin - begin >= DAY:
            said[place] = classical.holt_winters(
                known.values[place, begin:origin], hours, smoothing
            )
    return said


def _origin(
    known: Known,
    origin: int,
    hours: int,
    trees: boosting.Trees | None,
    smoothing: Sequence[classical.Smoothing | None] | None,
) -> Walk:
    """Return the forecasts from one origin; those of a series that has not begun do not count."""
    count = len(known.values)
    seen = rows.rows(
        known,
        *rows.grid(np.arange(count), np.asarray([origin]), np.arange(1, hours + 1)),
    )
    members = {
        "last day": seen.day_ago,
        "mean of three days": seen.three_days,
        "week's profile": seen.week_profile,
        "last week": seen.week_ago,
        "last value": seen.last,
        "last day's mean": seen.last_day,
    }
    members[TREES] = seen.three_days if trees is None else trees.predict(seen)
    if smoothing is not None:
        members[SMOOTHING] = _smoothed(known, origin, hours, smoothing).ravel()
    begun = known.begins < origin
    actual = np.full((1, count, hours), np.nan)
    there = known.actual[:, origin : origin + hours]
    actual[0, begun, : there.shape[1]] = there[begun]
    shape = (1, count, hours)
    return Walk(
        origins=np.asarray([origin]),
        actual=actual,
        scale=seen.scale.reshape(shape)[:, :, 0],
        members={
            name: np.where(begun[:, None], values.reshape(shape), 0.0)
            for name, values in members.items()
        },
    )
