"""Amounts as people read them: money, instants, durations, shares, sizes. Shared by all faces."""

from __future__ import annotations

import datetime

NOTHING = "\u2013"
"""Stands where there is no value."""

_SINGULAR = {"cores": "core", "GPUs": "GPU"}
_SMALLER = {"GiB": ("MiB", 1_024.0), "Mbit/s": ("kbit/s", 1_000.0)}
_MINUTE = 60
_HOUR = 3_600
_DAY = 86_400


def money(micro_dollars: float | None) -> str:
    """Return micro-dollars as US dollars: `$43.20`; small amounts keep two digits that count."""
    if micro_dollars is None:
        return NOTHING
    amount = micro_dollars / 1_000_000
    sign = "-" if amount < 0 else ""
    size = abs(amount)
    if size == 0 or size >= 0.10:  # noqa: PLR2004  ten cents: from here on cents suffice
        return f"{sign}${size:,.2f}"
    if size < 0.000001:  # noqa: PLR2004  a millionth is the smallest amount that is kept
        return f"{sign}$0.00"
    return f"{sign}${float(f'{size:.2g}'):f}".rstrip("0")


def duration(seconds: float | None) -> str:
    """Return a duration in its two largest units: `9 h 12 min`, `4.2 s`, `3 d 2 h`."""
    if seconds is None:
        return NOTHING
    sign = "-" if seconds < 0 else ""
    size = abs(seconds)
    if size < 10:  # noqa: PLR2004  below ten seconds the tenth counts
        return f"{sign}{size:.1f} s"
    if size < _MINUTE:
        return f"{sign}{size:.0f} s"
    size = round(size)
    if size < _HOUR:
        return sign + _two(size // _MINUTE, "min", size % _MINUTE, "s")
    if size < _DAY:
        return sign + _two(size // _HOUR, "h", size % _HOUR // _MINUTE, "min")
    return sign + _two(size // _DAY, "d", size % _DAY // _HOUR, "h")


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit}" + (f" {small} {small_unit}" if small else "")


def instant(seconds: float | None) -> str:
    """Return an instant in UTC: `2026-11-22 05:30:07`."""
    if seconds is None:
        return NOTHING
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")


def clock_time(seconds: float | None) -> str:
    """Return the time of day of an instant in UTC: `05:30:07`."""
    return NOTHING if seconds is None else instant(seconds)[11:]


def share(fraction: float | None, *, digits: int = 1) -> str:
    """Return a fraction in per cent: `2.1 %`."""
    return NOTHING if fraction is None else f"{100 * fraction:.{digits}f} %"


def readable(value: float | None, unit: str) -> str:
    """Return an amount in the unit that reads best: `171 MiB` for 0.167 GiB."""
    if value is not None and 0 < value < 1 and unit in _SMALLER:
        unit, factor = _SMALLER[unit]
        value *= factor
    return amount(value, unit)


def band(low: float, high: float) -> str:
    """Return what is normal from one number to another, or just the one: `3 to 5`, `0`."""
    least, most = amount(low), amount(high)
    return least if least == most else f"{least} to {most}"


def amount(value: float | str | None, unit: str = "") -> str:
    """Return a number with its unit, without digits that say nothing: `71 GiB`, `0.25 cores`."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return f"{value} {unit}".strip()
    text = f"{value:,.0f}" if value == round(value) or abs(value) >= 1_000 else f"{value:.3g}"  # noqa: PLR2004
    return f"{text} {_SINGULAR.get(unit, unit) if text == '1' else unit}".strip()
