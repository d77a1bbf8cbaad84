"""Demand of a pool by two engines, chosen or combined by what each did on the pool's past nights.

`forecasting.pools` learns each pool by itself and needs little of it; `forecasting.series` learns
many series together, and is asked where there are many. Where one of them clearly erred less in its
back-test, it alone speaks; where they are close, the mean of both does, whose error is no larger
than the mean of theirs (Bates and Granger, 1969).
"""

from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from engine.model.capacity import DemandForecast, DemandSeries
from engine.model.profiles import QUANTILE_LEVELS
from forecasting.conformal import rising
from forecasting.pools.forecaster import PoolForecaster
from forecasting.series import engine, holidays
from forecasting.series.panel import HOUR_SECONDS, panel

_CLEARLY = 0.9
"""One engine alone speaks when its error is at most this share of the other's."""
_LEAST_POOLS = 8
"""With fewer pools the one for many series adds nothing: over the five of the example its errors
and those of the mean were no smaller, for twice the processor time."""
_MOST_HOURS = engine.MOST_HOURS
_MOST_REMEMBERED = 2
"""Panels whose forecast is kept: pools of one report are asked for one after another."""

_Key = tuple[tuple[DemandSeries, ...], int, int]


class DemandChooser:
    """Forecasts demand of pools (the port `DemandForecaster`).

    least_pools: how many pools there must be for both engines to be asked.
    network: whether a transformer competes in the engine for one pool, as in `PoolForecaster`.

    The forecast of a panel is kept while its pools are asked for one after another; what is said
    follows from the arguments alone.
    """

    def __init__(self, *, least_pools: int = _LEAST_POOLS, network: bool = False) -> None:
        self._least_pools = least_pools
        self._alone = PoolForecaster(network=network)
        self._panels: OrderedDict[_Key, engine.PanelForecast] = OrderedDict()

    def forecast(
        self,
        series: DemandSeries,
        *,
        hours: int,
        seed: int,
        beside: Sequence[DemandSeries] = (),
    ) -> DemandForecast:
        """Return quantiles for each of the next `hours` hours. Pure.

        Raises:
            InvalidInputError: when fewer than 48 values are known, or one is not finite or is
                negative.
        """
        plain = [holidays.without(other) for other in sorted(beside, key=lambda each: each.pool)]
        told = self._told(holidays.without(series), hours, seed, plain)
        return holidays.restored(told, series)

    def _told(
        self, series: DemandSeries, hours: int, seed: int, beside: Sequence[DemandSeries]
    ) -> DemandForecast:
        """Return the forecast of a series without holidays."""
        alone = self._alone.forecast(series, hours=hours, seed=seed, beside=beside)
        if hours > _MOST_HOURS or len(beside) + 1 < self._least_pools:
            return alone
        together = self._together(series, hours, seed, beside)
        if not alone.coverage or not together.coverage:
            return alone
        if together.mase <= _CLEARLY * alone.mase:
            return together
        if alone.mase <= _CLEARLY * together.mase:
            return alone
        return _mean(alone, together)

    def _together(
        self, series: DemandSeries, hours: int, seed: int, beside: Sequence[DemandSeries]
    ) -> DemandForecast:
        """Return what the engine for many series says of one of them."""
        until = _end(series)
        others = [cut for other in beside if (cut := _until(other, until)) is not None]
        named = {each.pool: each for each in (*others, series)}
        key = (tuple(named[pool] for pool in sorted(named)), hours, seed)
        if key not in self._panels:
            self._panels[key] = engine.forecast(
                panel([(each.pool, each.values) for each in key[0]]),
                hours=hours,
                seed=seed,
                levels=QUANTILE_LEVELS,
            )
            while len(self._panels) > _MOST_REMEMBERED:
                self._panels.popitem(last=False)
        told = self._panels[key]
        place = told.names.index(series.pool)
        evidence = told.evidence[place]
        return DemandForecast(
            pool=series.pool,
            unit=series.unit,
            starts_at=until,
            hours=tuple(rising(row.tolist()) for row in told.quantiles[place]),
            method=evidence.method,
            mase=evidence.mase,
            coverage={f"{level:.2f}": share for level, share in evidence.coverage.items()},
        )


def _end(series: DemandSeries) -> float:
    return series.starts_at + len(series.values) * HOUR_SECONDS


def _until(series: DemandSeries, until: float) -> DemandSeries | None:
    """Return a series up to an instant, with unknown hours where it ends earlier.

    None when nothing of it is known before, or something of it cannot be demand: that is for the
    question about itself to refuse.
    """
    count = math.floor((until - series.starts_at) / HOUR_SECONDS)
    if count <= 0:
        return None
    values = np.asarray(series.values[:count], dtype=np.float64)
    known = values[~np.isnan(values)]
    if not len(known) or bool((known < 0).any()) or not bool(np.isfinite(known).all()):
        return None
    unknown = (math.nan,) * (count - len(values))
    return dataclasses.replace(series, values=(*series.values[:count], *unknown))


def _mean(first: DemandForecast, second: DemandForecast) -> DemandForecast:
    """Return the mean of two forecasts; of its error is told what it cannot exceed."""
    hours = tuple(
        rising([(a + b) / 2 for a, b in zip(one.values, other.values, strict=True)])
        for one, other in zip(first.hours, second.hours, strict=True)
    )
    return dataclasses.replace(
        first,
        hours=hours,
        method=f"mean of ({first.method}) and ({second.method})",
        mase=(first.mase + second.mase) / 2,
        coverage={
            level: (share + second.coverage[level]) / 2 for level, share in first.coverage.items()
        },
    )
