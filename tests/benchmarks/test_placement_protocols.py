"""The protocols of the benchmarks of placement: replays, anchors, what is held out."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import frame
from benchmarks.placement import _spot_anchors as anchors
from benchmarks.placement import _spot_replay as replays
from benchmarks.placement import multiplex, spot
from placement.spot.task import Machine, Observation, SpotTask

HOUR = 3600.0
TASK = SpotTask(
    work_seconds=HOUR,
    deadline_seconds=2 * HOUR,
    changeover_seconds=600.0,
    step_seconds=600.0,
    spot_price=0.3 / HOUR,
    on_demand_price=1.0 / HOUR,
)


def seen(*, done: float, passed: float, machine: Machine, is_up: bool) -> Observation:
    return Observation(
        work_left_seconds=TASK.work_seconds - done,
        time_left_seconds=TASK.deadline_seconds - passed,
        machine=machine,
        changeover_left_seconds=0.0,
        spot_is_up=is_up,
        spot_age_seconds=0.0,
    )


def test_a_replay_pays_changeovers_at_the_price_of_the_new_machine() -> None:
    trace = replays.trace_of("t", [True, True, False] + [False] * 20, TASK.step_seconds)
    found = replays.replay(trace, 0, TASK, anchors.greedy(TASK))
    # Spot: ten minutes to change over, ten of work; on-demand: ten and fifty.
    assert found.cost == pytest.approx((20 * 0.3 + 60) / 60)
    assert replays.checked(trace, 0, TASK, found).cost == pytest.approx(found.cost)
    assert not found.is_late


def test_the_check_finds_spot_where_there_was_none() -> None:
    trace = replays.trace_of("t", [True] * 20, TASK.step_seconds)
    found = replays.replay(trace, 0, TASK, lambda _: Machine.SPOT)
    gone = replays.trace_of("t", [True, False] * 10, TASK.step_seconds)
    with pytest.raises(AssertionError, match="spot without spot"):
        replays.checked(gone, 0, TASK, found)


def test_the_check_finds_a_missed_deadline() -> None:
    trace = replays.trace_of("t", [False] * 20, TASK.step_seconds)
    found = replays.replay(trace, 0, TASK, lambda _: Machine.NONE)
    assert replays.checked(trace, 0, TASK, found).is_late


def test_greedy_waits_until_two_changeovers_of_slack_are_left() -> None:
    choose = anchors.greedy(TASK)
    early = seen(done=0.0, passed=2400.0, machine=Machine.NONE, is_up=False)
    late = seen(done=0.0, passed=2500.0, machine=Machine.NONE, is_up=True)
    assert choose(early) is Machine.NONE
    assert choose(late) is Machine.ON_DEMAND


@pytest.mark.parametrize(
    ("done", "machine", "is_up", "expected"),
    [
        (500.0, Machine.NONE, False, Machine.ON_DEMAND),  # behind
        (500.0, Machine.NONE, True, Machine.SPOT),  # behind, but spot comes first
        (700.0, Machine.NONE, False, Machine.NONE),  # ahead
        (700.0, Machine.ON_DEMAND, True, Machine.ON_DEMAND),  # not two changeovers ahead
        (1300.0, Machine.ON_DEMAND, True, Machine.SPOT),  # two changeovers ahead
        (1300.0, Machine.ON_DEMAND, False, Machine.NONE),  # the same, without spot
        (0.0, Machine.SPOT, True, Machine.SPOT),  # stays until it is taken away
    ],
)
def test_uniform_progress_follows_its_rules(
    done: float, machine: Machine, is_up: bool, expected: Machine
) -> None:
    found = anchors.uniform_progress(TASK)(
        seen(done=done, passed=1200.0, machine=machine, is_up=is_up)
    )
    assert found is expected


def test_who_knows_the_future_waits_for_the_long_stretch() -> None:
    trace = replays.trace_of("t", [False] * 5 + [True] * 7, TASK.step_seconds)
    bound = anchors.omniscient(trace, [0], TASK)[0]
    assert bound == pytest.approx(70 / 60 * 0.3)


def test_starts_leave_room_for_the_deadline() -> None:
    trace = replays.trace_of("t", [True] * 30, 600.0)
    assert replays.starts(trace, 2 * HOUR, 4) == [0, 6, 12, 18]
    assert replays.starts(trace, 10 * HOUR, 4) == []


def test_the_spot_benchmark_reads_any_zone_and_meets_its_protocol(tmp_path: Path) -> None:
    folder = tmp_path / "placement" / "spot" / "cloud"
    folder.mkdir(parents=True)
    chance = np.random.default_rng(0)
    spells = np.repeat(np.arange(40) % 2, chance.integers(1, 30, size=40))
    content = {"metadata": {"gap_seconds": 900}, "data": spells.tolist()}
    (folder / "zone.json").write_text(json.dumps(content), encoding="utf-8")
    trace = replays.read(folder / "zone.json")
    row = spot.measure(52.0, trace, 2)
    assert row is not None
    assert (row.missed, row.runs) == (0, 4)
    assert row.bound <= row.berth


def test_vm_days_that_are_tested_are_not_fitted_on(tmp_path: Path) -> None:
    (tmp_path / "forecasting").mkdir()
    numbers = np.arange(4 * 60 * 8, dtype=np.float32).reshape(4, 60, 8)
    arrays = {f"day_{index}": day for index, day in enumerate(numbers)}
    np.savez(tmp_path / "forecasting" / "other-cpu-percent-2.npz", **arrays)
    days = multiplex.read(frame.Context(data=tmp_path, scratch=tmp_path))
    assert len(days) == 4
    splits = [
        multiplex.other_members(days, 0),
        *multiplex.later_days(days),
        *multiplex.another_day(days),
    ]
    assert len(splits) == 1 + 3 + 4
    for split in splits:
        fitted = {float(row[0]) for day in split.fitted for row in day}
        tested = {float(row[0]) for day in split.tested for row in day}
        assert not fitted & tested
    for split in multiplex.later_days(days):
        assert max(day.max() for day in split.fitted) < min(day.min() for day in split.tested)


def test_overflow_counts_groups_and_steps_above_capacity() -> None:
    groups = np.array([[[30.0, 90.0], [40.0, 80.0]], [[10.0, 10.0], [10.0, 10.0]]])
    found = multiplex.measure(groups.astype(np.float32), np.array([100.0, 20.0]))
    assert found.overflow == 0.25
    assert found.machines == pytest.approx(120 / 190)
    assert found.whole == pytest.approx(2 / 3)
