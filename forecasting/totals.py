"""Demand of tenants, pools and all together: totals that are series, and forecasts that add up.

A total that is no column of the demand is made from its parts. Every series is forecast on its own,
which serves it best; then the forecasts are moved until they add up (`series.reconciling`).
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping, Sequence

import numpy as np

from engine.model.capacity import DemandFan, DemandSeries
from engine.model.errors import Fault, InvalidInputError
from engine.model.profiles import QUANTILE_LEVELS
from forecasting.conformal import rising
from forecasting.series import reconciling
from forecasting.series.panel import Vector

Totals = Mapping[str, Sequence[str]]
_DAY = 24
_MEDIAN = QUANTILE_LEVELS.index(0.50)
_MOST_TOTALS = 200


def with_totals(
    series: Sequence[DemandSeries], totals: Totals
) -> tuple[tuple[DemandSeries, ...], dict[str, tuple[str, ...]]]:
    """Return the series with a sum for each total that is none of them, and the parts by name.

    Args:
        series: One a column, all of the same hours.
        totals: The name of a total to its parts: columns, other totals, or patterns of names of
            columns (`team-a/*`) that are no totals.

    Raises:
        InvalidInputError: for a part that is nothing, totals in a circle, and too many of them.
    """
    if len(totals) > _MOST_TOTALS:
        message = f"{len(totals)} totals are more than {_MOST_TOTALS}"
        raise InvalidInputError("totals", [Fault(code="C009", message=message)])
    leaves = [each.pool for each in series if each.pool not in totals]
    parts = {name: _parts(asked, leaves, totals) for name, asked in totals.items()}
    made = [name for name in parts if name not in {each.pool for each in series}]
    names = [*(each.pool for each in series), *made]
    sums = reconciling.summing(names, parts)
    ordered = [name for name in names if name not in parts]
    by_name = {each.pool: each for each in series}
    known = np.array([by_name[name].values for name in ordered], dtype=np.float64)
    added = tuple(
        dataclasses.replace(series[0], pool=name, values=_sum(known, sums[names.index(name)]))
        for name in made
    )
    return (*series, *added), parts


def adding_up(
    fans: Sequence[DemandFan], parts: Mapping[str, Sequence[str]]
) -> tuple[DemandFan, ...]:
    """Return forecasts whose medians add up, in their order; quantiles move with them.

    Args:
        fans: The forecast of each series of `with_totals` on its own, all of the same hours.
        parts: Of each total, by `with_totals`.
    """
    sums = reconciling.summing([fan.forecast.pool for fan in fans], parts)
    errors = np.array([_error(fan) for fan in fans])
    alone = np.array([[hour.values for hour in fan.forecast.hours] for fan in fans])
    moved = reconciling.reconciled(alone, _MEDIAN, sums, errors)
    return tuple(
        dataclasses.replace(
            fan,
            forecast=dataclasses.replace(
                fan.forecast,
                hours=tuple(rising(row.tolist()) for row in told),
                method=f"{fan.forecast.method}, moved to add up",
            ),
        )
        for fan, told in zip(fans, moved, strict=True)
    )


def _parts(asked: Sequence[str], leaves: Sequence[str], totals: Totals) -> tuple[str, ...]:
    """Return the parts that are asked for by name or by pattern, each once."""
    found: dict[str, None] = {}
    for part in asked:
        is_name = part in leaves or part in totals
        matched = [part] if is_name else fnmatch.filter(leaves, part)
        if not matched:
            known = ", ".join([*leaves, *totals])
            message = f"{part!r} is no series to add up; there are {known}"
            fix = "name columns of the demand or other totals; `*` stands for any text"
            raise InvalidInputError("totals", [Fault(code="C009", message=message, fix=fix)])
        found.update(dict.fromkeys(matched))
    return tuple(found)


def _sum(known: Vector, counts: Vector) -> tuple[float, ...]:
    """Return the sum of (leaves, hours) that each counts so often; unknown where one of them is."""
    counted = counts > 0
    return tuple((counts[counted, None] * known[counted]).sum(axis=0).tolist())


def _error(fan: DemandFan) -> float:
    """Return the mean error in the series' unit: its ratio to that of the last day again."""
    values = np.asarray(fan.history, dtype=np.float64)
    change = np.abs(values[_DAY:] - values[:-_DAY])
    known = change[np.isfinite(change)]
    return fan.forecast.mase * float(known.mean()) if len(known) else 0.0
