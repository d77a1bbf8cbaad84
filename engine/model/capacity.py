"""Demand forecasts by pool against supply, and the cheapest answer to a shortage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.model.identifiers import MicroDollars
from engine.model.profiles import Quantiles


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandSeries:
    """Past demand of one pool, one value an hour without gaps (NaN where unknown).

    pool: name shared with the supply side (a GPU model); unit: what is counted.
    starts_at: instant of the first value. holidays: instants at which each begins and ends, past
        and to come.
    """

    pool: str
    unit: str
    starts_at: float
    values: tuple[float, ...]
    holidays: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandForecast:
    """Quantiles of demand for each coming hour, with what the method did on the past.

    mase: mean absolute scaled error of the median against the seasonal naive (24 h) in the
        back-test; coverage: level (`0.95`) to the share of back-test values at or under it.
    """

    pool: str
    unit: str
    starts_at: float
    hours: tuple[Quantiles, ...]
    method: str
    mase: float
    coverage: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandFan:
    """The forecast of one pool with the past that it continues: the last two weeks, hourly."""

    history: tuple[float, ...]
    forecast: DemandForecast


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityOption:
    """One answer to a shortage.

    keeps: share of hours of the horizon without shortage at P95.
    cost_micro_dollars_per_month: beside what is paid today. node_count: nodes of the pool's
        machine to have at most beside those there are; 0 where nothing is added.
    """

    name: str
    description: str
    cost_micro_dollars_per_month: MicroDollars
    keeps: float
    reversible: bool
    node_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOutlook:
    """Demand against supply of one pool.

    short_from: first hour whose P95 is above supply; None when there is none in the horizon.
    short_by: largest P95 shortage in units; hours_short: hours with P95 above supply.
    answer: the cheapest option that ends the shortage; None when nothing is needed.
    """

    pool: str
    unit: str
    supply: float
    machine: str
    price_micro_dollars_per_unit_hour: MicroDollars
    history: tuple[float, ...]
    """The last two weeks at most, hourly."""
    forecast: DemandForecast
    short_from: float | None
    short_by: float
    hours_short: int
    options: tuple[CapacityOption, ...]
    answer: CapacityOption | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityReport:
    """The nightly report as data; the text and the HTML file show nothing that is not here."""

    report_id: str
    version: str
    as_of: float
    horizon_hours: int
    seed: int
    source: str
    pools: tuple[PoolOutlook, ...]
    verdict: str
