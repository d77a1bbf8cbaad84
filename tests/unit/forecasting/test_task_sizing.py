"""First tries of memory cost little in expectation, and retries end."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.model.errors import InvalidInputError
from forecasting.profiles.candidates import LEFT_OUT, POINTS
from forecasting.profiles.sizing import MemorySizer
from forecasting.profiles.waste import Errors, best_offset, cost_of, with_tail


def errors(needs: list[float], hours: list[float] | None = None) -> Errors:
    count = len(needs)
    return Errors(
        np.zeros(count), np.ones(count), np.array(needs), np.array(hours or [1.0] * count)
    )


def cost_by_definition(held: float, known: Errors, retry: float) -> float:
    return sum(
        cost_of(held, float(need), float(hours), retry=retry)
        for need, hours in zip(known.needs, known.hours, strict=True)
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_offset_is_the_cheapest_by_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    needs, hours = random.gamma(2.0, 3.0, 30).round(1), random.uniform(0.1, 2.0, 30)
    known = errors(needs.tolist(), hours.tolist())
    retry = float(needs.max())
    found = best_offset(known, retry=retry, most_failing=1.0)
    costs = {held: cost_by_definition(held, known, retry) for held in needs.tolist()}
    assert found.cost == pytest.approx(min(costs.values()))
    assert costs[found.scales] == pytest.approx(found.cost)


def test_no_more_fail_than_may() -> None:
    known = errors([1.0] * 80 + [100.0] * 20)
    assert best_offset(known, retry=100.0, most_failing=1.0).failing == pytest.approx(0.2)
    assert best_offset(known, retry=100.0, most_failing=0.1).failing == 0.0


def test_where_runs_are_alike_more_than_the_largest_is_held() -> None:
    known = with_tail(errors([10.0 + 0.01 * n for n in range(20)]))
    assert best_offset(known, retry=10.5, most_failing=1.0).scales > 10.19


@pytest.mark.parametrize("name", ["line", "power"])
def test_left_out_lines_are_those_through_the_others(name: str) -> None:
    random = np.random.default_rng(3)
    sizes = random.uniform(0.0, 2.0, 15)
    memory = sizes + random.normal(0.0, 0.1, 15)
    told = LEFT_OUT[name](sizes, memory)
    for place in range(15):
        others = np.delete(np.arange(15), place)
        again = POINTS[name](sizes[others], memory[others], float(sizes[place]))
        assert told[place] == pytest.approx(again, rel=1e-6)


def test_memory_that_grows_with_the_input_is_learned() -> None:
    sizer = MemorySizer()
    random = np.random.default_rng(1)
    for size in random.uniform(1.0, 10.0, 40):
        sizer.update(float(size), 0.5 + 2.0 * float(size), 0.1)
    assert sizer.first_try(8.0) == pytest.approx(16.5, rel=0.05)
    choice = sizer.choice()
    assert choice is not None
    assert choice.tested == 36


def test_less_is_wasted_than_by_the_largest_value_seen() -> None:
    random = np.random.default_rng(2)
    sizes = random.uniform(1.0, 10.0, 120)
    needs = sizes * random.lognormal(0.0, 0.1, 120)
    sizer, wasted, naive = MemorySizer(), 0.0, 0.0
    for place, (size, need) in enumerate(zip(sizes.tolist(), needs.tolist(), strict=True)):
        if place >= 40:
            most = float(needs[:place].max())
            wasted += cost_of(sizer.first_try(size), need, 1.0, retry=2.0 * most)
            naive += cost_of(1.15 * most, need, 1.0, retry=2.0 * most)
        sizer.update(size, need, 1.0)
    assert wasted < 0.5 * naive


def test_retries_grow_until_they_are_enough() -> None:
    sizer = MemorySizer()
    for need in (1.0, 2.0, 3.0, 8.0):
        sizer.update(1.0, need, 1.0)
    held, tries = 0.5, [0.5]
    while held < 100.0:
        held = sizer.next_try(held)
        assert held > tries[-1]
        tries.append(held)
    assert len(tries) < 12


def test_a_scale_of_units_scales_the_answer() -> None:
    random = np.random.default_rng(4)
    runs = [(float(s), float(s * random.lognormal(0.0, 0.2))) for s in random.uniform(1, 9, 30)]
    small, large = MemorySizer(), MemorySizer()
    for size, need in runs:
        small.update(size, need, 0.1)
        large.update(size, 1000.0 * need, 0.1)
    assert large.first_try(5.0) == pytest.approx(1000.0 * small.first_try(5.0), rel=0.02)


@pytest.mark.parametrize(
    ("memory", "hours", "said"),
    [(-1.0, 1.0, "at least 0"), (math.nan, 1.0, "a number"), (1.0, -0.1, "at least 0")],
)
def test_what_cannot_be_is_refused(memory: float, hours: float, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        MemorySizer().update(1.0, memory, hours)


def test_bytes_for_gigabytes_are_found_by_their_range() -> None:
    with pytest.raises(InvalidInputError) as caught:
        MemorySizer().update(1.0, 17_179_869_184.0, 1.0)
    assert "bytes" in caught.value.faults[0].fix
