"""Hourly demand of pools as calibrated quantiles: the port `DemandForecaster`.

The work is done by `forecasting.series`, which looks at a pool together with the series beside
it: trees learn from all of them, and what did well on a pool's own past nights counts most.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np

from engine.model.capacity import DemandForecast, DemandSeries
from engine.model.errors import Fault, InvalidInputError
from engine.model.profiles import QUANTILE_LEVELS
from forecasting.conformal import rising
from forecasting.series import engine
from forecasting.series.panel import HOUR_SECONDS, Panel, Vector

FEWEST_VALUES = 48


class PoolForecaster:
    """Forecasts demand of pools.

    A report asks for one pool after the other, with the others beside it, and all of them come
    from one forecast. The last such forecast is kept by its content: it makes answers quicker and
    changes none.
    """

    def __init__(self) -> None:
        self._known = ""
        self._last: engine.PanelForecast | None = None

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
                negative, or there are too many hours.
        """
        _check(series)
        found = self._of_panel(_panel(series, beside), hours, seed)
        place = found.names.index(series.pool)
        evidence = found.evidence[place]
        return DemandForecast(
            pool=series.pool,
            unit=series.unit,
            starts_at=found.starts_at,
            hours=tuple(rising(row.tolist()) for row in found.quantiles[place]),
            method=evidence.method,
            mase=evidence.mase,
            coverage={f"{level:.2f}": share for level, share in evidence.coverage.items()},
        )

    def _of_panel(self, panel: Panel, hours: int, seed: int) -> engine.PanelForecast:
        """Return the forecast of all series, made anew where it is not the last one."""
        content = hashlib.sha256(panel.values.tobytes())
        content.update(repr((panel.names, panel.starts_at, hours, seed)).encode())
        if self._last is None or content.hexdigest() != self._known:
            self._last = engine.forecast(panel, hours=hours, seed=seed, levels=QUANTILE_LEVELS)
            self._known = content.hexdigest()
        return self._last


def _check(series: DemandSeries) -> None:
    """Refuse a series that says too little or holds what cannot be demand."""
    known = [value for value in series.values if not math.isnan(value)]
    faults: list[Fault] = []
    if len(known) < FEWEST_VALUES:
        message = f"{series.pool!r} has {len(known)} known hours; a forecast needs {FEWEST_VALUES}"
        faults.append(Fault(code="C005", message=message, path=series.pool, fix="add past hours"))
    wrong = [value for value in known if value < 0 or math.isinf(value)]
    if wrong:
        message = f"{series.pool!r} has a demand of {wrong[0]!r}; it must be finite and at least 0"
        faults.append(Fault(code="C004", message=message, path=series.pool))
    if faults:
        raise InvalidInputError(f"demand of {series.pool}", faults)


def _panel(series: DemandSeries, beside: Sequence[DemandSeries]) -> Panel:
    """Return a series with those beside it that can be learned from, up to the same instant."""
    end = series.starts_at + len(series.values) * HOUR_SECONDS
    usable = {series.pool: np.asarray(series.values, dtype=np.float64)}
    for other in beside:
        values = _until(other, end)
        known = values[~np.isnan(values)]
        sound = len(known) >= FEWEST_VALUES and bool((np.isfinite(known) & (known >= 0)).all())
        if sound and other.pool not in usable:
            usable[other.pool] = values
    # The order of the names, so that every pool of a report asks for the same panel.
    names = sorted(usable)
    hours = max(len(values) for values in usable.values())
    joined = np.full((len(names), hours), np.nan)
    for row, name in zip(joined, names, strict=True):
        row[hours - len(usable[name]) :] = usable[name]
    return Panel(names=tuple(names), values=joined, starts_at=end - hours * HOUR_SECONDS)


def _until(other: DemandSeries, end: float) -> Vector:
    """Return a series' values before an instant, unknown from its own end on."""
    there = max(0, math.floor((end - other.starts_at) / HOUR_SECONDS))
    values = np.asarray(other.values[:there], dtype=np.float64)
    return np.concatenate([values, np.full(there - len(values), np.nan)])
