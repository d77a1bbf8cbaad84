"""The nightly capacity report: every pool's demand forecast against its supply."""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Callable, Sequence

from engine.capacity import options, supply, verdict
from engine.capacity.demand import HOUR, NUMBERED_BEFORE
from engine.capacity.options import Assumptions
from engine.model import documents
from engine.model.capacity import (
    CapacityReport,
    DemandFan,
    DemandForecast,
    DemandSeries,
    PoolOutlook,
)
from engine.model.errors import Fault, InvalidInputError, NotFoundError
from engine.model.fleet import Fleet
from engine.ports import DemandForecaster

MOST_HOURS = 31 * 24
_MOST_STALE_HOURS = 14 * 24
_HISTORY_HOURS = 14 * 24


class CapacityPlanner:
    """Makes capacity reports. Pure: the same arguments give the same report.

    Args:
        forecaster: Forecasts the demand of each pool.
        version: Of Berth, written into the report.
        assumptions: About what the fleet does not say.
    """

    def __init__(
        self,
        forecaster: DemandForecaster,
        version: str,
        assumptions: Assumptions | None = None,
    ) -> None:
        self._forecaster = forecaster
        self._version = version
        self._assumptions = assumptions or Assumptions()

    def report(
        self,
        series: Sequence[DemandSeries],
        fleet: Fleet,
        *,
        as_of: float,
        horizon_hours: int,
        seed: int,
        source: str,
    ) -> CapacityReport:
        """Return the outlook of every pool for the hours after `as_of`.

        Values from `as_of` on are not looked at.

        Raises:
            InvalidInputError: for a horizon outside of 1 hour to 31 days, or a series that is
                too short or ends more than two weeks before `as_of`.
        """
        now, known = _asked(series, as_of, horizon_hours, source)
        pools = tuple(self._outlook(each, known, fleet, now, horizon_hours, seed) for each in known)
        report = CapacityReport(
            report_id="",
            version=self._version,
            as_of=as_of,
            horizon_hours=horizon_hours,
            seed=seed,
            source=source,
            pools=pools,
            verdict=verdict.verdict(pools, now + horizon_hours * HOUR),
        )
        return dataclasses.replace(
            report, report_id="c-" + documents.letters(documents.encode(report))
        )

    def fans(
        self,
        series: Sequence[DemandSeries],
        *,
        pool: str = "",
        as_of: float,
        horizon_hours: int,
        seed: int,
        source: str,
        together: Callable[[Sequence[DemandFan]], Sequence[DemandFan]] | None = None,
    ) -> tuple[DemandFan, ...]:
        """Return the forecast of one pool, or of each, for the hours after `as_of`.

        together: changes the forecasts of all pools before one is picked; without it only what is
            asked for is forecast.

        Raises:
            InvalidInputError: as in `report`.
            NotFoundError: when there is no such pool; names those that there are.
        """
        names = [each.pool for each in series]
        if pool and pool not in names:
            message = f"{source} has no pool {pool!r}; it has {', '.join(names)}"
            raise NotFoundError(message, fix="name one of these, or none for all of them")
        now, known = _asked(series, as_of, horizon_hours, source)
        fans: Sequence[DemandFan] = [
            DemandFan(
                history=_history(each),
                forecast=self._forecast(each, known, now, horizon_hours, seed),
            )
            for each in known
            if together is not None or pool in {"", each.pool}
        ]
        if together is not None:
            fans = together(fans)
        return tuple(fan for fan in fans if pool in {"", fan.forecast.pool})

    def _forecast(
        self,
        series: DemandSeries,
        all_series: Sequence[DemandSeries],
        now: float,
        horizon_hours: int,
        seed: int,
    ) -> DemandForecast:
        """Return the forecast of one pool from `now` on."""
        missing = round((now - _end(series)) / HOUR)
        beside = [other for other in all_series if other is not series]
        forecast = self._forecaster.forecast(
            series, hours=missing + horizon_hours, seed=seed, beside=beside
        )
        return _from(forecast, missing, now)

    def _outlook(
        self,
        series: DemandSeries,
        all_series: Sequence[DemandSeries],
        fleet: Fleet,
        now: float,
        horizon_hours: int,
        seed: int,
    ) -> PoolOutlook:
        """Return demand against supply of one pool."""
        forecast = self._forecast(series, all_series, now, horizon_hours, seed)
        has = supply.supply_of(fleet, series.pool)
        high = [hour.p95 for hour in forecast.hours]
        short = [index for index, needed in enumerate(high) if needed > has.units]
        choices = options.options_for(high, has.units, has.offer, self._assumptions)
        return PoolOutlook(
            pool=series.pool,
            unit=series.unit,
            supply=has.units,
            machine=has.offer.machine if has.offer else "",
            price_micro_dollars_per_unit_hour=supply.unit_price(has.offer),
            history=_history(series),
            forecast=forecast,
            short_from=now + short[0] * HOUR if short else None,
            short_by=max(0.0, max(high) - has.units),
            hours_short=len(short),
            options=choices,
            answer=options.answer(choices),
        )


def _asked(
    series: Sequence[DemandSeries], as_of: float, horizon_hours: int, source: str
) -> tuple[float, list[DemandSeries]]:
    """Return the first hour to forecast, and what is known before it.

    Raises:
        InvalidInputError: for a horizon or a series that cannot be used.
    """
    if not 1 <= horizon_hours <= MOST_HOURS:
        message = f"a horizon of {horizon_hours} hours is not within 1 and {MOST_HOURS}"
        raise InvalidInputError("horizon", [Fault(code="C007", message=message)])
    now = math.floor(as_of / HOUR) * HOUR
    known = [_known(each, now) for each in series]
    faults = [fault for each in known for fault in _stale(each, now)]
    if faults:
        raise InvalidInputError(source, faults)
    return now, known


def _end(series: DemandSeries) -> float:
    """Return the instant after the last value's hour."""
    return series.starts_at + len(series.values) * HOUR


def _known(series: DemandSeries, now: float) -> DemandSeries:
    """Return a series with the values before `now`; one by numbered hours ends there."""
    if _end(series) < NUMBERED_BEFORE:
        return dataclasses.replace(series, starts_at=now - len(series.values) * HOUR)
    kept = max(0, math.floor((now - series.starts_at) / HOUR))
    return dataclasses.replace(series, values=series.values[:kept])


def _stale(series: DemandSeries, now: float) -> list[Fault]:
    """Return the fault of a series that says nothing about the last two weeks."""
    if series.starts_at <= now and now - _end(series) <= _MOST_STALE_HOURS * HOUR:
        return []
    where = datetime.datetime.fromtimestamp(_end(series), datetime.UTC)
    message = f"{series.pool!r} has no demand in the two weeks before the report ({where:%Y-%m-%d})"
    fix = "give newer demand, or an earlier `as_of`"
    return [Fault(code="C008", message=message, path=series.pool, fix=fix)]


def _from(forecast: DemandForecast, missing: int, now: float) -> DemandForecast:
    """Return a forecast without the hours that passed since its series ended."""
    return dataclasses.replace(forecast, starts_at=now, hours=forecast.hours[missing:])


def _history(series: DemandSeries) -> tuple[float, ...]:
    """Return the last two weeks; an unknown hour has the last known value before it."""
    shown: list[float] = []
    last = next((value for value in series.values if not math.isnan(value)), 0.0)
    for value in series.values[-_HISTORY_HOURS:]:
        last = last if math.isnan(value) else value
        shown.append(last)
    return tuple(shown)
