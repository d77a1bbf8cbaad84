"""Trainings are profiled from their shape, with a bound on their memory."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from engine.model.errors import InvalidInputError
from engine.model.networks import Layer
from forecasting.profiles.replay import taken_mib
from forecasting.profiles.shapes import TrainingShape, segments, terms
from forecasting.profiles.training import TrainingProfiler, TrainingRun


def shape(width: int, depth: int = 3, batch: int = 100) -> TrainingShape:
    layers = tuple(
        Layer(kind="linear", activations=width, parameters=width * width + width)
        for _ in range(depth)
    )
    return TrainingShape(layers=layers, inputs=width, batch_size=batch, activation="ReLU")


def runs(count: int, seed: int = 1) -> list[TrainingRun]:
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        made = shape(int(random.integers(200, 3_000)), batch=int(random.integers(10, 500)))
        memory = 1_400.0 + 20.0 * made.parameters / 2**20 + float(random.normal(0.0, 3.0))
        percent = 10.0 + 60.0 * made.parameters / 3e7
        found.append(TrainingRun(shape=made, gpu_memory_mib=memory, gpu_percent=percent))
    return found


@pytest.fixture(scope="module")
def profiler() -> TrainingProfiler:
    return TrainingProfiler(runs(120), seed=1)


def test_memory_is_close_and_its_bound_above(profiler: TrainingProfiler) -> None:
    unseen = runs(40, seed=2)
    told = profiler.profile([run.shape for run in unseen])
    errors = [
        abs(t.gpu_memory_mib / r.gpu_memory_mib - 1) for t, r in zip(told, unseen, strict=True)
    ]
    covered = [r.gpu_memory_mib <= t.gpu_memory_mib_p95 for t, r in zip(told, unseen, strict=True)]
    assert np.mean(errors) < 0.02
    assert np.mean(covered) >= 0.85


def test_trainings_that_go_as_replayed_are_told_exactly() -> None:
    random = np.random.default_rng(5)
    made = []
    for _ in range(60):
        one = shape(int(random.integers(200, 3_000)), batch=int(random.integers(10, 500)))
        taken = taken_mib(one.layers, inputs=one.inputs, batch_size=one.batch_size)
        made.append(TrainingRun(shape=one, gpu_memory_mib=1_429.0 + taken, gpu_percent=30.0))
    odd = dataclasses.replace(made[0], gpu_memory_mib=9_000.0)
    profiler = TrainingProfiler([odd, *made[1:40]], seed=1)
    told = profiler.profile([run.shape for run in made[40:]])
    errors = [
        abs(t.gpu_memory_mib - r.gpu_memory_mib) for t, r in zip(told, made[40:], strict=True)
    ]
    assert max(errors) < 1.0


def test_the_class_is_the_next_one_where_the_memory_is_close_to_its_end(
    profiler: TrainingProfiler,
) -> None:
    told = profiler.profile([shape(1_000)])[0]
    close = told.gpu_memory_mib + 0.05 * told.width_mib
    assert profiler.memory_class(told, class_mib=close) == 1
    assert profiler.memory_class(told, class_mib=2.0 * told.gpu_memory_mib) == 0


def test_runs_above_the_bound_raise_it() -> None:
    profiler = TrainingProfiler(runs(60), seed=1)
    before = profiler.profile([shape(500)])[0].gpu_memory_mib_p95
    for _ in range(30):
        profiler.update(TrainingRun(shape=shape(500), gpu_memory_mib=3_000.0, gpu_percent=20.0))
    assert profiler.profile([shape(500)])[0].gpu_memory_mib_p95 > before


def test_an_allocator_packs_tensors_of_middle_size() -> None:
    assert segments([0.5, 0.5]) == (2.0, 0.0, 0.0)
    assert segments([6.0, 6.0, 6.0, 6.0]) == (0.0, 40.0, 0.0)
    assert segments([11.0]) == (0.0, 0.0, 12.0)


def test_terms_are_finite_for_layers_that_learn_nothing() -> None:
    bare = TrainingShape(
        layers=(Layer(kind="ReLU", activations=5, parameters=0),), inputs=5, batch_size=1
    )
    assert np.isfinite(terms([bare])).all()


@pytest.mark.parametrize(
    ("memory", "percent", "code"),
    [
        (2_000.0 * 2**20, 50.0, "H013"),
        (math.nan, 50.0, "H012"),
        (-5.0, 50.0, "H012"),
        (2_000.0, 5_000.0, "H013"),
    ],
)
def test_measurements_that_cannot_be_are_refused(memory: float, percent: float, code: str) -> None:
    broken = TrainingRun(shape=shape(500), gpu_memory_mib=memory, gpu_percent=percent)
    with pytest.raises(InvalidInputError) as caught:
        TrainingProfiler([*runs(40), broken], seed=1)
    assert [fault.code for fault in caught.value.faults] == [code]


def test_a_shape_without_a_batch_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="batch_size"):
        shape(10, batch=0)
