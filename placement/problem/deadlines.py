"""Deadlines as instants."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from engine.model.specs import Deadline


def instant_of(deadline: Deadline, as_of: float) -> float:
    """Return the instant that binds, in seconds since 1970 in UTC.

    A daily deadline is the next one after `as_of` in its own zone: daylight saving follows it.
    """
    if deadline.at_seconds is not None:
        return deadline.at_seconds
    if deadline.within_seconds is not None:
        return as_of + deadline.within_seconds
    hour, minute = (int(part) for part in (deadline.daily_at or "00:00").split(":"))
    now = datetime.fromtimestamp(as_of, ZoneInfo(deadline.zone))
    today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    # Adding a day moves the wall clock, not the instant: that is what a zone asks for.
    binding = today if today.timestamp() > as_of else today + timedelta(days=1)
    return binding.timestamp()
