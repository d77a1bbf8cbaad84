"""The capacity report as one HTML file: no script, charts inside, the same bytes each time.

It stands apart from `api.report.capacity` because the charts' libraries take a second to load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

from api.report import capacity_cells as cells
from api.report import charts, phrases, words
from engine.model.capacity import CapacityReport, PoolOutlook

_DAY = 24
_DAY_SECONDS = 86_400
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def capacity_html(report: CapacityReport, *, back: str = "") -> str:
    """Return the whole page; every figure in it is in the report.

    back: where the page of all reports is, when this one is shown in its place.
    """
    page = _TEMPLATES.get_template("capacity.html")
    return page.render(
        report=report,
        back=back,
        made_for=phrases.iso(report.as_of),
        horizon=cells.horizon(report),
        rerun=cells.rerun_options(report),
        pools=[_pool(pool, number) for number, pool in enumerate(report.pools, start=1)],
        band=words.share(cells.COVERAGE_BAND, digits=0),
    )


def _pool(pool: PoolOutlook, number: int) -> Mapping[str, object]:
    """Return what the page shows of one pool."""
    return {
        "name": pool.pool,
        "unit": pool.unit,
        "short": pool.short_from is not None,
        "cells": cells.pool_cells(pool)[1:],
        "options": [
            (option == pool.answer, cells.option_row(option, chosen=False))
            for option in pool.options
        ],
        "chart": charts.fan_chart(pool, identifier=f"pool-{number}"),
        "finding": charts.description(pool),
        "days": _days(pool),
        "honesty": cells.honesty_row(pool)[1:],
    }


def _days(pool: PoolOutlook) -> Sequence[Sequence[str]]:
    """Return the table behind the chart: for each day its busiest hour (by P95) and supply."""
    forecast = pool.forecast
    rows: list[tuple[str, ...]] = []
    start = 0
    while start < len(forecast.hours):
        first = forecast.starts_at + start * 3_600
        length = max(1, round((_DAY_SECONDS - first % _DAY_SECONDS) / 3_600))
        hours = forecast.hours[start : start + min(length, _DAY)]
        busiest = max(range(len(hours)), key=lambda index: hours[index].p95)
        peak = hours[busiest]
        rows.append(
            (
                cells.day(first + busiest * 3_600),
                *(cells.units(value) for value in (peak.p50, peak.p80, peak.p95)),
                cells.units(pool.supply),
                cells.units(max(0.0, peak.p95 - pool.supply)),
            )
        )
        start += len(hours)
    return rows
