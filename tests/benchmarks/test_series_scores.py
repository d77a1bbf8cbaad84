"""Scores of series forecasts against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.forecasting import _series as scores


def test_missing_above_costs_as_much_as_the_level_says() -> None:
    actual = np.array([[[10.0, 10.0]]])
    said = np.array([[[8.0, 12.0]]])
    # 0.9 * 2 above and 0.1 * 2 below, twice, over a demand of 20.
    assert scores.weighted_pinball(actual, said, 0.9) == pytest.approx(2 * (1.8 + 0.2) / 20)


def test_an_interval_that_misses_pays_forty_times_the_distance() -> None:
    actual = np.array([[5.0, 11.0]])
    low, high = np.full((1, 2), 4.0), np.full((1, 2), 10.0)
    score = scores.msis(actual, low, high, np.array([2.0]))
    assert score == pytest.approx((6.0 + 6.0 + 40.0 * 1.0) / 2 / 2)


def test_conformal_quantiles_use_only_errors_known_by_then() -> None:
    actual = np.zeros((3, 1, 48))
    actual[0, 0, :24], actual[0, 0, 24:] = 1.0, 100.0
    stated = scores.conformal(actual, np.zeros_like(actual), 0.9)
    assert np.isnan(stated[0]).all()
    # A night later the second day of the first origin is not known yet.
    assert (stated[1] == 1.0).all()
    assert stated[2].min() > 1.0


def test_errors_are_scaled_by_what_the_last_day_again_errs() -> None:
    values = np.array([[0.0] * 24 + [2.0] * 24 + [4.0] * 24])
    assert scores.daily_change(values, 72).tolist() == [2.0]
    error = scores.mase(np.full((1, 1, 24), 6.0), np.full((1, 1, 24), 5.0), np.array([[2.0]]))
    assert error.tolist() == [0.5]
