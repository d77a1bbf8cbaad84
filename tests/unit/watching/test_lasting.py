"""Whether newest values are still worse than those before a change."""

from __future__ import annotations

import pytest

from engine.model.signals import Signal
from engine.testing.watch_suites import gauge
from engine.watching.lasting import lasts

CHANGED_AT = 6.0
BEFORE = (10.0, 11.0, 9.0, 10.0, 11.0, 9.0)


def series(*after: float, before: tuple[float, ...] = BEFORE) -> list[Signal]:
    """Return values a second apart, the first of those after at the change."""
    first = CHANGED_AT - len(before)
    return [gauge(first + number, value) for number, value in enumerate((*before, *after))]


@pytest.mark.parametrize(
    ("after", "is_high", "expected"),
    [
        ((20.0, 21.0, 19.0, 20.0), True, True),
        ((20.0, 21.0, 19.0, 20.0), False, False),
        ((1.0, 2.0, 1.0, 2.0), False, True),
        # What passed: only the newest values count.
        ((20.0, 21.0, 19.0, 20.0, 10.0, 11.0, 9.0, 10.0), True, False),
        # Within chance.
        ((10.5, 10.6, 10.4, 10.5), True, False),
    ],
)
def test_newest_values_count(
    after: tuple[float, ...],
    is_high: bool,
    expected: bool,
) -> None:
    assert lasts(series(*after), CHANGED_AT, is_high=is_high) is expected


def test_a_level_that_never_moved_needs_no_more_than_to_be_left() -> None:
    values = series(2.0, 2.0, 2.0, 2.0, before=(1.0,) * 6)
    assert lasts(values, CHANGED_AT, is_high=True) is True


@pytest.mark.parametrize(
    "values", [series(20.0, 20.0, 20.0), series(*(20.0,) * 4, before=(1.0, 2.0))]
)
def test_too_few_values_say_nothing(values: list[Signal]) -> None:
    assert lasts(values, CHANGED_AT, is_high=True) is None
