"""How little is enough for tasks that rarely peak together."""

import numpy as np
import pytest

from engine.model.errors import InvalidInputError
from placement.multiplexing import population, sizing
from placement.multiplexing.shares import BISECTIONS, least_share, with_margin
from placement.problem.needs import OVERFLOW


def days(seed: int = 0, members: int = 200, steps: int = 24) -> list[np.ndarray]:
    """Two days of members that mostly need little, and seldom much."""
    chance = np.random.default_rng(seed)
    return [chance.gamma(0.5, 20.0, size=(members, steps)) for _ in range(2)]


def test_lambda_is_the_least_that_keeps_overflow() -> None:
    sampled = np.random.default_rng(0).random(100_000)
    share = least_share(lambda at: float(np.mean(sampled > at)), 0.01)
    assert share == pytest.approx(0.99, abs=2e-3)
    assert np.mean(sampled > share) <= 0.01
    assert np.mean(sampled > share - 2.0**-BISECTIONS) > 0.01 - 1e-3


def test_lambda_is_safe_where_nothing_less_is_enough() -> None:
    assert least_share(lambda _: 1.0, 0.01) == 1.0


def test_lambda_is_almost_nothing_where_nothing_overflows() -> None:
    assert least_share(lambda _: 0.0, 0.01) <= 2.0**-BISECTIONS


@pytest.mark.parametrize(("scenarios", "least"), [(10_000, 0.007), (10, 0.0)])
def test_the_margin_shrinks_with_the_sample(scenarios: int, least: float) -> None:
    asked = with_margin(0.01, scenarios)
    assert least <= asked < 0.01


def test_with_the_margin_fresh_scenarios_seldom_refuse() -> None:
    chance = np.random.default_rng(1)
    samples = chance.random((200, 2, 2000))
    edges = np.quantile(samples[:, 0], 1.0 - with_margin(0.05, 2000), axis=1)
    refused = np.mean(samples[:, 1] > edges[:, None], axis=1) > 0.05
    assert refused.mean() <= 0.06


def test_a_group_that_shares_needs_less_than_its_peaks() -> None:
    library = days()
    found = sizing.size(population.fit(library), 50, seed=0)
    peaks = 50 * np.concatenate(library).max(axis=1).mean()
    assert found.is_verified
    assert found.capacity < 0.5 * peaks


def test_unseen_members_overflow_no_more_than_is_asked() -> None:
    found = sizing.size(population.fit(days(seed=0)), 50, seed=0)
    chance = np.random.default_rng(5)
    unseen = np.concatenate(days(seed=1))
    groups = unseen[chance.integers(len(unseen), size=(500, 50))].sum(axis=1)
    assert np.mean(groups > found.capacity) <= OVERFLOW


def test_the_larger_the_group_the_less_each_of_it_needs() -> None:
    fitted = population.fit(days())
    each = [sizing.size(fitted, n, seed=0, scenarios=2000).capacity / n for n in (5, 20, 80)]
    assert each == sorted(each, reverse=True)


def test_less_overflow_allowed_takes_no_less_capacity() -> None:
    fitted = population.fit(days())
    found = [
        sizing.size(fitted, 20, seed=0, allowed=allowed, scenarios=2000).capacity
        for allowed in (0.1, 0.05, 0.01)
    ]
    assert found == sorted(found)


def test_what_tasks_have_in_common_is_not_averaged_away() -> None:
    """Members that peak in the same step need more together than those that do not."""
    chance = np.random.default_rng(0)
    apart = np.ones((200, 24))
    apart[np.arange(200), chance.integers(24, size=200)] = 50.0
    together = np.ones((200, 24))
    together[:, 12] = 50.0
    needs = [sizing.size(population.fit([day]), 20, seed=0).capacity for day in (apart, together)]
    assert needs[1] > 2 * needs[0]


def test_days_at_other_levels_widen_what_is_held() -> None:
    day = days()[0]
    calm, varied = population.fit([day, day]), population.fit([day, 2 * day])
    assert varied.level_deviation > calm.level_deviation
    assert varied.level_freedom == calm.level_freedom


def test_the_same_seed_gives_the_same_size() -> None:
    fitted = population.fit(days())
    sizes = [sizing.size(fitted, 20, seed=seed) for seed in (3, 3, 4)]
    assert sizes[0] == sizes[1]
    assert sizes[0].capacity == pytest.approx(sizes[2].capacity, rel=0.05)


def test_a_size_that_fresh_scenarios_refuse_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "VERIFICATIONS", 1)
    fitted = population.fit(days())
    found = [
        sizing.size(fitted, 20, seed=seed, allowed=0.0, scenarios=2, slot_steps=24)
        for seed in range(10)
    ]
    assert all(one.is_verified == (one.overflow == 0.0) for one in found)
    assert {one.is_verified for one in found} == {True, False}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([], "no day to learn from"),
        ([np.ones((2, 3)), np.ones((2, 4))], "has the shape"),
        ([np.ones(3)], "has the shape"),
        ([np.array([[1.0, np.nan]])], "no number"),
        ([np.array([[1.0, -1.0]])], "negative"),
        ([np.zeros((2, 3))], "needs nothing"),
    ],
)
def test_a_population_that_cannot_be_is_refused(bad: list[np.ndarray], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        population.fit(bad)


@pytest.mark.parametrize(("tasks", "slot_steps"), [(0, 1), (5, 7), (5, 0)])
def test_groups_and_slots_that_cannot_be_are_refused(tasks: int, slot_steps: int) -> None:
    with pytest.raises(InvalidInputError, match="tasks"):
        sizing.size(population.fit(days()), tasks, seed=0, slot_steps=slot_steps)
