"""Extra time and errors are traced along calls to the service that makes them."""

from __future__ import annotations

import numpy as np
import pytest

from alarms.localization.flows import FlowFinder, Measure, Series

CALLS = [("front", "cart"), ("cart", "db"), ("front", "jobs"), ("jobs", "batch")]
LEVELS = {"front": 0.5, "cart": 0.2, "db": 0.1, "jobs": 3.0, "batch": 2.0}
ROWS = 200


def normal() -> dict[str, Series]:
    """Return normal times in which the front waits for the cart, and not for jobs."""
    rng = np.random.default_rng(1)
    noise = {name: rng.normal(0, 0.02, ROWS) for name in LEVELS}
    extra = {
        "db": noise["db"],
        "batch": 5 * noise["batch"],
        "cart": noise["cart"] + noise["db"],
        "front": noise["front"] + noise["cart"] + noise["db"],
        "jobs": noise["jobs"] + 5 * noise["batch"],
    }
    return {name: series(level + extra[name]) for name, level in LEVELS.items()}


def series(level: np.ndarray) -> Series:
    return Series(requests=np.full(len(level), 100.0), level=level)


def present(**extra: float) -> dict[str, Series]:
    return {
        name: series(np.full(5, level + extra.get(name, 0.0))) for name, level in LEVELS.items()
    }


def found(**extra: float) -> list[str]:
    causes = FlowFinder(CALLS, normal(), Measure.SECONDS).causes("front", present(**extra))
    return [cause.entity for cause in causes]


def test_the_callee_that_is_slow_is_the_cause() -> None:
    assert found(front=0.4, cart=0.4, db=0.4)[0] == "db"


def test_a_caller_that_is_slow_itself_is_the_cause() -> None:
    assert found(front=0.4, cart=0.4)[0] == "cart"
    assert found(front=0.4) == ["front"]


def test_nothing_is_named_in_normal_times() -> None:
    assert found() == []


def test_what_nobody_waits_for_is_no_cause() -> None:
    assert found(front=0.4, cart=0.4, batch=9.0, jobs=9.0) == ["cart"]


def test_a_cause_says_its_path_and_size() -> None:
    finder = FlowFinder(CALLS, normal(), Measure.SECONDS)
    cause = finder.causes("front", present(front=0.4, cart=0.4, db=0.4))[0]
    assert cause.path == ("front", "cart", "db")
    assert cause.own == pytest.approx(5 * 100 * 0.4, rel=0.1)


def test_errors_are_counted() -> None:
    clean = {name: series(np.zeros(ROWS)) for name in LEVELS}
    failing = {name: series(np.zeros(5)) for name in LEVELS}
    failing["front"] = failing["cart"] = series(np.full(5, 0.01))
    finder = FlowFinder(CALLS, clean, Measure.ERRORS)
    assert [cause.entity for cause in finder.causes("front", failing)] == ["cart"]


def test_of_a_long_window_what_lasts_counts() -> None:
    finder = FlowFinder(CALLS, normal(), Measure.SECONDS)
    level = np.full(50, LEVELS["front"])
    level[:5] += 0.4
    window = {**present(), "front": series(level)}
    assert finder.causes("front", window) == []


def test_cycles_and_unknown_services_do_no_harm() -> None:
    finder = FlowFinder([*CALLS, ("db", "front"), ("db", "ghost")], normal(), Measure.SECONDS)
    causes = finder.causes("front", present(front=0.4, cart=0.4, db=0.4))
    assert causes
    assert finder.causes("ghost", present()) == []


def test_a_service_with_little_history_is_not_judged() -> None:
    short = {**normal(), "db": series(np.full(5, 0.1))}
    finder = FlowFinder(CALLS, short, Measure.SECONDS)
    assert finder.causes("front", present(front=0.4, cart=0.4, db=0.4))[0].entity == "cart"
