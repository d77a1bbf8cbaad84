"""When a share fell, against when something changed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from engine.model.signals import Layer, Shape, Signal
from engine.watching import falling


def shares(values: Sequence[float], trials: float = 100.0) -> list[Signal]:
    return [
        Signal(
            name="quality",
            layer=Layer.SERVING,
            subject="model:heart",
            at=float(at),
            value=value,
            weight=trials,
            shape=Shape.SHARE,
        )
        for at, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("values", "changed_at", "moved_at"),
    [
        ([0.9] * 10 + [0.7] * 10, 9.5, None),
        ([0.9] * 10 + [0.7] * 10, 9.0, None),
        ([0.9] * 15 + [0.7] * 5, 4.5, 15.0),
        ([0.9] * 5 + [0.7] * 15, 14.5, 5.0),
        ([1.0] * 15 + [0.0] * 5, 4.5, 15.0),
        ([0.9] * 20, 9.5, None),
        ([0.9] * 10 + [0.7] * 10, -1.0, None),
        ([0.9] * 10 + [0.7] * 10, 19.0, None),
        ([], 0.0, None),
    ],
)
def test_a_fall_is_placed(
    values: Sequence[float], changed_at: float, moved_at: float | None
) -> None:
    assert falling.elsewhere(shares(values), changed_at) == moved_at


def test_a_few_trials_are_not_sure() -> None:
    assert falling.elsewhere(shares([0.9] * 15 + [0.7] * 5, 3.0), 4.5) is None
