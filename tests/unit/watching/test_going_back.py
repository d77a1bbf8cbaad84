"""Which model a roll-back goes to: one that served while what alarms was better."""

from __future__ import annotations

import math

import pytest

from engine.model.identifiers import Digest
from engine.model.tenures import Tenure
from engine.testing.watch_suites import gauge
from engine.watching.going_back import Choice, Trouble, choice

GOOD = (10.0, 11.0, 9.0, 10.0)
BAD = (20.0, 21.0, 19.0, 20.0)


def tenure(name: str, since: float, until: float | None) -> Tenure:
    return Tenure(digest=Digest(name), since=since, until=until)


A = tenure("a", 0.0, 4.0)


def latency(*values: float) -> Trouble:
    """Return values a second apart, of which large ones are the worse."""
    return Trouble([gauge(float(at), value) for at, value in enumerate(values)], is_high=True)


def chosen(
    former: tuple[Tenure, ...],
    *troubles: Trouble,
    began_at: float = math.inf,
    left: frozenset[object] = frozenset(),
) -> tuple[str, bool]:
    found = choice(former, troubles, began_at, left)
    assert found is not None
    return str(found.tenure.digest), found.is_better


def test_the_model_before_served_well() -> None:
    assert chosen((A,), latency(*GOOD, *BAD)) == ("a", True)


def test_one_that_served_as_badly_is_passed_over() -> None:
    b = tenure("b", 4.0, 8.0)
    assert chosen((b, A), latency(*GOOD, *BAD, *BAD)) == ("a", True)


def test_one_that_served_too_shortly_to_know_is_passed_over() -> None:
    b = tenure("b", 4.0, 5.0)
    assert chosen((b, A), latency(*GOOD, 20.0, *BAD)) == ("a", True)


def test_what_a_model_served_after_the_first_alarm_does_not_speak_for_it() -> None:
    """It was called bad then, so that going back to one before it would undo too much."""
    b = tenure("b", 4.0, 12.0)
    values = latency(*GOOD, *GOOD, *BAD, *BAD)
    assert chosen((b, A), values, began_at=8.0) == ("b", True)


def test_any_series_that_was_better_is_enough() -> None:
    assert chosen((A,), latency(*GOOD, *GOOD), latency(*GOOD, *BAD)) == ("a", True)


def test_where_none_was_better_it_is_the_model_before() -> None:
    b = tenure("b", 4.0, 8.0)
    assert chosen((b, A), latency(*GOOD, *GOOD, *GOOD)) == ("b", False)


def test_where_nothing_is_known_the_alarms_decide() -> None:
    b = tenure("b", 4.0, 8.0)
    assert chosen((b, A)) == ("b", True)


def test_what_no_other_followed_speaks_for_nothing() -> None:
    assert chosen((tenure("b", 4.0, None), A), latency(*GOOD, *BAD)) == ("a", True)


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (frozenset({"b"}), None),
        (frozenset({"a"}), Choice(tenure=tenure("b", 4.0, 8.0), is_better=False)),
    ],
)
def test_what_a_roll_back_left_is_not_passed_over(
    left: frozenset[object], expected: Choice | None
) -> None:
    b = tenure("b", 4.0, 8.0)
    trouble = latency(*GOOD, *BAD, *BAD)
    assert choice((b, A), [trouble], math.inf, left) == expected


def test_without_models_before_there_is_none() -> None:
    assert choice((), [latency(*GOOD, *BAD)], math.inf, ()) is None
