"""Times in named zones, counts with their nouns, refusals, and text that is safe to print."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from api.report import words
from engine.model.plans import Limit, Refusal

_HOUR = 3_600
_DAYS_NAMED_BY_WEEKDAY = 6
_BRIEF_FROM_SECONDS = 600


def zoned(at: float, zone: str = "UTC") -> datetime:
    """Return seconds since 1970 as a time in a named zone."""
    return datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(zone))


def set_to(values: Mapping[str, object]) -> str:
    """Return what parameters are set to, as a command line would write it: `etl.unit.chol=g/L`."""
    return ", ".join(f"{name}={value}" for name, value in values.items())


def clock(at: float, *, near: float, zone: str = "UTC", seconds: bool = False) -> str:
    """Return a time of day, with its weekday or date when that is not the day of `near`."""
    time, reference = zoned(at, zone), zoned(near, zone)
    text = time.strftime("%H:%M:%S" if seconds else "%H:%M")
    days = (time.date() - reference.date()).days
    if days == 0:
        return text
    if abs(days) <= _DAYS_NAMED_BY_WEEKDAY:
        return f"{time:%a} {text}"
    return f"{time:%Y-%m-%d} {text}"


def iso(at: float) -> str:
    """Return seconds since 1970 as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def age(seconds: float) -> str:
    """Return a duration in its largest unit, rounded down: `6 min`, `2 h`, `1 d`."""
    for size, unit in ((86_400, "d"), (_HOUR, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(int(seconds), 0)} s"


def brief(seconds: float | None) -> str:
    """Return a duration for a narrow column: `7 h 55`, `29 min`, `9 min 5 s`, `1.8 s`."""
    if seconds is None or abs(seconds) < _BRIEF_FROM_SECONDS:
        return words.duration(seconds)
    if abs(seconds) < _HOUR:
        return f"{seconds / 60:.0f} min"
    return words.duration(seconds).removesuffix(" min")


def plural(count: int, noun: str, several: str = "") -> str:
    """Return a count with its noun: `1 task`, `3 tasks`."""
    return f"{count:,} {noun if count == 1 else several or noun + 's'}"


def refusal(item: Refusal, *, near: float = 0.0, zone: str = "UTC") -> str:
    """Return what a candidate lacks: `memory: needs 71 GiB, has 40`.

    near: instant around which times are told, for limits that are times.
    """
    if item.limit is Limit.UNREACHABLE:
        return f"{item.limit.value}: it does not answer"
    needs = _quantity(item.needs, item.unit, near, zone)
    has = _quantity(item.has, item.unit, near, zone)
    if item.unit and needs.endswith(f" {item.unit}"):
        has = has.removesuffix(f" {item.unit}")
    return f"{item.limit.value}: needs {needs}, has {has or words.NOTHING}"


def _quantity(value: float | str, unit: str, near: float, zone: str) -> str:
    """Return one side of a refusal in its unit; instants as times, money as dollars."""
    if isinstance(value, str):
        return value
    if unit == "instant":
        return clock(value, near=near, zone=zone, seconds=abs(value - near) < _HOUR)
    if unit in {"s", "seconds"}:
        return words.duration(value)
    if unit == "micro-dollars":
        return words.money(value)
    return words.amount(value, unit)


def printable(text: str) -> str:
    """Return a text with control characters written out, so that it cannot drive a terminal."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()
        for char in text
    )
