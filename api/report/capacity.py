"""The capacity report as text: verdict, pools, answers, and how honest the forecast was.

`capacity_html` is found here too; its module brings the charts' libraries, which take a second to
load, and is imported when the page is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from api.report import capacity_cells as cells
from api.report import phrases
from api.report.tables import PLAIN, Column, Style, following, paragraph, table
from engine.model.capacity import CapacityReport, PoolOutlook

if TYPE_CHECKING:
    from api.report.capacity_page import capacity_html

__all__ = ["capacity_html", "capacity_text"]

_POOLS = (
    Column(title="POOL"),
    Column(title="SUPPLY", right=True),
    Column(title="PEAK P50", right=True, rank=2),
    Column(title="PEAK P95", right=True),
    Column(title="SHORT FROM"),
    Column(title="SHORT BY", right=True),
    Column(title="HOURS", right=True),
)
_OPTIONS = (
    Column(title="ANSWER"),
    Column(title="COST A MONTH", right=True),
    Column(title="HOURS KEPT", right=True),
    Column(title="REVERSIBLE"),
    Column(title="WHAT IT MEANS"),
)
_HONESTY = (
    Column(title="POOL"),
    Column(title="MASE", right=True),
    Column(title="P50 HELD", right=True),
    Column(title="P80 HELD", right=True),
    Column(title="P95 HELD", right=True),
    Column(title="METHOD"),
)


def capacity_text(report: CapacityReport, style: Style = PLAIN) -> str:
    """Return the report as people read it in a terminal."""
    start = phrases.iso(report.as_of)
    blocks = [
        style.bold(f"Capacity for the next {cells.horizon(report)}, from {start}"),
        paragraph(report.verdict, style),
        table(_POOLS, [cells.pool_cells(pool) for pool in report.pools], style),
        *(_answers(pool, style) for pool in report.pools if pool.short_from is not None),
        "\n".join(
            [
                "The forecast against the past (MASE below 1 beats the seasonal naive):",
                table(_HONESTY, [cells.honesty_row(pool) for pool in report.pools], style),
            ]
        ),
        paragraph(f"Report {report.report_id}, demand from {report.source}.", style),
        following(f"berth capacity {cells.rerun_options(report)} --html FILE"),
    ]
    return "\n\n".join(blocks)


def _answers(pool: PoolOutlook, style: Style) -> str:
    """Return what can be done about one pool."""
    rows = [cells.option_row(option, chosen=option == pool.answer) for option in pool.options]
    return "\n".join([f"What to decide for {pool.pool}:", table(_OPTIONS, rows, style)])


def __getattr__(name: str) -> object:
    """Import the page when it is first asked for."""
    if name != "capacity_html":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module("api.report.capacity_page").capacity_html
