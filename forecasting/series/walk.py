"""What every method would have said at past origins, and says now.

A walk goes through origins in time order. Trees are learned anew from time to time, each time from
nothing but what lies before; the last origin may be the present, whose truth is not known. The
honest test of a forecast and the forecast itself thus come from the same code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecasting.series import boosting, rows
from forecasting.series.panel import Index, Known, Vector

TREES = "trees"

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


def walk(values: Vector, blocks: Sequence[Block], *, hours: int) -> Walk:
    """Return what every method says at every origin; what lies behind it is not looked at.

    Args:
        values: (n, hours known) series, NaN where unknown.
        blocks: Trees that were learned before their origins.
        hours: Longest horizon.
    """
    known = Known(values)
    parts = [
        _origin(known, origin, hours, trees) for trees, origins in blocks for origin in origins
    ]
    return Walk(
        origins=np.concatenate([part.origins for part in parts]),
        actual=np.concatenate([part.actual for part in parts]),
        scale=np.concatenate([part.scale for part in parts]),
        members={
            name: np.concatenate([part.members[name] for part in parts])
            for name in parts[0].members
        },
    )


def _origin(known: Known, origin: int, hours: int, trees: boosting.Trees | None) -> Walk:
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
