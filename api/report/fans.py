"""Forecasts of demand as a picture: PNG or SVG, each pool a panel with its fan of quantiles."""

from __future__ import annotations

from collections.abc import Sequence

import altair
import vl_convert

from engine.model.capacity import DemandFan

_VERSION = ".".join(altair.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
_HOUR_MS = 3_600_000
_WIDTH = 860
_HEIGHT = 220
_DEMAND = "#0072B2"
_INK = "#333333"
_PNG_SCALE = 2.0


def fan_file(fans: Sequence[DemandFan], *, png: bool) -> bytes:
    """Return the picture of all pools, one below another, as PNG or else as SVG."""
    chart = altair.vconcat(*(_panel(fan) for fan in fans)).configure(
        font="sans-serif", view=altair.ViewConfig(stroke=None)
    )
    if png:
        drawn: bytes = vl_convert.vegalite_to_png(
            chart.to_dict(), vl_version=_VERSION, scale=_PNG_SCALE
        )
        return drawn
    text: str = vl_convert.vegalite_to_svg(chart.to_dict(), vl_version=_VERSION)
    return text.encode()


def _panel(fan: DemandFan) -> altair.LayerChart:
    """Return the past as a line, P50 as a line, and bands from P50 to P80, P95 and P99."""
    told = fan.forecast
    start = round(told.starts_at * 1_000)
    past = [
        {"time": start - (len(fan.history) - at) * _HOUR_MS, "value": round(value, 3)}
        for at, value in enumerate(fan.history)
    ]
    rows = [
        {
            "time": start + at * _HOUR_MS,
            **{f"p{n}": round(v, 3) for n, v in zip((50, 80, 90, 95, 99), h.values, strict=True)},
        }
        for at, h in enumerate(told.hours)
    ]
    time = altair.X("time:T", scale=altair.Scale(type="utc"), axis=altair.Axis(title=None))
    future = altair.Chart(altair.InlineData(values=rows))
    bands = [
        future.mark_area(color=_DEMAND, opacity=opacity).encode(
            x=time, y=altair.Y("p50:Q", title=told.unit), y2=f"p{level}:Q"
        )
        for level, opacity in ((99, 0.12), (95, 0.2), (80, 0.35))
    ]
    median = future.mark_line(color=_DEMAND).encode(x=time, y="p50:Q")
    before = (
        altair.Chart(altair.InlineData(values=past))
        .mark_line(color=_INK, strokeWidth=1.2)
        .encode(x=time, y="value:Q")
    )
    title = altair.TitleParams(
        text=f"{told.pool}: demand in {told.unit}",
        subtitle="past, P50, and bands up to P80, P95 and P99 (UTC)",
        anchor="start",
    )
    return altair.LayerChart(
        layer=[*bands, median, before], width=_WIDTH, height=_HEIGHT, title=title
    )
