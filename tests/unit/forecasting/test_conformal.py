"""Quantiles come from residuals where there are enough, and are wider where there are few."""

from __future__ import annotations

import pytest

from forecasting.conformal import offsets, rising, student_quantile


@pytest.mark.parametrize(
    ("level", "freedom", "exact"),
    [(0.95, 5, 2.015), (0.99, 5, 3.365), (0.80, 10, 0.879), (0.95, 100, 1.660)],
)
def test_students_quantiles_are_those_of_the_tables(
    level: float, freedom: float, exact: float
) -> None:
    assert student_quantile(level, freedom) == pytest.approx(exact, rel=0.02)


def test_with_enough_residuals_the_rank_decides() -> None:
    found = offsets([float(value) for value in range(1, 200)], 1.0)
    assert found == (100.0, 160.0, 180.0, 190.0, 198.0)


def test_upper_levels_of_few_residuals_lie_above_all_of_them() -> None:
    found = offsets([0.0, 0.1, 0.2], 0.5)
    assert found[3] > 0.2
    assert found[4] > found[3]


def test_more_residuals_narrow_the_forecast() -> None:
    few, many = offsets([-0.1, 0.1], 1.0), offsets([-0.1, 0.1] * 10, 1.0)
    assert few[4] > many[4]


def test_without_residuals_the_prior_spread_stands() -> None:
    found = offsets([], 1.0)
    assert found[0] == 0.0
    assert found[3] > 1.645


def test_residuals_of_one_day_count_as_one() -> None:
    residuals = [float(value) for value in range(100)]
    assert offsets(residuals, 1.0, independent=4)[4] > offsets(residuals, 1.0)[4]


def test_independent_residuals_cannot_be_more_than_there_are() -> None:
    assert offsets([1.0, 2.0], 1.0, independent=50) == offsets([1.0, 2.0], 1.0)


def test_values_that_cross_or_are_negative_are_lifted() -> None:
    assert rising([-1.0, 2.0, 1.0, 3.0, 2.5]).values == (0.0, 2.0, 2.0, 3.0, 3.0)
