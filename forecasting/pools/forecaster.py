"""Hourly demand of a pool as calibrated quantiles.

Five forecasts of the median compete: the last day again, the mean of the last three days, a
boosted model, and its means with those two; with the extra `torch`, on demand, a network and its
mean with the boosted model beside them. Which is used for which horizons, how wide the quantiles
are and what is reported of them follows from forecasts of the series' own past
(`forecasting.pools.rolling`).
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.model.capacity import DemandForecast, DemandSeries
from engine.model.errors import Fault, InvalidInputError, NotFoundError
from forecasting.conformal import rising
from forecasting.pools import boosting, rolling
from forecasting.pools.features import DAY, LEAST_SCALE, Index, Rows, Vector, filled, rows

if TYPE_CHECKING:
    from forecasting.pools.patches import PatchForecaster

FEWEST_VALUES = 48
LONG = 56 * DAY
"""From this length on a model is learned; shorter series hold too few weeks."""
_MOST_TESTED = 84 * DAY
_LEAST_LEARNED = 28 * DAY
_LEARNED_AGAIN = 28 * DAY
"""A back-test learns anew after so many hours, as the nightly report does."""
_STEP = 25
"""Hours between origins: coprime to the day, so that each hour of day is an origin."""
_HOUR = 3_600.0
_MOST_REMEMBERED = 8
"""Models that are kept: those of one report's back-tests, and the last one."""
_Key = tuple[tuple[DemandSeries, ...], float, int, int]
_DAY, _DAYS, _MODEL, NETWORK = "last day", "mean of three days", "boosted trees", "network"


@dataclass(frozen=True, slots=True)
class _Models:
    """What was learned of all series up to an instant; network: None where nobody wants one."""

    trees: boosting.SeasonalBoosting
    network: PatchForecaster | None


