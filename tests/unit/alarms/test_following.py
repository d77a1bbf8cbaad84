"""Values that follow one another say less than as many that do not."""

from __future__ import annotations

import numpy as np
import pytest

from alarms.detection.memory import MOST_FOLLOWING, Following, Sample
from alarms.detection.significance import gauge


def learned(values: list[float]) -> float:
    following = Following()
    for value in values:
        following.observe(value)
    return following.correlation


def series(correlation: float, count: int = 1_000) -> list[float]:
    values = np.random.default_rng(1).normal(size=count)
    for place in range(1, count):
        values[place] += correlation * values[place - 1]
    return [float(value) for value in values]


def test_what_follows_is_seen_and_what_does_not_is_not() -> None:
    assert learned(series(0.9)) == pytest.approx(0.85, abs=0.05)
    assert learned(series(0.0)) < 0.03


def test_nothing_seen_follows_nothing() -> None:
    assert learned([]) == 0.0
    assert learned([0.0, 0.0]) == 0.0


def test_few_values_are_not_taken_for_following() -> None:
    assert learned([3.0, 3.0, 3.0]) == 0.0


def test_a_ramp_follows_at_most_so_much() -> None:
    assert learned([float(value) for value in range(5_000)]) <= MOST_FOLLOWING


def band(following: float) -> tuple[float, float]:
    sample = Sample(60)
    for value in series(0.0, 60):
        sample.add(value)
    finding = gauge(9.0, sample, level=1e-4, effect=0.0, following=following)
    return finding.high - finding.low, finding.p_value


def test_the_band_widens_and_the_p_value_grows_with_what_follows() -> None:
    widths, p_values = zip(*(band(following) for following in (0.0, 0.5, 0.9)), strict=True)
    assert list(widths) == sorted(widths)
    assert list(p_values) == sorted(p_values)
    assert widths[2] > 2 * widths[0]
