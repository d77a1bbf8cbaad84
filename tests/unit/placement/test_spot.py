"""When a task with a deadline runs on spot, on demand, or waits."""

import math
from dataclasses import replace

import numpy as np
import pytest

from engine.model.errors import InvalidInputError
from placement.spot import lifetimes, values
from placement.spot.lifetimes import BANDS, Lifetimes, learn
from placement.spot.policy import SpotPolicy
from placement.spot.task import Decision, Machine, Observation, Reason, SpotTask

TASK = SpotTask(
    work_seconds=6 * 3600.0,
    deadline_seconds=8 * 3600.0,
    changeover_seconds=600.0,
    step_seconds=300.0,
    spot_price=0.3 / 3600,
    on_demand_price=1.0 / 3600,
)
LONG_UPS = Lifetimes(down_per_hour=(2.0,) * BANDS, up_per_hour=(0.01,) * BANDS)
SHORT_UPS = Lifetimes(down_per_hour=(0.01,) * BANDS, up_per_hour=(8.0,) * BANDS)


def seen(
    *,
    slack: float = 7200.0,
    work: float = 3600.0,
    machine: Machine = Machine.NONE,
    left: float = 0.0,
    is_up: bool = True,
) -> Observation:
    return Observation(
        work_left_seconds=work,
        time_left_seconds=work + slack,
        machine=machine,
        changeover_left_seconds=left,
        spot_is_up=is_up,
        spot_age_seconds=0.0,
    )


def decided(observation: Observation, lives: Lifetimes = LONG_UPS) -> Decision:
    return SpotPolicy(TASK, lives).decide(observation)


def test_done_work_needs_no_machine() -> None:
    assert decided(seen(work=0.0)).reason is Reason.DONE


def test_a_running_spot_machine_is_kept() -> None:
    found = decided(seen(machine=Machine.SPOT))
    assert (found.machine, found.reason) == (Machine.SPOT, Reason.STAY_ON_SPOT)


def test_spot_that_lasts_is_taken() -> None:
    found = decided(seen())
    assert (found.machine, found.reason) == (Machine.SPOT, Reason.SPOT_IS_LEAST)
    assert found.expected_cost[Machine.SPOT] < found.expected_cost[Machine.ON_DEMAND]


def test_short_waits_are_waited_through() -> None:
    found = decided(seen(is_up=False))
    assert (found.machine, found.reason) == (Machine.NONE, Reason.WAITING_IS_LEAST)


def test_spot_that_does_not_last_is_left_alone() -> None:
    found = decided(seen(machine=Machine.ON_DEMAND, slack=1500.0), SHORT_UPS)
    assert (found.machine, found.reason) == (Machine.ON_DEMAND, Reason.ON_DEMAND_IS_LEAST)


@pytest.mark.parametrize("slack", [600.0, 700.0, 899.0])
def test_too_little_slack_for_another_step_forces_on_demand(slack: float) -> None:
    found = decided(seen(slack=slack, is_up=False))
    assert (found.machine, found.reason) == (Machine.ON_DEMAND, Reason.DEADLINE)
    assert not found.expected_cost


def test_spot_needs_slack_for_its_changeover_and_one_back() -> None:
    assert Machine.SPOT in decided(seen(slack=1200.0)).expected_cost
    assert Machine.SPOT not in decided(seen(slack=1190.0)).expected_cost


def test_a_changeover_to_spot_that_endangers_the_deadline_is_broken_off() -> None:
    found = decided(seen(machine=Machine.SPOT, slack=1100.0, left=600.0))
    assert found.machine is not Machine.SPOT


@pytest.mark.parametrize(
    ("machine", "expected"),
    [(Machine.NONE, Machine.ON_DEMAND), (Machine.SPOT, Machine.SPOT)],
)
def test_a_lost_deadline_is_said_and_worked_for_all_the_same(
    machine: Machine, expected: Machine
) -> None:
    found = decided(seen(machine=machine, slack=100.0))
    assert (found.machine, found.reason) == (expected, Reason.TOO_LATE)


