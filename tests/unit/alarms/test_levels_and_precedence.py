"""What moved most is found though the alarm is late; what leads to what follows from order."""

from __future__ import annotations

import numpy as np

from alarms.localization import levels
from alarms.localization.precedence import Firing, precedences

RNG = np.random.default_rng(3)
NORMAL = {
    ("cart", "cpu"): RNG.normal(10, 0.5, 300),
    ("cart", "mem"): RNG.normal(500, 0.1, 300),
    ("user", "cpu"): RNG.normal(5, 0.5, 300),
    ("user", "flat"): np.zeros(300),
}


def later(**moved: float) -> dict[tuple[str, str], np.ndarray]:
    return {key: values + moved.get("_".join(key), 0.0) for key, values in NORMAL.items()}


def test_the_component_that_moved_comes_first() -> None:
    assert levels.moved(NORMAL, later(user_cpu=9.0))[0].entity == "user"


def test_the_steadiest_metric_that_moved_tells_most() -> None:
    first = levels.moved(NORMAL, later(cart_cpu=5.0, cart_mem=9.0))[0]
    assert [name for name, _ in first.metrics] == ["mem", "cpu"]
    assert first.metrics[0][1] == first.score


def test_a_late_alarm_changes_little() -> None:
    after = later(user_cpu=9.0)
    mixed = {key: np.concatenate([NORMAL[key], after[key][:60]]) for key in NORMAL}
    assert levels.moved(mixed, after)[0].entity == "user"


def test_what_is_missing_moved_nowhere() -> None:
    gone = {("cart", "cpu"): np.full(300, np.nan), ("user", "cpu"): NORMAL["user", "cpu"]}
    found = levels.moved(NORMAL, gone)
    assert {one.entity: one.score for one in found}["cart"] == 0.0


def test_a_constant_series_has_a_finite_shift() -> None:
    flat = np.full(50, 4.0)
    assert levels.shift(flat, flat + 1.0, floor=0.01) == 25.0


def firings(pairs: int = 40) -> list[Firing]:
    """Return `a` followed by `b` a minute later, and `c` on its own, on two places."""
    made: list[Firing] = []
    for number in range(pairs):
        at, place = 10_000.0 * number, str(number % 2)
        made += [
            Firing(alarm="a", place=place, at=at),
            Firing(alarm="b", place=place, at=at + 60.0),
            Firing(alarm="c", place=place, at=at + 5_000.0),
        ]
    return made


def test_what_comes_before_leads() -> None:
    (one,) = precedences(firings())
    assert (one.first, one.then, one.seen) == ("a", "b", 40)
    assert one.expected < 3


def test_flapping_is_no_evidence() -> None:
    flaps = [Firing(alarm="a", place="0", at=float(n)) for n in range(200)]
    flaps += [Firing(alarm="b", place="0", at=n + 0.5) for n in range(200)]
    assert precedences([*flaps, Firing(alarm="c", place="0", at=1e6)]) == []


def test_other_places_have_no_part_in_it() -> None:
    apart = [Firing(alarm=one.alarm, place=one.place + one.alarm, at=one.at) for one in firings()]
    assert precedences(apart) == []


def test_the_order_given_does_not_matter() -> None:
    assert precedences(firings()[::-1]) == precedences(firings())
