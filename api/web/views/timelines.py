"""Small charts of the signals behind a super-alarm, all on one axis of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from api.report import words
from engine.model import alarms, signals

LEFT, RIGHT, TOP, BOTTOM = 52.0, 314.0, 8.0, 92.0
"""The plot inside of a box of 320 by 110; the rest is for labels."""
MOST_CHARTS = 8
MOST_POINTS = 240
MARKS_APART = 7.0
BEFORE_SECONDS = 60.0
SILENCE = "silence"
"""The test whose alarms speak of seconds, not of values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    """A small chart of one series. `description` says the finding in words.

    line: points of a polyline; marks: where alarms were raised, the first one first.
    band: upper and lower edge of what was expected, None where a silence alarmed: its band is of
        seconds; changes: where something changed.
    high, low: ends of the axis of values, short enough for its margin; `description` has the unit.
    """

    title: str
    subject: str
    description: str
    line: str
    marks: tuple[tuple[float, float], ...]
    band: tuple[float, float] | None
    changes: tuple[float, ...]
    high: str
    low: str
    since: str
    until: str


@dataclass(frozen=True, slots=True)
class _Axis:
    """Maps values from `low` to `high` to positions from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        span = max(self.high - self.low, 1e-9)
        share = min(1.0, max(0.0, (value - self.low) / span))
        return round(self.start + (self.end - self.start) * share, 1)


def window(group: alarms.SuperAlarm) -> tuple[float, float]:
    """Return the time that is drawn: the event, as long before it, and a little after."""
    newest = max((alarm.at for alarm in group.alarms), default=group.opened_at)
    length = max(newest - group.opened_at, BEFORE_SECONDS)
    return group.opened_at - length, newest + length / 4


def timeline(
    group: alarms.SuperAlarm,
    measured: Sequence[signals.Signal],
    events: Sequence[alarms.Event] = (),
) -> list[Small]:
    """Return one small chart for each series that alarmed, those that alarmed first."""
    since, until = window(group)
    shown = [one for one in measured if since <= one.at <= until]
    if not shown:
        return []
    times = _Axis(min(one.at for one in shown), max(one.at for one in shown), LEFT, RIGHT)
    changed = [event.at for event in events if times.low <= event.at <= times.high]
    by_series = {name: [one for one in shown if one.series == name] for name in _series(group)}
    return [
        _small(values, [alarm for alarm in group.alarms if alarm.series == name], times, changed)
        for name, values in by_series.items()
        if values
    ][:MOST_CHARTS]


def _series(group: alarms.SuperAlarm) -> list[str]:
    first = sorted(group.alarms, key=lambda alarm: alarm.at)
    return list(dict.fromkeys(alarm.series for alarm in first))


def _small(
    values: Sequence[signals.Signal],
    raised: Sequence[alarms.Alarm],
    times: _Axis,
    changed: Sequence[float],
) -> Small:
    worst = min(raised, key=lambda alarm: alarm.p_value)
    is_silent = worst.test == SILENCE
    seen = [(alarm.at, _level(alarm, values)) for alarm in raised]
    bounds = [] if is_silent else [worst.value, worst.expected_low, worst.expected_high]
    numbers = [*(one.value for one in values), *(level for _, level in seen), *bounds]
    levels = _Axis(min(numbers), max(numbers), BOTTOM, TOP)
    return Small(
        title=values[0].name.replace("_", " "),
        subject=values[0].subject,
        description=_description(worst, values[0].unit),
        line=" ".join(f"{times.at(one.at)},{levels.at(one.value)}" for one in _thin(values)),
        marks=_marks([(times.at(at), levels.at(level)) for at, level in seen]),
        band=(
            None if is_silent else (levels.at(worst.expected_high), levels.at(worst.expected_low))
        ),
        changes=tuple(times.at(at) for at in changed),
        high=words.amount(levels.high),
        low=words.amount(levels.low),
        since=words.clock_time(times.low),
        until=words.clock_time(times.high),
    )


def _level(alarm: alarms.Alarm, values: Sequence[signals.Signal]) -> float:
    """Return where an alarm is drawn: a silence at the last value before it."""
    if alarm.test != SILENCE:
        return alarm.value
    before = [one.value for one in values if one.at <= alarm.at]
    return before[-1] if before else values[0].value


def _description(worst: alarms.Alarm, unit: str) -> str:
    at = words.clock_time(worst.at)
    if worst.test == SILENCE:
        return f"silent for {words.amount(worst.value, 's')} at {at}"
    band = words.band(worst.expected_low, worst.expected_high)
    return f"{words.amount(worst.value, unit)} at {at}, expected {band}"


def _thin(values: Sequence[signals.Signal]) -> Sequence[signals.Signal]:
    """Return so few values that a page stays small; the newest is always among them."""
    step = -(-len(values) // MOST_POINTS)
    return [*values[:-1:step], values[-1]]


def _marks(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Return marks that can be told apart: those too near to the one before are left out."""
    kept: list[tuple[float, float]] = []
    for point in sorted(points):
        if not kept or point[0] - kept[-1][0] >= MARKS_APART:
            kept.append(point)
    return tuple(kept)