def test_spot_that_is_no_cheaper_is_not_used() -> None:
    task = replace(TASK, spot_price=TASK.on_demand_price)
    found = SpotPolicy(task, LONG_UPS).decide(seen())
    assert (found.machine, found.reason) == (Machine.ON_DEMAND, Reason.SPOT_IS_NOT_CHEAPER)


def test_costs_are_in_the_currency_of_the_prices() -> None:
    dear = replace(TASK, spot_price=300.0 / 3600, on_demand_price=1000.0 / 3600)
    cheap = decided(seen()).expected_cost
    for machine, cost in SpotPolicy(dear, LONG_UPS).decide(seen()).expected_cost.items():
        assert cost == pytest.approx(1000 * cheap[machine], rel=1e-4)


def test_expected_cost_on_demand_is_its_price_where_spot_never_comes() -> None:
    never = Lifetimes(down_per_hour=(0.0,) * BANDS, up_per_hour=(1.0,) * BANDS)
    cost = decided(seen(is_up=False), never).expected_cost[Machine.ON_DEMAND]
    assert cost == pytest.approx((3600 + 600) / 3600, abs=0.05)


def test_faults_of_a_task_are_named_together() -> None:
    with pytest.raises(InvalidInputError) as caught:
        replace(TASK, work_seconds=math.nan, spot_price=-1.0, changeover_seconds=-1.0)
    paths = {fault.path for fault in caught.value.faults}
    assert paths == {"work_seconds", "spot_price", "changeover_seconds"}


@pytest.mark.parametrize(
    ("changeover", "deadline"),
    [(0.0, 8.0), (1.0, 8.0), (720.0, 1000.0), (4 * 3600.0, 8.0), (7200.0, 6.0)],
)
def test_any_changeover_and_deadline_gives_a_grid_of_bounded_size(
    changeover: float, deadline: float
) -> None:
    task = replace(TASK, changeover_seconds=changeover, deadline_seconds=deadline * 3600.0)
    grid = values.grid_of(task)
    assert grid.time_units <= values.MOST_UNITS
    assert grid.changeover_units * grid.unit_seconds >= changeover - 1e-6
    assert np.isfinite(values.solve(task, LONG_UPS).tables[Machine.ON_DEMAND]).all()


def test_transitions_are_chances() -> None:
    chances = learn((), 300.0).transitions(720.0)
    assert chances.sum(axis=1) == pytest.approx(1.0)
    assert chances.min() >= 0.0


def test_transitions_of_two_steps_are_those_of_one_twice() -> None:
    lives = learn((), 300.0)
    once, twice = lives.transitions(600.0), lives.transitions(1200.0)
    assert once @ once == pytest.approx(twice, abs=2e-3)


def test_without_history_what_has_lasted_long_lasts_longer() -> None:
    prior = learn((), 300.0)
    assert prior.up_per_hour == prior.down_per_hour
    assert list(prior.up_per_hour) == sorted(prior.up_per_hour, reverse=True)


def test_a_trace_that_flickers_teaches_short_spells() -> None:
    flicker = learn([True, False] * 500, 300.0)
    assert flicker.up_per_hour[0] > 2 * learn((), 300.0).up_per_hour[0]


def test_what_was_seen_long_ago_is_forgotten() -> None:
    calm, flicker = [True] * 4000, [True, False] * 500
    assert learn(flicker + calm, 300.0).up_per_hour[0] < learn(flicker, 300.0).up_per_hour[0]


def test_ages_count_from_the_last_change() -> None:
    found = lifetimes.ages([True, True, False, False, False, True], 10.0)
    assert found.tolist() == [0.0, 10.0, 0.0, 10.0, 20.0, 0.0]


def test_a_trace_without_length_of_step_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="step of the trace"):
        learn([True], 0.0)
