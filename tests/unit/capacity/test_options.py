"""Each answer to a shortage has its cost for a month, and the share of hours it keeps."""

from __future__ import annotations

import pytest

from engine.capacity.options import Assumptions, answer, options_for
from engine.capacity.supply import Offer
from engine.model.capacity import CapacityOption
from engine.model.identifiers import MicroDollars

ASSUMED = Assumptions(flexible_share=0.2, reserved_price=0.5)
RENTED = Offer(
    machine="m", units_per_node=4, price_micro_dollars_per_hour=MicroDollars(1_000_000), owned=False
)
OWNED = Offer(
    machine="m", units_per_node=4, price_micro_dollars_per_hour=MicroDollars(1_000_000), owned=True
)
PEAK = [100.0] * 20 + [118.0] * 4
"""A day with four busy hours."""


def named(demand: list[float], supply: float, offer: Offer | None) -> dict[str, CapacityOption]:
    return {option.name: option for option in options_for(demand, supply, offer, ASSUMED)}


def test_where_there_is_enough_nothing_is_offered() -> None:
    (only,) = options_for(PEAK, 118.0, RENTED, ASSUMED)
    assert (only.name, only.keeps, only.cost_micro_dollars_per_month) == ("do nothing", 1.0, 0)
    assert answer((only,)) is None


def test_doing_nothing_keeps_the_hours_that_have_room() -> None:
    nothing = named(PEAK, 110.0, RENTED)["do nothing"]
    assert nothing.keeps == pytest.approx(20 / 24)
    assert "16.7 %" in nothing.description


def test_flexible_load_moves_to_hours_of_the_same_day() -> None:
    moved = named(PEAK, 110.0, RENTED)["move"]
    assert (moved.keeps, moved.cost_micro_dollars_per_month) == (1.0, 0)
    assert "4 more hours" in moved.description


def test_no_more_moves_than_is_flexible() -> None:
    assert named([10.0] * 23 + [100.0], 70.0, RENTED)["move"].keeps == pytest.approx(23 / 24)


def test_no_more_moves_than_there_is_room() -> None:
    full = [110.0] * 20 + [118.0] * 4
    assert named(full, 110.0, RENTED)["move"].keeps == pytest.approx(20 / 24)


def test_load_does_not_move_to_another_day() -> None:
    demand = [118.0] * 24 + [0.0] * 24
    assert named(demand, 110.0, RENTED)["move"].keeps == pytest.approx(0.5)


def test_renting_by_the_hour_pays_for_the_short_hours_only() -> None:
    found = named(PEAK, 110.0, RENTED)
    # Four hours of the day times 30 days times 2 nodes for 8 units.
    assert found["rent by the hour"].cost_micro_dollars_per_month == 4 * 30 * 2 * 1_000_000
    assert found["rent"].cost_micro_dollars_per_month == 720 * 2 * 1_000_000
    assert found["reserve"].cost_micro_dollars_per_month == 720 * 1_000_000
    assert not found["reserve"].reversible


def test_what_moving_leaves_short_is_rented() -> None:
    found = named([90.0] * 23 + [150.0], 110.0, RENTED)
    rest = found["move, rent the rest"]
    assert rest.keeps == 1.0
    assert (
        rest.cost_micro_dollars_per_month < found["rent by the hour"].cost_micro_dollars_per_month
    )


def test_machines_on_premises_are_bought() -> None:
    found = named(PEAK, 110.0, OWNED)
    assert list(found) == ["do nothing", "move", "buy"]
    assert found["buy"].cost_micro_dollars_per_month == 720 * 2 * 1_000_000
    assert not found["buy"].reversible


def test_without_an_offer_only_moving_is_left() -> None:
    assert list(named(PEAK, 110.0, None)) == ["do nothing", "move"]


def test_the_answer_is_the_cheapest_that_keeps_every_hour() -> None:
    found = options_for([90.0] * 23 + [150.0], 110.0, RENTED, ASSUMED)
    best = answer(found)
    assert best is not None
    assert best.name == "move, rent the rest"


def test_of_two_equal_answers_the_reversible_one_is_taken() -> None:
    nothing, *_ = options_for(PEAK, 110.0, None, ASSUMED)
    pair = [
        CapacityOption(
            name=name,
            description="",
            cost_micro_dollars_per_month=MicroDollars(5),
            keeps=1.0,
            reversible=name == "back",
        )
        for name in ("forever", "back")
    ]
    best = answer([nothing, *pair])
    assert best is not None
    assert best.name == "back"


def test_there_may_be_no_answer() -> None:
    assert answer(options_for([200.0] * 24, 110.0, None, ASSUMED)) is None
