"""Whether a trouble is still there: newest values against those before a change. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from engine.model.signals import Signal

NEWEST = 4
"""Values that must be away from what was before, taken together."""
BEFORE = 24
"""Values before the change that they are compared with."""
BEFORE_LEAST = 3
SURE = 2.0
"""Deviations by which they must be away: an alarm was raised already, by a stricter test."""


def lasts(values: Sequence[Signal], changed_at: float, *, is_high: bool) -> bool | None:
    """Return whether the newest values are still worse than those before a change.

    values: of one series, oldest first. is_high: whether larger values are the worse ones.
    None when too few are known on either side of the change.
    """
    before = [one.value for one in values if one.at < changed_at][-BEFORE:]
    newest = [one.value for one in values if one.at >= changed_at][-NEWEST:]
    if len(before) < BEFORE_LEAST or len(newest) < NEWEST:
        return None
    away = statistics.fmean(newest) - statistics.fmean(before)
    error = statistics.stdev(before) * math.sqrt(1 / len(newest) + 1 / len(before))
    return (away if is_high else -away) > SURE * error