class PoolForecaster:
    """Forecasts demand of pools (the port `DemandForecaster`).

    Pools that are asked for beside each other are learned by the same models, which are kept for
    the next of them; what is said follows from the arguments alone.

    network: whether a transformer (`patches`, extra `torch`) competes too, at many times the cost.

    Raises:
        NotFoundError: when a network is wanted and torch is not installed.
    """

    def __init__(self, *, network: bool = False) -> None:
        if network and importlib.util.find_spec("torch") is None:
            message = "torch is not installed, which a network for demand needs"
            raise NotFoundError(
                message, fix="pip install 'berth[torch]', or `demand_network = off`"
            )
        self._network = network
        self._models: OrderedDict[_Key, _Models] = OrderedDict()

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
        _check(series)
        values = filled(series.values)
        end = len(values)
        split = end - min(_MOST_TESTED, max(end // 2, end - _LEAST_LEARNED))
        blocks = range(split, end, _LEARNED_AGAIN)
        past = rolling.join(
            [
                _past(series, values, block, hours, self._model(series, beside, block, hours, seed))
                for block in blocks
            ]
        )
        methods = rolling.choose(past, hours)
        honest = rolling.honesty(past, methods)
        # The last model learns from all there is; the errors of the earlier one stand for its.
        learned = any(method not in {_DAY, _DAYS} for method in methods)
        model = self._model(series, beside, end, hours, seed) if learned else None
        horizons = np.arange(1, hours + 1)
        known = rows(values, np.full(hours, end), horizons)
        medians = _medians(known, model, values, np.full(hours, end), horizons)
        # What never changes has no width at all.
        widths = known.scale - LEAST_SCALE
        stated = rolling.quantiles(past, methods, medians, horizons, widths)
        return DemandForecast(
            pool=series.pool,
            unit=series.unit,
            starts_at=series.starts_at + end * _HOUR,
            hours=tuple(rising(row.tolist()) for row in stated),
            method=", then ".join(dict.fromkeys(methods)),
            mase=honest.mase,
            coverage=honest.coverage,
        )

    def _model(
        self,
        series: DemandSeries,
        beside: Sequence[DemandSeries],
        end: int,
        hours: int,
        seed: int,
    ) -> _Models | None:
        """Return models of all series up to the same instant; None where this one is too short."""
        if len(series.values) < LONG:
            return None
        until = series.starts_at + end * _HOUR
        together = tuple(sorted((series, *beside), key=lambda one: (one.pool, one.starts_at)))
        key = (together, until, hours, seed)
        if key in self._models:
            self._models.move_to_end(key)
        else:
            self._models[key] = self._learned(_known(together, until), hours, seed)
            while len(self._models) > _MOST_REMEMBERED:
                self._models.popitem(last=False)
        return self._models[key]

    def _learned(self, known: Sequence[tuple[Vector, int]], hours: int, seed: int) -> _Models:
        """Return models learned of series, of each up to its end."""
        trees = boosting.fit(known, hours=hours, seed=seed)
        if not self._network:
            return _Models(trees, None)
        patches = importlib.import_module("forecasting.pools.patches")
        return _Models(trees, patches.fit(known, seed=seed))


def _known(together: Sequence[DemandSeries], until: float) -> list[tuple[Vector, int]]:
    """Return the values of each series that is long enough, and how many are known by then."""
    known: list[tuple[Vector, int]] = []
    for each in together:
        count = min(len(each.values), math.floor((until - each.starts_at) / _HOUR))
        if count >= LONG // 4 and not all(math.isnan(value) for value in each.values[:count]):
            known.append((filled(each.values), count))
    return known


def _check(series: DemandSeries) -> None:
    """Refuse a series that says too little or holds what cannot be demand."""
    known = [value for value in series.values if not math.isnan(value)]
    faults: list[Fault] = []
    if len(known) < FEWEST_VALUES:
        hours = f"{len(known)} known {'hour' if len(known) == 1 else 'hours'}"
        message = f"{series.pool!r} has {hours}; a forecast needs {FEWEST_VALUES}"
        faults.append(Fault(code="C005", message=message, path=series.pool, fix="add past hours"))
    wrong = [value for value in known if value < 0 or math.isinf(value)]
    if wrong:
        message = f"{series.pool!r} has a demand of {wrong[0]!r}; it must be finite and at least 0"
        faults.append(Fault(code="C004", message=message, path=series.pool))
    if faults:
        raise InvalidInputError(f"demand of {series.pool}", faults)


def _medians(
    known: Rows, models: _Models | None, values: Vector, origins: Index, horizons: Index
) -> dict[str, Vector]:
    """Return each method's forecast of each row."""
    found = {_DAY: known.day_ago, _DAYS: known.three_days}
    if models is not None:
        learned = models.trees.predict(known)
        found[_MODEL] = learned
        found[f"mean of {_MODEL} and {_DAY}"] = (learned + known.day_ago) / 2
        found[f"mean of {_MODEL} and {_DAYS}"] = (learned + known.three_days) / 2
    if models is not None and models.network is not None:
        said = models.network.predict(values, origins, horizons, known)
        found[NETWORK] = said
        found[f"mean of {_MODEL} and {NETWORK}"] = (found[_MODEL] + said) / 2
    return found


def _past(
    series: DemandSeries,
    values: Vector,
    start: int,
    hours: int,
    model: _Models | None,
) -> rolling.Past:
    """Return forecasts of every method from one block of origins, where the truth is known."""
    grid: tuple[Index, Index] = np.meshgrid(
        np.arange(start, min(start + _LEARNED_AGAIN, len(values)), _STEP),
        np.arange(1, hours + 1),
        indexing="ij",
    )
    origins, horizons = grid[0].ravel(), grid[1].ravel()
    actual = np.asarray(series.values, dtype=np.float64)
    target = origins + horizons - 1
    inside = target < len(values)
    inside[inside] = ~np.isnan(actual[target[inside]])
    origins, horizons = origins[inside], horizons[inside]
    known = rows(values, origins, horizons)
    return rolling.Past(
        origins=origins,
        horizons=horizons,
        actual=actual[origins + horizons - 1],
        naive=known.day_ago,
        scale=known.scale,
        medians=_medians(known, model, values, origins, horizons),
    )
