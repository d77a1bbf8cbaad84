"""How much faster more workers are: learned from a task's own runs, assumed before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from engine.model.identifiers import TaskName
from engine.model.profiles import Method, RunRecord, Scaling
from engine.model.specs import TaskKind, TaskSpec, Workers
from engine.model.trainings import PRESET, scaling_of, with_workers
from engine.testing import samples
from forecasting import TaskForecaster, workers

TASK = TaskSpec(
    name=TaskName("train"),
    kind=TaskKind.TRAIN,
    command=("torchrun", "net.py"),
    workers=Workers(least=1, most=8),
)
PIPELINE = samples.pipeline(TASK)


def run(count: int, seconds: float, *, at: float = 0.0, told: float = 1.0) -> RunRecord:
    """Return a run by so many workers that took so long, written down by a told speed-up."""
    return RunRecord(
        pipeline=PIPELINE.name,
        task=TASK.name,
        kind=TaskKind.TRAIN,
        attributes={},
        ended_at=at,
        duration_seconds=seconds * told,
        cpu_cores_mean=1.0,
        memory_gib_peak=0.5,
        workers=count,
        speed_up=told,
    )


def speed_ups(history: Sequence[RunRecord], *counts: int) -> list[float]:
    found = workers.scaling(PIPELINE, TASK, history)
    assert found is not None
    return [found.speed_up(count) for count in counts]


def test_nothing_is_known_of_a_task_that_never_ran() -> None:
    assert workers.scaling(PIPELINE, TASK, []) == PRESET
    for count in (1, 3):
        assert workers.scaling(PIPELINE, TASK, [run(count, 100.0)]) == PRESET


def test_a_task_without_workers_has_none() -> None:
    (etl,) = samples.pipeline(TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL)).tasks
    assert workers.scaling(PIPELINE, etl, [run(2, 60.0)]) is None
    history = [run(2, 60.0, told=1.5)]
    assert workers.alone(PIPELINE, etl, history, None) == history


def test_runs_of_several_workers_are_held_against_those_of_one() -> None:
    history = [run(1, 100.0), run(2, 50.0, told=1.2), run(2, 60.0), run(2, 55.0)]
    found = workers.scaling(PIPELINE, TASK, history)
    assert found is not None
    assert found.method is Method.OWN_RUNS
    assert found.speed_up(2) == pytest.approx(100 / 55, abs=1e-3)


def test_what_was_never_tried_follows_the_assumed_shape() -> None:
    two, four = speed_ups([run(1, 100.0), run(2, 55.0)], 2, 4)
    assert four / two == pytest.approx(PRESET.speed_up(4) / PRESET.speed_up(2), abs=1e-3)


def test_without_a_run_of_one_worker_the_fewest_are_the_base() -> None:
    two, four = speed_ups([run(2, 60.0), run(4, 30.0)], 2, 4)
    assert two == pytest.approx(PRESET.speed_up(2), abs=1e-3)
    assert four == pytest.approx(2 * two, abs=1e-3)


def test_the_newest_runs_count() -> None:
    old = [run(2, 90.0, at=float(number)) for number in range(40)]
    new = [run(2, 50.0, at=100.0 + number) for number in range(20)]
    assert speed_ups([run(1, 100.0), *new, *old], 2) == [2.0]


def test_past_runs_are_read_as_of_one_worker() -> None:
    history = [run(1, 100.0), run(2, 50.0, told=1.2)]
    known = workers.scaling(PIPELINE, TASK, history)
    alone = workers.alone(PIPELINE, TASK, history, known)
    assert [each.duration_seconds for each in alone] == [100.0, 100.0]


def test_what_a_person_says_stands_and_runs_are_read_by_it() -> None:
    stated = Workers(least=1, most=8, speed_ups=((4, 3.9),))
    pipeline = samples.pipeline(replace(TASK, workers=stated))
    (task,) = pipeline.tasks
    history = [replace(run(4, 100.0, at=float(n)), pipeline=pipeline.name) for n in range(12)]
    profile = TaskForecaster().profile(pipeline, task, samples.fleet("a"), history)
    assert profile.scaling == Scaling(points=stated.speed_ups, method=Method.STATED)
    planned = with_workers(profile, scaling_of(task, profile), 4).duration_seconds
    assert planned is not None
    assert planned.p50 == pytest.approx(100.0)


def test_runs_too_short_for_the_clock_say_nothing() -> None:
    assert speed_ups([run(1, 0.0), run(2, 0.0)], 2) == [1.0]


def test_a_profile_is_that_of_one_worker_with_what_more_would_bring() -> None:
    history = [run(4, 25.0 + number / 10, at=float(number), told=2.0) for number in range(12)]
    history += [run(1, 100.0 + number / 10, at=float(number)) for number in range(12)]
    profile = TaskForecaster().profile(PIPELINE, TASK, samples.fleet("a"), history)
    assert profile.scaling is not None
    assert profile.scaling.speed_up(4) == pytest.approx(4.0, abs=0.1)
    assert profile.duration_seconds is not None
    assert profile.duration_seconds.p50 == pytest.approx(100.0, rel=0.1)
    assert profile.replicas == 1
