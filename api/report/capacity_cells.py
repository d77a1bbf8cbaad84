"""What the text and the page of a capacity report have in common: its figures as cells."""

from __future__ import annotations

from api.report import phrases, words
from engine.model.capacity import CapacityOption, CapacityReport, PoolOutlook

COVERAGE_BAND = 0.05
"""How far from its level a share of covered hours may lie before it is marked."""
_SHOWN_LEVELS = ("0.50", "0.80", "0.95")


def rerun_options(report: CapacityReport) -> str:
    """Return the options that make the same report again from the same input."""
    return f"--seed {report.seed} --as-of {phrases.iso(report.as_of)} --horizon {_span(report)}"


def horizon(report: CapacityReport) -> str:
    """Return how far the report looks, in whole days where it can: `14 days`."""
    days, hours = divmod(report.horizon_hours, 24)
    return phrases.plural(report.horizon_hours, "hour") if hours else phrases.plural(days, "day")


def day(at: float) -> str:
    """Return an instant as day and hour in UTC: `9 Dec 14:00`."""
    time = phrases.zoned(at)
    return f"{time.day} {time:%b %H:%M}"


def units(value: float) -> str:
    """Return a number of units without digits that say nothing."""
    return f"{value:,.0f}"


def option_row(option: CapacityOption, *, chosen: bool) -> tuple[str, str, str, str, str]:
    """Return an answer as cells; the cheapest one that keeps every hour is named so."""
    name = f"{option.name} (cheapest)" if chosen else option.name
    return (
        name,
        f"${option.cost_micro_dollars_per_month / 1_000_000:,.0f}",
        words.share(option.keeps),
        "yes" if option.reversible else "no",
        option.description,
    )


def honesty_row(pool: PoolOutlook) -> tuple[str, ...]:
    """Return how the forecast did on the past; `!` marks a coverage outside of its band."""
    covered = [_coverage(pool, level) for level in _SHOWN_LEVELS]
    return (pool.pool, f"{pool.forecast.mase:.2f}", *covered, pool.forecast.method)


def _coverage(pool: PoolOutlook, level: str) -> str:
    """Return a covered share, marked when it is out of its band."""
    share = pool.forecast.coverage.get(level)
    if share is None:
        return words.NOTHING
    mark = "! " if abs(share - float(level)) > COVERAGE_BAND else ""
    return f"{mark}{words.share(share, digits=0)}"


def pool_cells(pool: PoolOutlook) -> tuple[str, ...]:
    """Return a pool as cells: supply, peaks, and its shortage if there is one."""
    hours = pool.forecast.hours
    short = pool.short_from is not None
    return (
        pool.pool,
        units(pool.supply),
        units(max(hour.p50 for hour in hours)),
        units(max(hour.p95 for hour in hours)),
        "enough" if pool.short_from is None else day(pool.short_from),
        units(pool.short_by) if short else words.NOTHING,
        f"{pool.hours_short} of {len(hours)}" if short else words.NOTHING,
    )


def _span(report: CapacityReport) -> str:
    """Return the horizon as it is given on the command line."""
    days, hours = divmod(report.horizon_hours, 24)
    return f"{days}d" if not hours else f"{report.horizon_hours}h"
