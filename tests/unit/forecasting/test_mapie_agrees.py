"""Quantiles from held-out errors are those that MAPIE, an independent implementation, gives."""

from __future__ import annotations

import numpy as np
import pytest
from mapie.conformity_scores import AbsoluteConformityScore
from mapie.regression import SplitConformalRegressor
from sklearn.dummy import DummyRegressor

from engine.model.profiles import QUANTILE_LEVELS
from forecasting import conformal


@pytest.mark.parametrize("count", [150, 400, 1_000])
@pytest.mark.parametrize("shape", ["skewed", "heavy", "rounded"])
def test_upper_quantiles_are_those_of_mapie(shape: str, count: int) -> None:
    chance = np.random.default_rng(count)
    residuals = {
        "skewed": chance.gamma(2.0, 1.0, count) - 1.5,
        "heavy": chance.standard_t(2.5, count),
        "rounded": np.round(chance.normal(0.0, 1.0, count), 1),
    }[shape]
    ours = dict(zip(QUANTILE_LEVELS, conformal.offsets(residuals.tolist(), 1.0), strict=True))
    for level in (0.8, 0.9, 0.95, 0.99):
        assert ours[level] == pytest.approx(upper_bound(residuals, level), abs=1e-12)


def upper_bound(residuals: np.ndarray, level: float) -> float:
    """Return the upper end of MAPIE's two-sided interval that leaves out `1 - level` above."""
    places = np.zeros((len(residuals), 1))
    always_zero = DummyRegressor(strategy="constant", constant=0.0).fit(places, residuals)
    told = SplitConformalRegressor(
        always_zero,
        confidence_level=2 * level - 1,
        conformity_score=AbsoluteConformityScore(sym=False),
        prefit=True,
    ).conformalize(places, residuals)
    _, interval = told.predict_interval(places[:1])
    return float(interval[0, 1, 0])
