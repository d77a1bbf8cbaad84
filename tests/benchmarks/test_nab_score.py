"""The score of the Numenta benchmark, on cases worked out by hand from its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.alarms._nab_score import Labelled, Profile, corpus_score, row_worths, worth

SERIES = Labelled(name="a", rows=1_000, windows=((400, 499),))


def scored(*rows: int, profile: Profile = Profile.STANDARD, series: Labelled = SERIES) -> float:
    scores = np.zeros(series.rows)
    scores[list(rows)] = 1.0
    found = corpus_score([series], [scores], profile)
    # The threshold may be set so high that nothing is detected, which is 0.
    return found.value


def sigmoid(position: float) -> float:
    return 2 / (1 + math.exp(5 * position)) - 1


def test_nothing_is_zero_and_the_left_edge_is_everything() -> None:
    assert scored() == 0.0
    assert scored(400) == pytest.approx(100.0)


def test_a_late_detection_is_worth_less() -> None:
    # Row 450 of 400 to 499 stands 50 rows before the right edge, counted from one past it.
    late = sigmoid(-0.5) / sigmoid(-1.0)
    assert scored(450) == pytest.approx(100 * (late + 1) / 2)


def test_the_first_detection_of_a_window_counts_once() -> None:
    assert scored(410, 420, 480) == scored(410)


def test_each_false_alarm_costs_its_weight() -> None:
    assert scored(400, 200, 201) == pytest.approx(100 * (2 - 2 * 0.11) / 2)
    assert scored(400, 200, profile=Profile.LOW_FALSE_POSITIVES) == pytest.approx(
        100 * (2 - 0.22) / 2
    )


def test_a_false_alarm_soon_after_a_window_costs_less() -> None:
    soon = -sigmoid(10 / 99)
    assert scored(400, 509) == pytest.approx(100 * (2 - 0.11 * soon) / 2)


def test_a_miss_costs_double_where_misses_weigh_more() -> None:
    two = Labelled(name="b", rows=1_000, windows=((400, 499), (700, 799)))
    assert scored(400, series=two) == pytest.approx(50.0)
    low = scored(400, series=two, profile=Profile.LOW_FALSE_NEGATIVES)
    assert low == pytest.approx(100 * (1 - 2 + 4) / (2 + 4))


def test_rows_of_the_probation_are_not_scored() -> None:
    assert SERIES.probation == 150
    assert scored(400, 10, 149) == pytest.approx(100.0)
    assert Labelled(name="long", rows=20_000, windows=()).probation == 750


def test_the_threshold_is_one_for_all_series() -> None:
    other = Labelled(name="c", rows=1_000, windows=((400, 499),))
    first, second = np.zeros(1_000), np.zeros(1_000)
    first[400], second[400], second[200] = 0.4, 0.9, 0.5
    found = corpus_score([SERIES, other], [first, second], Profile.STANDARD)
    assert found.threshold == 0.4
    assert found.value == pytest.approx(100 * (4 - 0.11) / 4)
    assert found.by_series == pytest.approx((1.0, 0.89))


def test_far_after_a_window_a_false_alarm_costs_all() -> None:
    assert worth(3.1) == -1.0
    worths, owners = row_worths(SERIES)
    assert (worths[399], owners[399], owners[400], owners[500]) == (-1.0, -1, 0, -1)
    assert worths[900] == -1.0
