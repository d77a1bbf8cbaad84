"""Which method speaks for a task follows from honest tests on the runs there are."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest

from engine.model.identifiers import PipelineName, TaskName
from engine.model.profiles import Method, RunRecord
from engine.model.resources import Resource
from engine.model.specs import PipelineSpec, TaskKind, TaskSpec, Wishes
from engine.testing import samples
from forecasting import TaskForecaster, networks
from forecasting.conformal import followed
from forecasting.methods import sized
from forecasting.methods.question import OWN_TESTS, question
from forecasting.presets import Quantity
from forecasting.runs import gather

TRAIN = TaskSpec(name=TaskName("train"), kind=TaskKind.TRAIN, rows=1_000)
PIPELINE = PipelineSpec(name=PipelineName("new"), tasks=(TRAIN,))
FLEET = samples.fleet("a")


def run(pipeline: str, seconds: float, at: float, *, memory: float = 0.5) -> RunRecord:
    return RunRecord(
        pipeline=PipelineName(pipeline),
        task=TaskName("train"),
        kind=TaskKind.TRAIN,
        attributes={"rows": 1_000},
        ended_at=at,
        duration_seconds=seconds,
        cpu_cores_mean=1.0,
        memory_gib_peak=memory,
    )


def others(count: int = 8, runs: int = 6) -> list[RunRecord]:
    """Tasks that differ much among each other, and little from run to run."""
    return [
        run(f"p{task}", 10.0 * 2.0 ** (task % 4) * (1.0 + 0.01 * each), 100.0 * each + task)
        for task in range(count)
        for each in range(runs)
    ]


def test_a_new_task_is_tested_on_tasks_that_are_new_too() -> None:
    asked = question(gather(PIPELINE, TRAIN, others(), failed=False), Quantity.DURATION)
    for row, speaks in zip(asked.tested, asked.speaks, strict=True):
        assert not (speaks & (asked.past.group == asked.past.group[row])).any()


@pytest.mark.parametrize("own", [1, 3])
def test_a_task_with_few_runs_is_tested_on_tasks_with_as_few(own: int) -> None:
    mine = [run("new", 20.0, 1_000.0 + n) for n in range(own)]
    asked = question(gather(PIPELINE, TRAIN, others() + mine, failed=False), Quantity.DURATION)
    row = int(asked.tested[-1])
    same = asked.past.group == asked.past.group[row]
    assert int((asked.speaks[-1] & same).sum()) <= own
    assert not asked.speaks[-1, row]


def test_a_task_with_many_runs_is_tested_on_its_own() -> None:
    mine = [run("new", 20.0, 1_000.0 + n) for n in range(OWN_TESTS)]
    asked = question(gather(PIPELINE, TRAIN, others() + mine, failed=False), Quantity.DURATION)
    assert asked.past.own[asked.tested].all()


def test_the_first_quantiles_are_as_wide_as_tasks_differ_and_own_runs_narrow_them() -> None:
    widths = []
    for own in (0, 1, 3, 10):
        mine = [run("new", 20.0 + 0.1 * n, 1_000.0 + n) for n in range(own)]
        told = TaskForecaster().profile(PIPELINE, TRAIN, FLEET, others() + mine).duration_seconds
        assert told is not None
        widths.append(told.p95 / told.p50)
    assert widths[0] > 1.5 > max(widths[1:])


def test_a_task_that_changed_is_told_by_its_last_runs() -> None:
    history = [run("new", 10.0 if n < 12 else 40.0, float(n)) for n in range(24)]
    told = TaskForecaster().profile(PIPELINE, TRAIN, FLEET, history)
    assert told.duration_seconds is not None
    assert told.duration_seconds.p50 == pytest.approx(40.0, rel=0.05)
    assert told.evidence.method is Method.RECENT_RUNS


def test_every_quantity_says_why_its_method_was_taken() -> None:
    evidence = TaskForecaster().profile(PIPELINE, TRAIN, FLEET, others()).evidence
    assert [g.quantity for g in evidence.grounds] == [
        "duration",
        "cpu",
        "memory",
        "disk",
        "network",
    ]
    for grounds in evidence.grounds:
        assert grounds.tested >= 2
        assert grounds.losses[0][1] <= grounds.losses[-1][1]
        assert "held-out like runs, each told as if its task had no runs" in grounds.why


def test_what_was_not_tested_says_so() -> None:
    (grounds, *_) = TaskForecaster().profile(PIPELINE, TRAIN, FLEET, []).evidence.grounds
    assert (grounds.tested, grounds.error, grounds.why) == (0, None, "no run is like it")


def test_units_of_the_runs_are_units_of_the_answer() -> None:
    mine = [run("new", 20.0 + n % 3, float(n)) for n in range(12)]
    longer = [dataclasses.replace(r, duration_seconds=r.duration_seconds * 1_000) for r in mine]
    first, second = (
        TaskForecaster().profile(PIPELINE, TRAIN, FLEET, h).duration_seconds for h in (mine, longer)
    )
    assert first is not None
    assert second is not None
    assert second.values == pytest.approx([1_000 * value for value in first.values])


def test_the_sizer_competes_for_memory_of_tasks_with_runs_of_their_own() -> None:
    random = np.random.default_rng(1)
    history = [
        run("new", 3_600.0, float(n), memory=float(random.choice([1.0, 1.1, 1.2])))
        for n in range(40)
    ]
    told = TaskForecaster().profile(PIPELINE, TRAIN, FLEET, history)
    grounds = next(g for g in told.evidence.grounds if g.quantity == "memory")
    assert "memory sizer" in dict(grounds.losses)


def test_retries_hold_more_each_time_and_at_first_what_was_seen() -> None:
    history = [run("new", 60.0, float(n), memory=1.0 + n % 4) for n in range(16)]
    asked = question(gather(PIPELINE, TRAIN, history, failed=True), Quantity.MEMORY)
    tries = sized.retries(asked, 1.5)
    assert tries[0] in {2.0, 3.0, 4.0}
    assert all(low < high for low, high in pairwise(tries))


def test_nothing_is_said_of_retries_where_nothing_ran() -> None:
    told = TaskForecaster().profile(PIPELINE, TRAIN, FLEET, [])
    assert told.memory_retries_gib == ()


def test_levels_follow_what_was_covered() -> None:
    calm = [0.01 * (n % 5) for n in range(40)]
    growing = [0.1 * n for n in range(40)]
    assert followed(growing, 0.1)[3] > 0.95 >= followed(calm, 0.1)[3]
    assert followed([], 0.1)[3] == 0.95


def test_memory_of_a_network_follows_from_its_terms() -> None:
    stated = {"network_parameters": 100_000_000, "network_activations": 1_000_000, "batch_size": 64}
    small, large = (networks.gib({**stated, "batch_size": batch}) for batch in (64, 4_096))
    assert small == pytest.approx(0.5 + 4 * 4 * 1e8 / 2**30 + 4 * 1e8 / 2**30, rel=0.01)
    assert large > small
    assert networks.gib({"rows": 5}) == 0.0


def test_a_network_that_is_stated_gives_a_first_forecast_of_gpu_memory() -> None:
    task = dataclasses.replace(
        TRAIN,
        parameters={"network_parameters": 1_000_000_000, "batch_size": 8},
        wishes=Wishes(gpu_count=1),
    )
    told = TaskForecaster().profile(
        PipelineSpec(name=PipelineName("new"), tasks=(task,)), task, FLEET, []
    )
    assert told.peak(Resource.GPU_MEMORY) > 16.0
    assert math.isfinite(told.peak(Resource.GPU_MEMORY))
