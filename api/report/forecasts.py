"""A forecast of demand in a terminal: figures, evidence, and a sketch of the fan of quantiles.

`fan_file` is found here too; its module brings the charts' libraries, which take a second to load.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from api.report import phrases, words
from api.report.tables import PLAIN, Column, Style, following, paragraph, table
from engine.capacity import NUMBERED_BEFORE
from engine.model.capacity import DemandFan, DemandForecast
from engine.model.profiles import Quantiles

if TYPE_CHECKING:
    from api.report.fans import fan_file

__all__ = ["fan_file", "forecast_text", "sketch"]

_Value = TypeVar("_Value")

_DAY = 24
_HEIGHT = 10
_LABEL = 9
_NARROWEST = 20
_MOST_PAST = 0.4
"""Share of a sketch that the past may take."""
_PAST, _MEDIAN, _P80, _P95, _NOTHING = "\u2022", "\u2500", "\u2593", "\u2591", " "
_MOST_MASE = 1_000.0
"""Forecasters bound it there."""
_COLUMNS = (
    Column(title="FROM"),
    *(Column(title=level, right=True) for level in ("P50", "P80", "P90", "P95", "P99")),
)


def forecast_text(fans: Sequence[DemandFan], style: Style = PLAIN, *, rerun: str = "") -> str:
    """Return forecasts as people read them.

    rerun: the command that draws them into a file.
    """
    blocks = [_one(fan, style) for fan in fans]
    return "\n\n".join([*blocks, following(rerun)] if rerun else blocks)


def _one(fan: DemandFan, style: Style) -> str:
    told = fan.forecast
    head = f"{told.pool}: demand in {told.unit} for {words.duration(len(told.hours) * 3_600.0)}"
    parts = [style.bold(f"{head}, from {_when(told.starts_at)}")]
    if not style.tabs:
        parts.append(sketch(fan, style.width))
    parts.append(table(_COLUMNS, _days(told), style))
    parts.append(paragraph(_evidence(told), style))
    return "\n\n".join(parts)


def _days(told: DemandForecast) -> list[list[str]]:
    """Return the hour of each day whose P95 is largest."""
    rows: list[list[str]] = []
    for start in range(0, len(told.hours), _DAY):
        hours = told.hours[start : start + _DAY]
        place = max(range(len(hours)), key=lambda at: hours[at].p95)
        at = told.starts_at + (start + place) * 3_600.0
        rows.append([_when(at), *(words.amount(_short(v)) for v in hours[place].values)])
    return rows


def _when(at: float) -> str:
    """Return an instant, or the number of an hour where hours were given by numbers."""
    return phrases.iso(at) if at >= NUMBERED_BEFORE else f"hour {round(at / 3_600.0):,}"


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _evidence(told: DemandForecast) -> str:
    """Return the method and what it did on past nights."""
    said = f"The hour of each day with the largest P95. By {told.method}; MASE {_mase(told)}"
    said += " against the same hour of the day before"
    if not told.coverage:
        return f"{said}; too short to say what its quantiles cover."
    held = ", ".join(
        f"P{100 * float(level):.0f} {words.share(share, digits=0)}"
        for level, share in told.coverage.items()
    )
    return f"{said}; past hours at or under {held}."


def _mase(told: DemandForecast) -> str:
    """Return the error in words; where the last day again never errs it has no scale."""
    return f"{told.mase:.2f}" if told.mase < _MOST_MASE else f"{_MOST_MASE:,.0f} or more"


def sketch(fan: DemandFan, width: int) -> str:
    """Return the past and the fan in characters: dots, then P50 with bands up to P80 and P95."""
    columns = max(width - _LABEL - 2, _NARROWEST)
    hours = fan.forecast.hours
    past = min(len(fan.history), round(len(hours) * _MOST_PAST / (1.0 - _MOST_PAST)))
    total = past + len(hours)
    before = _pooled_past(fan.history[len(fan.history) - past :], round(columns * past / total))
    after = _pooled(hours, columns - len(before))
    top = max([*before, *(p95 for _, _, p95 in after), 1e-9])
    lines = []
    for row in range(_HEIGHT, 0, -1):
        low, high = (row - 1) / _HEIGHT * top, row / _HEIGHT * top
        label = words.amount(_short(high)) if row in {_HEIGHT, _HEIGHT // 2} else ""
        cells = [_PAST if low < value <= high or _at_floor(value, row) else " " for value in before]
        cells += [_cell(low, high, *quantiles, row=row) for quantiles in after]
        lines.append(f"{label:>{_LABEL}} \u2502{''.join(cells)}".rstrip())
    lines.append(f"{'0':>{_LABEL}} \u2514{_MEDIAN * columns}")
    legend = f"{_PAST} past  {_MEDIAN} P50  {_P80} to P80  {_P95} to P95"
    lines.append(f"{'':>{_LABEL}}  {legend}")
    return "\n".join(lines)


def _at_floor(value: float, row: int) -> bool:
    return row == 1 and value <= 0


def _cell(low: float, high: float, p50: float, p80: float, p95: float, *, row: int) -> str:
    """Return the character of one cell from `low` to `high`."""
    if low < p50 <= high or _at_floor(p50, row):
        return _MEDIAN
    if p50 <= low < p80:
        return _P80
    return _P95 if p80 <= low < p95 else _NOTHING


def _pooled_past(values: Sequence[float], columns: int) -> list[float]:
    """Return the largest past value of each column."""
    return [max(part) for part in _parts(values, columns)]


def _pooled(hours: Sequence[Quantiles], columns: int) -> list[tuple[float, float, float]]:
    """Return the largest P50, P80 and P95 of each column."""
    return [
        (max(h.p50 for h in part), max(h.p80 for h in part), max(h.p95 for h in part))
        for part in _parts(hours, columns)
    ]


def _parts(values: Sequence[_Value], columns: int) -> list[Sequence[_Value]]:
    """Return as many parts of equal length as there are columns; some repeat where values lack."""
    count = len(values)
    if not count or columns <= 0:
        return []
    starts = [min(at * count // columns, count - 1) for at in range(columns)]
    return [
        values[start : max((at + 1) * count // columns, start + 1)]
        for at, start in enumerate(starts)
    ]


def __getattr__(name: str) -> object:
    """Import the drawing when it is first asked for."""
    if name != "fan_file":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module("api.report.fans").fan_file
