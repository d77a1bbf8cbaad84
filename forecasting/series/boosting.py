"""Gradient-boosted trees over all series at once: the change from the latest seasonal value.

One model serves every series and every horizon (a global, direct model). Four are learned, two
of them in units of each series' daily change (which serves the scaled error) and two in units of
its level (which serves the percentage error), and the median of the four is the forecast. The
error minimised is the absolute one, whose best answer is the median.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from forecasting.series.panel import DAY, WEEK, Index, Known, Vector
from forecasting.series.rows import Rows, rows

_FEW_ROWS = 30_000
_MOST_ROWS_A_SERIES = 5_000
_ROWS_A_SERIES = 576
_MOST_ROWS = 240_000
_THREADS = 1
"""Of each model: more wait for one another on a busy machine, and workers share its cores."""
_LEAST_HOURS = 3 * WEEK
"""A shorter series is forecast by the trees, but not learned from."""
_MANY_ROWS = 60_000
"""From here on the trees are larger: more series show more shapes."""


class Unit(Enum):
    """What a model measures in: a series' mean daily change, or its mean level."""

    CHANGE = "change"
    LEVEL = "level"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is learned.

    seeds: models to each unit; iterations, leaves, least_in_leaf, rate: of each model.
    """

    seeds: int = 2
    iterations: int = 150
    leaves: int = 15
    least_in_leaf: int = 100
    rate: float = 0.05


_FEW = Effort()
_MANY = Effort(iterations=200, leaves=31, least_in_leaf=40, rate=0.08)


class Trees:
    """Learned models; `predict` gives the median of what they say."""

    def __init__(self, models: Sequence[tuple[Unit, HistGradientBoostingRegressor]]) -> None:
        self._models = models

    def predict(self, known: Rows) -> Vector:
        """Return the forecast of each row, at least 0."""
        said: list[Vector] = []
        with threadpool_limits(_THREADS):
            for unit, model in self._models:
                measure = _unit(known, unit)
                said.append(known.day_ago + measure * model.predict(known.features(measure)))
        return np.maximum(np.median(np.stack(said), axis=0), 0.0)


def fit(
    known: Known,
    names: Sequence[str],
    *,
    hours: int,
    seed: int,
    effort: Effort | None = None,
) -> Trees | None:
    """Learn from everything that is known; None where that is too little.

    Args:
        known: The series up to now.
        names: Of the series. Draws depend on a series' name and not on its place.
        hours: Longest horizon.
        seed: Of the draws and the models.
        effort: How much is learned; by the number of rows unless said.
    """
    series, origins, horizons = _draw(known, names, hours, seed)
    if len(series) < 2 * (effort or _FEW).least_in_leaf:
        return None
    learned = rows(known, series, origins, horizons)
    target = known.actual[series, origins + horizons - 1]
    effort = effort or (_MANY if len(series) > _MANY_ROWS else _FEW)
    models: list[tuple[Unit, HistGradientBoostingRegressor]] = []
    for unit in Unit:
        measure = _unit(learned, unit)
        usable = np.isfinite(target) & (measure > 0)
        if usable.sum() < 2 * effort.least_in_leaf:
            continue
        features = learned.features(measure)[usable]
        change = (target[usable] - learned.day_ago[usable]) / measure[usable]
        for number in range(effort.seeds):
            model = _regressor(effort, seed + number)
            with threadpool_limits(_THREADS):
                model.fit(features, change)
            models.append((unit, model))
    return Trees(models) if models else None


def _unit(known: Rows, unit: Unit) -> Vector:
    """Return the unit of each row; 0 for a constant series, which is forecast as it is."""
    if unit is Unit.CHANGE:
        return known.scale
    return np.where(known.scale > 0, known.level, 0.0)


def _regressor(effort: Effort, seed: int) -> HistGradientBoostingRegressor:
    """Return a model that has learned nothing yet."""
    model = HistGradientBoostingRegressor(loss="absolute_error", random_state=seed)
    return model.set_params(
        max_iter=effort.iterations,
        learning_rate=effort.rate,
        max_leaf_nodes=effort.leaves,
        min_samples_leaf=effort.least_in_leaf,
        max_features=0.5,
        early_stopping=False,
    )


def _draw(known: Known, names: Sequence[str], hours: int, seed: int) -> tuple[Index, Index, Index]:
    """Return triples whose targets are known, drawn for each series; in order of the names."""
    end = known.hours
    rows_in_all = min(max(_FEW_ROWS, _ROWS_A_SERIES * len(names)), _MOST_ROWS)
    wanted = min(rows_in_all // len(names), _MOST_ROWS_A_SERIES)
    series: list[Index] = []
    origins: list[Index] = []
    horizons: list[Index] = []
    for place in sorted(range(len(names)), key=lambda place: names[place]):
        begin = int(known.begins[place])
        first = begin + min(2 * WEEK, (end - begin) // 2)
        if end - begin < _LEAST_HOURS:
            continue
        random = np.random.default_rng([seed, zlib.crc32(names[place].encode())])
        from_hours = random.integers(first, end - DAY // 2, size=wanted)
        ahead = random.integers(1, hours + 1, size=wanted)
        inside = from_hours + ahead - 1 < end
        series.append(np.full(int(inside.sum()), place))
        origins.append(from_hours[inside])
        horizons.append(ahead[inside])
    if not series:
        nothing: Index = np.empty(0, dtype=np.int64)
        return nothing, nothing, nothing
    return np.concatenate(series), np.concatenate(origins), np.concatenate(horizons)
