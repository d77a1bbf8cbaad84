"""Charts as SVG inside a page: Altair describes them, vl-convert draws them without a browser.

Colours in the drawing are the page's own: text is `currentColor`, the rest are CSS custom
properties, so that one drawing serves light, dark and paper. Every chart is an image with a
title and a description in words; series differ by dash and label as well as by colour.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

import altair
import vl_convert

from api.report import phrases
from engine.model.capacity import PoolOutlook

_VERSION = ".".join(altair.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
_HOUR_MS = 3_600_000
_WIDTH = 860
_HEIGHT = 250
_DOMAIN_ROOM = 1.08

# Colours that mean something only here: each is replaced by what the page gives it.
_INK = "#010203"
_GRID = "#020304"
_DEMAND = "#030405"
_SUPPLY = "#040506"
_GROUND = "#050607"
_PAGE = {
    _INK: "currentColor",
    _GRID: "var(--grid)",
    _DEMAND: "var(--demand)",
    _SUPPLY: "var(--supply)",
    _GROUND: "var(--ground)",
}
_SERIES = ("demand so far", "P50", "P80", "P95", "supply")
_DASHES = ([1, 0], [1, 0], [2, 2], [6, 3], [1, 0])


def fan_chart(pool: PoolOutlook, *, identifier: str) -> str:
    """Return past demand, its forecast as a fan, and supply as a step line.

    Args:
        pool: What is drawn.
        identifier: Unique in the page; ids inside of the drawing start with it.
    """
    chart = altair.LayerChart(
        layer=[*_fan(pool), _lines(pool), *_crossing(pool)], width=_WIDTH, height=_HEIGHT
    )
    title = f"Demand of {pool.pool} against supply"
    return _drawn(chart, title=title, description=description(pool), identifier=identifier)


def description(pool: PoolOutlook) -> str:
    """Return the finding of the chart in words."""
    end = pool.forecast.starts_at + len(pool.forecast.hours) * 3_600
    peak = max(hour.p95 for hour in pool.forecast.hours)
    said = f"P95 of demand peaks at {peak:,.0f} {pool.unit}, supply is {pool.supply:,.0f}."
    if pool.short_from is None:
        return f"{said} It stays within supply until {_day(end)}."
    return f"{said} It crosses supply on {_day(pool.short_from)}."


def _fan(pool: PoolOutlook) -> list[altair.Chart]:
    """Return two bands: P50 to P80, and lighter P80 to P95."""
    rows = [
        {"time": at, "p50": hour.p50, "p80": hour.p80, "p95": hour.p95}
        for at, hour in zip(_forecast_times(pool), pool.forecast.hours, strict=True)
    ]
    base = altair.Chart(altair.InlineData(values=_rounded(rows)))
    inner = base.mark_area(color=_DEMAND, opacity=0.38).encode(
        x=_time(), y=_units(pool, "p50"), y2="p80:Q"
    )
    outer = base.mark_area(color=_DEMAND, opacity=0.18).encode(
        x=_time(), y=_units(pool, "p80"), y2="p95:Q"
    )
    return [outer, inner]


def _lines(pool: PoolOutlook) -> altair.Chart:
    """Return past demand, the quantiles and supply; each has its own dash."""
    rows = [
        {"time": at, "value": value, "series": "demand so far"}
        for at, value in zip(_history_times(pool), pool.history, strict=True)
    ]
    for name in ("P50", "P80", "P95"):
        rows += [
            {"time": at, "value": getattr(hour, name.lower()), "series": name}
            for at, hour in zip(_forecast_times(pool), pool.forecast.hours, strict=True)
        ]
    ends = (_history_times(pool) or _forecast_times(pool))[0], _forecast_times(pool)[-1]
    rows += [{"time": at, "value": pool.supply, "series": "supply"} for at in ends]
    base = altair.Chart(altair.InlineData(values=_rounded(rows)))
    drawn: altair.Chart = base.mark_line(interpolate="linear").encode(
        x=_time(),
        y=_units(pool, "value"),
        color=altair.Color(
            "series:N",
            scale=_by_series([_INK, _DEMAND, _DEMAND, _DEMAND, _SUPPLY]),
            legend=altair.Legend(title=None, orient="top", symbolSize=500, columnPadding=34),
        ),
        strokeDash=altair.StrokeDash("series:N", scale=_by_series(_DASHES)),
        strokeWidth=altair.StrokeWidth("series:N", scale=_by_series([1.2, 1.6, 1.0, 1.2, 2.6])),
    )
    return drawn


def _by_series(values: Sequence[str | float | Sequence[float]]) -> altair.Scale:
    """Return a scale that gives each of the series its value."""
    return altair.Scale(domain=list(_SERIES), range=list(values))


def _crossing(pool: PoolOutlook) -> list[altair.Chart]:
    """Return a dated mark where P95 crosses supply; nothing where it does not."""
    if pool.short_from is None:
        return []
    times = _forecast_times(pool)
    late = pool.short_from * 1_000 > (times[0] + times[-1]) / 2
    data = altair.InlineData(
        values=[
            {
                "time": round(pool.short_from * 1_000),
                "value": pool.supply,
                "words": f"short from {_day(pool.short_from)}",
            }
        ]
    )
    base = altair.Chart(data)
    rule = base.mark_rule(color=_INK, strokeDash=[2, 3]).encode(x=_time())
    point = base.mark_point(
        shape="diamond", size=90, filled=True, fill=_SUPPLY, stroke=_INK, opacity=1
    ).encode(x=_time(), y=_units(pool, "value"))
    words = base.mark_text(
        align="right" if late else "left",
        dx=-7 if late else 7,
        y=_HEIGHT - 10,
        color=_INK,
        fontSize=12,
        fontWeight="bold",
    ).encode(x=_time(), text="words:N")
    return [rule, point, words]


def _time() -> altair.X:
    """Return the axis of time: days, in UTC."""
    return altair.X(
        "time:T",
        scale=altair.Scale(type="utc"),
        axis=altair.Axis(title=None, format="%-d %b", tickCount=10, labelOverlap="greedy"),
    )


def _units(pool: PoolOutlook, field: str) -> altair.Y:
    """Return the axis of units, from nothing to a little above the largest value."""
    top = max(pool.supply, *pool.history, *(hour.p95 for hour in pool.forecast.hours), 1.0)
    return altair.Y(
        f"{field}:Q",
        scale=altair.Scale(domain=[0, top * _DOMAIN_ROOM], nice=True),
        axis=altair.Axis(title=pool.unit, format=",.0f", tickCount=5, titlePadding=18),
    )


def _forecast_times(pool: PoolOutlook) -> list[int]:
    """Return the forecast hours in milliseconds since 1970."""
    start = round(pool.forecast.starts_at * 1_000)
    return [start + index * _HOUR_MS for index in range(len(pool.forecast.hours))]


def _history_times(pool: PoolOutlook) -> list[int]:
    """Return the past hours in milliseconds since 1970."""
    start = round(pool.forecast.starts_at * 1_000) - len(pool.history) * _HOUR_MS
    return [start + index * _HOUR_MS for index in range(len(pool.history))]


def _rounded(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with fewer digits: a pixel is coarser."""
    return [
        {name: round(v, 2) if isinstance(v, float) else v for name, v in row.items()}
        for row in rows
    ]


