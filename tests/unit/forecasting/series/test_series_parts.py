"""Weights, intervals, classical methods and hierarchies, each against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from engine.model.errors import InvalidInputError
from forecasting.series import classical, combining, intervals, reconciling
from forecasting.series.walk import TREES, Walk

HOURS = 24


def walk_of(actual: np.ndarray, **members: np.ndarray) -> Walk:
    """Returns a walk of nightly origins in which every method but those given is far off."""
    off = np.full_like(actual, 500.0)
    names = (
        "last day",
        "mean of three days",
        "week's profile",
        "last week",
        "last value",
        "last day's mean",
        TREES,
    )
    return Walk(
        origins=np.arange(len(actual)) * 24 + 240,
        actual=actual,
        scale=np.ones(actual.shape[:2]),
        members={name: members.get(name, off) for name in names},
    )


def noise(nights: int, *, spread: float = 1.0) -> np.ndarray:
    return 100.0 + spread * np.random.default_rng(1).standard_normal((nights, 2, HOURS))


def test_the_method_that_did_well_lately_is_followed() -> None:
    actual = noise(12)
    walked = walk_of(actual, **{"last week": np.full_like(actual, 100.0)})
    combined = combining.combine(walked)
    assert combined.weights["last week"].min() > 0.99
    np.testing.assert_allclose(combined.medians[-1], 100.0, atol=1e-3)


def test_without_a_past_the_trees_count_alone() -> None:
    assert combining.combine(walk_of(noise(1))).weights[TREES].tolist() == [1.0, 1.0]


def test_widths_are_those_of_past_errors() -> None:
    actual = noise(60)
    walked = walk_of(actual)
    banded = intervals.band(walked, np.full_like(actual, 100.0), (0.1, 0.5, 0.9))
    low, middle, high = np.moveaxis(banded.quantiles[-10:], 3, 0)
    assert low.mean() == pytest.approx(100.0 - 1.28, abs=0.35)
    assert (middle == 100.0).all()
    assert high.mean() == pytest.approx(100.0 + 1.28, abs=0.35)
    assert banded.tested.all(axis=1).tolist() == [False] + [True] * 59


def test_widths_grow_after_misses() -> None:
    actual = noise(30)
    actual[15:] += 6.0
    banded = intervals.band(walk_of(actual), np.full_like(actual, 100.0), (0.5, 0.9))
    covered = (actual <= banded.quantiles[..., 1]).mean(axis=(1, 2))
    assert covered[15] < 0.1
    assert covered[22:].mean() > 0.8


def test_windows_without_errors_are_wider_than_nearer_ones() -> None:
    actual = np.full((3, 1, 240), 100.0) + np.random.default_rng(2).standard_normal((3, 1, 240))
    banded = intervals.band(walk_of(actual), np.full_like(actual, 100.0), (0.5, 0.9))
    width = banded.quantiles[-1, 0, :, 1] - 100.0
    assert width[200] > width[100] > width[0] > 0.0


def test_exponential_smoothing_finds_the_daily_wave() -> None:
    hours = np.arange(20 * 24 + 24)
    values = 100.0 + 30.0 * np.sin(hours * 2 * np.pi / 24)
    smoothing = classical.estimate(values[:-24])
    assert smoothing is not None
    for said in (
        classical.holt_winters(values[:-24], 24, smoothing),
        classical.holt_winters_afresh(values[:-24], 24),
        classical.decomposition(values[:-24], 24),
    ):
        np.testing.assert_allclose(said, values[-24:], atol=6.0)


def test_a_constant_series_has_no_smoothing() -> None:
    assert classical.estimate(np.full(500, 3.0)) is None
    assert classical.holt_winters(np.full(500, 3.0), 2, None).tolist() == [3.0, 3.0]


def test_what_errs_most_is_moved_most() -> None:
    sums = reconciling.summing(["total", "a", "b"], {"total": ["a", "b"]})
    apart = np.array([[[10.0]], [[3.0]], [[4.0]]])
    found = reconciling.reconciled(apart, 0, sums, np.array([0.1, 0.1, 5.0]))[:, 0, 0]
    np.testing.assert_allclose(found, [10.0, 3.0, 7.0], atol=0.01)


@pytest.mark.parametrize(
    ("totals", "named"),
    [
        ({"total": ["a", "missing"]}, "missing"),
        ({"total": ["tenant"], "tenant": ["total"]}, "parts of one another"),
    ],
)
def test_a_hierarchy_that_cannot_be_is_refused(totals: dict[str, list[str]], named: str) -> None:
    with pytest.raises(InvalidInputError, match=named):
        reconciling.summing(["total", "tenant", "a"], totals)
