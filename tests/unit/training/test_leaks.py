"""Leaks are found, and honest estimates are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from executors.training import leaks, reported

ROWS = np.arange(40, dtype=np.float64).reshape(20, 2)
LABELS = np.array([0, 1] * 10)


def test_a_second_model_may_not_look_at_the_held_out_labels() -> None:
    test = leaks.HeldOut(ROWS, LABELS)
    assert test.judge("a", LABELS) == 1.0
    assert test.judge("a", LABELS) == 1.0
    with pytest.raises(leaks.LeakError, match="already judged 'a'"):
        test.judge("b", LABELS)


def test_one_model_is_no_leak() -> None:
    test = leaks.HeldOut(ROWS, LABELS)
    test.judge("a", LABELS)
    assert test.leak() is None


def test_choosing_among_coins_on_the_test_is_flagged_with_its_optimism() -> None:
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, 100)
    test = leaks.HeldOut(np.zeros((100, 1)), labels, strict=False)
    scores = [test.judge(f"m{n}", generator.integers(0, 2, 100)) for n in range(50)]
    leak = test.leak()
    assert leak is not None
    assert leak.count == 50
    assert leak.optimism == pytest.approx(max(scores) - 0.5, abs=0.06)
    assert "chosen among 50 models" in str(leak)


@pytest.mark.parametrize(
    ("models", "flagged"),
    [
        ({"a": {"quality": 0.8, "holdout_quality": 0.8}, "b": {"quality": 0.7}}, False),
        ({n: {"quality": 0.8, "holdout_quality": 0.8} for n in "ab"}, True),
        ({n: {"quality": 0.8, "quality_on": "holdout"} for n in "ab"}, True),
        ({n: {"quality": 0.81, "holdout_quality": 0.8} for n in "ab"}, False),
    ],
)
def test_qualities_measured_on_held_out_rows_are_flagged(
    models: dict[str, dict[str, object]], flagged: bool
) -> None:
    assert (reported.reported_on_test(models) is not None) == flagged


def test_rows_on_both_sides_of_a_split_are_counted() -> None:
    assert leaks.shared_rows(ROWS[:10], ROWS[10:]) == (0, None)
    count, leak = leaks.shared_rows(ROWS[:12], ROWS[10:])
    assert count == 2
    assert "2 of 10 held-out rows (20.0%)" in str(leak)


def test_rows_that_chose_may_not_judge() -> None:
    assert leaks.overlap([1, 2], [3]) is None
    assert "1 of 2 rows" in str(leaks.overlap([1, 2], [2, 3]))
