"""How a search cools down: how often, where room may lack, and at what price."""

from __future__ import annotations

import itertools

import pytest

from placement.reassignment import schedule

PROCESSES = 1000


@pytest.mark.parametrize("of_machine", [2.0, 25.0, 26.0, 100.0])
@pytest.mark.parametrize("progress", [0.0, 0.02, 0.85, 0.99, 1.0])
def test_no_room_may_lack_at_the_start_and_in_the_quench(
    progress: float, of_machine: float
) -> None:
    plan = schedule.Schedule(weight=1e6, recipe=schedule.recipe_for(of_machine))
    assert plan.at(progress).lack_price == schedule.STRICT


@pytest.mark.parametrize("of_machine", [2.0, 25.0, 26.0, 100.0])
def test_room_that_lacks_gets_dearer_while_the_search_cools(of_machine: float) -> None:
    plan = schedule.Schedule(weight=1e6, recipe=schedule.recipe_for(of_machine))
    heats = [plan.at(progress) for progress in (0.05, 0.3, 0.6, 0.84)]
    prices = [heat.lack_price for heat in heats]
    temperatures = [heat.temperature for heat in heats]
    assert prices == sorted(set(prices))
    assert prices[-1] < schedule.STRICT
    assert temperatures == sorted(set(temperatures), reverse=True)


def test_with_many_processes_a_machine_room_never_lacks() -> None:
    plan = schedule.Schedule(weight=1e6, recipe=schedule.recipe_for(101.0))
    prices = {plan.at(step / 100).lack_price for step in range(101)}
    assert prices == {schedule.STRICT}


def _plan(of_machine: float, steps_of_process: float) -> schedule.Schedule:
    """Returns the schedule of a search with so many steps of each process."""
    recipe = schedule.recipe_for(of_machine)
    plan = schedule.Schedule(weight=1e6, recipe=recipe, processes=PROCESSES)
    return plan.of_steps(steps_of_process * PROCESSES)


def _starts(plan: schedule.Schedule) -> int:
    """Returns how often the temperature of a schedule rises from the coldest to the hottest."""
    heats = [plan.at(step / 2000).temperature for step in range(2001)]
    hottest = max(heats)
    return sum(
        before < hottest / 1000 and after > hottest / 2
        for before, after in itertools.pairwise(heats)
    )


@pytest.mark.parametrize("of_machine", [10.0, 50.0])
def test_the_more_steps_the_more_often_a_search_is_cooled(of_machine: float) -> None:
    recipe = schedule.recipe_for(of_machine)
    plans = [
        _plan(of_machine, share * recipe.cooling_steps) for share in (0.01, 1, 2.9, 3, 4.5, 1e6)
    ]
    assert [(plan.fresh, plan.rewarmed) for plan in plans] == [
        *[(1, 0)] * 3,
        (1, 2),
        (1, min(3, recipe.most_rewarmed)),
        (recipe.most_fresh, recipe.most_rewarmed),
    ]


def test_very_many_processes_a_machine_are_cooled_once() -> None:
    assert _plan(200.0, 1e6).coolings == 1


@pytest.mark.parametrize(("room", "fresh", "rewarmed"), [(1, 1, 0), (3, 1, 2), (6, 2, 4)])
def test_a_third_of_the_steps_starts_hot_and_the_others_warm(
    room: int, fresh: int, rewarmed: int
) -> None:
    plan = _plan(50.0, room * schedule.SOME.cooling_steps)
    coolings = fresh + rewarmed
    assert plan.coolings == coolings
    assert _starts(plan) == fresh
    assert [plan.is_rewarmed(number) for number in range(coolings)] == [
        number >= fresh for number in range(coolings)
    ]
    warm = [plan.at(number / coolings + 1e-9).temperature for number in range(fresh, coolings)]
    assert all(1e3 < temperature < 1e5 / 2 for temperature in warm)


def test_a_third_of_the_steps_is_one_cooling_where_only_one_starts_hot() -> None:
    plan = _plan(10.0, 1e6)
    assert [plan.number(progress) for progress in (0.0, 0.33, 0.34, 0.66, 0.67, 1.0)] == [
        *(0, 0, 1, 1, 2, 2)
    ]
    plan = _plan(50.0, 1e6)
    assert [plan.number(progress) for progress in (0.08, 0.09, 0.33, 0.34, 0.41, 0.42, 1.0)] == [
        *(0, 1, 3, 4, 4, 5, 11)
    ]


def test_each_cooling_ends_with_a_quench() -> None:
    plan = _plan(50.0, 3 * schedule.SOME.cooling_steps)
    ends = [plan.at(end - 1e-9) for end in (1 / 3, 2 / 3, 1.0)]
    assert [heat.lack_price for heat in ends] == [schedule.STRICT] * 3
    last = schedule.LAST_TEMPERATURE_COST
    assert [heat.temperature for heat in ends] == pytest.approx([last] * 3, rel=1e-3)


def test_a_pace_foretells_the_steps_until_its_nearest_limit() -> None:
    now = [0.0]
    timed = schedule.Pace(10_000, 10.0, lambda: now[0])
    now[0] = 2.0
    timed.done(1000)
    assert timed.whole_steps() == pytest.approx(5000)
    timed.done(5000)
    assert timed.whole_steps() == 10_000
    assert schedule.Pace(10_000, float("inf"), lambda: 0.0).whole_steps() == 10_000


def test_rounds_are_shorter_where_a_search_is_cooled_more_often() -> None:
    def next_steps(coolings: int) -> int:
        now = [0.0]
        pace = schedule.Pace(10**9, 400.0, lambda: now[0])
        pace.cut(coolings)
        for _ in range(20):
            steps = pace.next_steps()
            now[0] += steps / 1000
            pace.done(steps)
        return pace.next_steps()

    assert (next_steps(1), next_steps(4)) == (1000, 250)
