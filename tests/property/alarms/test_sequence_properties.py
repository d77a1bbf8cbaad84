"""Whatever comes: detection looks back only, stays finite, and remembers what it should."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alarms.detection.discoveries import FleetDiscoveries
from alarms.detection.sequences.detector import SequenceDetector, SequenceSettings
from alarms.detection.sequences.tails import Shape, Tail

SMALL = SequenceSettings(
    season_seconds=10.0, slots=10, roughness_values=8, season_roughness_values=4, kept=4, least=8
)
NUMBERS = st.floats(-1e12, 1e12, allow_nan=False)
SERIES = st.lists(NUMBERS, min_size=1, max_size=120)


def surprises(values: list[float]) -> list[float]:
    detector = SequenceDetector(SMALL)
    return [detector.observe(float(place), value) for place, value in enumerate(values)]


@given(SERIES, SERIES)
@example(first=[0.0, 1e-170, 1e-150], later=[0.0])
@settings(max_examples=40, deadline=None)
def test_what_comes_later_changes_nothing_before(first: list[float], later: list[float]) -> None:
    assert surprises(first + later)[: len(first)] == surprises(first)


@given(SERIES)
@settings(max_examples=40, deadline=None)
def test_surprises_and_findings_are_finite_and_in_bounds(values: list[float]) -> None:
    detector = SequenceDetector(SMALL)
    for place, value in enumerate(values):
        surprise = detector.observe(float(place), value)
        assert surprise >= 0.0
        assert math.isfinite(surprise)
        finding = detector.look.finding(level=1e-3, effect=0.1)
        assert 0.0 <= finding.p_value <= 1.0
        assert finding.low <= finding.high


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=200), st.sampled_from(Shape))
@settings(max_examples=60, deadline=None)
def test_a_tail_keeps_the_largest(values: list[float], shape: Shape) -> None:
    tail = Tail(shape, kept=5, least=1)
    for value in values:
        tail.observe(value)
    if len(values) >= 5:
        edge = sorted(values)[-5]
        assert tail.observe(edge * (1 - 1e-9)) == 0.0
        assert math.isclose(tail.reach(0.0), edge, rel_tol=1e-6, abs_tol=1e-200)


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 1)), max_size=200))
@settings(max_examples=40, deadline=None)
def test_a_discovery_is_one_by_the_definition(tests: list[tuple[int, float]]) -> None:
    rate, period = 0.2, 3
    discoveries = FleetDiscoveries(rate, period_tests=period)
    newest: dict[int, list[float]] = {}
    for model, p_value in tests:
        found = discoveries.test(str(model), p_value)
        newest[model] = [*newest.get(model, []), p_value][-period:]
        ranked = sorted(min(1.0, period * min(values)) for values in newest.values())
        passed = [k for k, each in enumerate(ranked, 1) if each <= rate * k / len(ranked)]
        bound = rate * max(passed, default=1) / len(ranked) / period
        assert found == (p_value <= bound)


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_the_same_series_gives_the_same_surprises(seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=100).tolist()
    assert surprises(values) == surprises(values)