def _drawn(chart: altair.LayerChart, *, title: str, description: str, identifier: str) -> str:
    """Return the chart as SVG that belongs to the page."""
    font = "system-ui, sans-serif"
    plain = chart.configure(
        aria=False,
        background="transparent",
        font=font,
        axis=altair.AxisConfig(
            labelFontSize=12,
            titleFontSize=12,
            labelColor=_INK,
            titleColor=_INK,
            tickColor=_GRID,
            domainColor=_GRID,
            gridColor=_GRID,
        ),
        legend=altair.LegendConfig(labelColor=_INK, labelFontSize=12, symbolStrokeColor=_INK),
        view=altair.ViewConfig(stroke=None),
        padding=4,
    )
    drawing: str = vl_convert.vegalite_to_svg(plain.to_dict(), vl_version=_VERSION)
    return _embedded(drawing, title=title, description=description, identifier=identifier)


def _embedded(drawing: str, *, title: str, description: str, identifier: str) -> str:
    """Return a drawing with the page's colours, own ids, a title and a description."""
    for own, of_page in _PAGE.items():
        drawing = re.sub(re.escape(own), of_page, drawing, flags=re.IGNORECASE)
    drawing = re.sub(r' d="[^"]*"', lambda path: _coarser(path.group()), drawing)
    # Groups have roles of their own, without names; for readers the drawing is one image.
    drawing = re.sub(r' (?:role|aria-[a-z]+)="[^"]*"', "", drawing)
    drawing = re.sub(r'\bid="', f'id="{identifier}-', drawing)
    drawing = drawing.replace("url(#", f"url(#{identifier}-")
    opening, _, rest = drawing.partition(">")
    opening = re.sub(r' (?:width|height|class|style)="[^"]*"', "", opening)
    return (
        f'{opening} role="img" aria-labelledby="{identifier}-title {identifier}-desc">'
        f'<title id="{identifier}-title">{html.escape(title)}</title>'
        f'<desc id="{identifier}-desc">{html.escape(description)}</desc>{rest}'
    )


def _coarser(path: str) -> str:
    """Return a path with tenths of a pixel: the page is a third as large and looks the same."""
    return re.sub(r"-?\d+\.\d{2,}", lambda number: f"{float(number.group()):.1f}", path)


def _day(at: float) -> str:
    """Return an instant as day and hour in UTC: `9 Dec 14:00`."""
    time = phrases.zoned(at)
    return f"{time.day} {time:%b %H:%M}"
