"""Ports of published sizing rules answer as their papers and sources say."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.forecasting import _sizing_rules, _vpa


def told(rule: _sizing_rules.Rule, memory: list[float], hours: list[float] | None = None) -> None:
    for place, need in enumerate(memory):
        rule.update(float(place), need, 1.0 if hours is None else hours[place])


@pytest.mark.parametrize("seed", range(5))
def test_tovar_takes_the_allocation_of_least_expected_cost(seed: int) -> None:
    random = np.random.default_rng(seed)
    memory = random.gamma(2.0, 2.0, 25).round(1).tolist()
    hours = random.uniform(0.1, 3.0, 25).tolist()
    rule = _sizing_rules.TovarPPM()
    told(rule, memory, hours)
    costs = {
        first: sum(
            (first if need <= first else first + max(memory)) * spent
            for need, spent in zip(memory, hours, strict=True)
        )
        for first in memory
    }
    assert costs[rule.first_try(0.0)] == pytest.approx(min(costs.values()))
    assert rule.next_try(0.1) == max(memory)


def test_witt_adds_an_offset_to_a_line_and_doubles() -> None:
    rule = _sizing_rules.WittRegression("largest under-estimate")
    told(rule, [1.0, 2.0, 3.5, 4.0])
    errors = np.array([1.0, 2.0, 3.5, 4.0]) - np.polyval(
        np.polyfit(range(4), [1, 2, 3.5, 4], 1), range(4)
    )
    expected = np.polyval(np.polyfit(range(4), [1, 2, 3.5, 4], 1), 5.0) + errors.max()
    assert rule.first_try(5.0) == pytest.approx(expected)
    assert rule.next_try(3.0) == 6.0


def test_a_percentile_of_what_was_seen() -> None:
    rule = _sizing_rules.WittPercentile()
    told(rule, [float(n) for n in range(101)])
    assert rule.first_try(0.0) == pytest.approx(95.0)


def test_vpa_holds_the_upper_edge_at_p90_and_15_percent() -> None:
    rule = _sizing_rules.Vpa()
    told(rule, [1.0] * 9 + [50.0])
    held = rule.first_try(0.0) / 1.15
    assert 1.0 <= held <= 1.05 * 1.0 + 0.01
    assert rule.next_try(1.0) == pytest.approx(1.2)
    assert rule.next_try(0.1) == pytest.approx(0.1 + 100 * 2**20 / 1e9)


def test_krr_holds_15_percent_above_the_largest() -> None:
    rule = _sizing_rules.Krr()
    told(rule, [1.0, 4.0, 2.0])
    assert rule.first_try(0.0) == pytest.approx(4.6)
    assert rule.next_try(10.0) == pytest.approx(12.5)


def test_old_samples_of_vpa_count_half_after_a_day() -> None:
    used = np.full((1, 49, 1), 100.0)
    used[0, 24:] = 1.0
    histogram = _vpa.Histogram(used, first=0.01)
    early, late = histogram.percentile(0.5)[0, [24, 48]]
    assert early == pytest.approx(100.0, rel=0.06)
    assert late == pytest.approx(1.0, rel=0.06)
    # 24 samples of weight 1 to 2 against as many of 2 to 4: a third of the weight is old.
    assert histogram.percentile(0.70)[0, 48] > 50.0
    assert histogram.percentile(0.64)[0, 48] < 2.0


def test_krr_takes_a_percentile_of_all_samples_before() -> None:
    used = np.arange(40.0).reshape(1, 4, 10)
    assert np.isnan(_vpa.krr_percentile(used, 95.0)[0, 0])
    assert _vpa.krr_percentile(used, 95.0)[0, 2] == pytest.approx(np.percentile(range(20), 95))
