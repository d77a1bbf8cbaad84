"""A gradient-boosted model of the change from the seasonal value, learned from many series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from forecasting.pools.features import DAY, WEEK, Index, Rows, Vector, rows

_ROWS = 24_000
"""In all; more do not change the error and cost time."""
_ITERATIONS = 120
_LEARNING_RATE = 0.05
_LEAVES = 8
_LEAST_IN_LEAF = 200


class SeasonalBoosting:
    """Direct forecasts of every horizon by one model; absolute error is minimised."""

    def __init__(self, model: HistGradientBoostingRegressor) -> None:
        self._model = model

    def predict(self, known: Rows) -> Vector:
        """Return the forecast of each row."""
        change = np.asarray(self._model.predict(known.features), dtype=np.float64)
        return known.day_ago + known.scale * change


def fit(series: Sequence[tuple[Vector, int]], *, hours: int, seed: int) -> SeasonalBoosting:
    """Learn from series without gaps, of each only the values before its end.

    Args:
        series: Values and end; pairs of origin and horizon are drawn from before the end.
        hours: Longest horizon.
        seed: Of the draws and of the model.
    """
    random = np.random.default_rng(seed)
    features: list[Vector] = []
    changes: list[Vector] = []
    for values, end in series:
        origins, horizons = _draw(random, end, hours, _ROWS // len(series))
        known = rows(values[:end], origins, horizons)
        features.append(known.features)
        changes.append((values[origins + horizons - 1] - known.day_ago) / known.scale)
    model = HistGradientBoostingRegressor(loss="absolute_error", random_state=seed).set_params(
        max_iter=_ITERATIONS,
        learning_rate=_LEARNING_RATE,
        max_leaf_nodes=_LEAVES,
        min_samples_leaf=_LEAST_IN_LEAF,
        early_stopping=False,
    )
    model.fit(np.concatenate(features), np.concatenate(changes))
    return SeasonalBoosting(model)


def _draw(random: np.random.Generator, end: int, hours: int, count: int) -> tuple[Index, Index]:
    """Return pairs of origin and horizon whose targets lie before the end."""
    first = min(2 * WEEK, end // 2)
    origins = random.integers(first, end - DAY // 2, size=count)
    horizons = random.integers(1, hours + 1, size=count)
    inside = origins + horizons - 1 < end
    return origins[inside], horizons[inside]
