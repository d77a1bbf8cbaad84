"""How a search cools down: where room may lack, and at what price."""

from __future__ import annotations

import pytest

from placement.reassignment import schedule


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
