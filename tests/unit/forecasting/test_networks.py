"""Memory on a GPU of a network that nobody trained yet follows from its layers."""

from __future__ import annotations

import pytest

from engine.model.identifiers import PipelineName, TaskName
from engine.model.networks import layers_of
from engine.model.profiles import Grounds, Method, Profile, RunRecord
from engine.model.resources import Resource
from engine.model.specs import PipelineSpec, Scalar, TaskKind, TaskSpec, Wishes
from engine.testing import samples
from forecasting import TaskForecaster, networks
from forecasting.profiles.replay import taken_mib

LAYERS = "linear 4096, batch_normalization, ReLU, dropout, linear 512, Softmax"
STATED: dict[str, Scalar] = {"network_layers": LAYERS, "network_inputs": 2_048, "batch_size": 512}


def profile(stated: dict[str, Scalar], history: list[RunRecord]) -> Profile:
    task = TaskSpec(
        name=TaskName("train"),
        kind=TaskKind.TRAIN,
        command=("run",),
        parameters=stated,
        wishes=Wishes(gpu_count=1),
    )
    pipeline = PipelineSpec(name=PipelineName("new"), tasks=(task,))
    return TaskForecaster().profile(pipeline, task, samples.fleet("a"), history)


def grounds(told: Profile) -> Grounds:
    return next(each for each in told.evidence.grounds if each.quantity == "gpu memory")


def ran(
    pipeline: str,
    gib: float,
    *,
    at: float = 0.0,
    gpus: float = 1.0,
    stated: dict[str, Scalar] = STATED,
) -> RunRecord:
    return RunRecord(
        pipeline=PipelineName(pipeline),
        task=TaskName("train"),
        kind=TaskKind.TRAIN,
        attributes={**stated, "command": "run"},
        ended_at=at,
        duration_seconds=60.0,
        cpu_cores_mean=1.0,
        memory_gib_peak=1.0,
        gpu_count=gpus,
        gpu_memory_gib_peak=gib,
    )


def test_the_tensors_of_its_layers_are_replayed() -> None:
    layers = layers_of(LAYERS, inputs=2_048)
    taken = taken_mib(layers, inputs=2_048, batch_size=512)
    told = profile(STATED, [])
    memory = told.use[Resource.GPU_MEMORY][0]
    assert memory.p50 == pytest.approx((taken + 1_429) / 1_024)
    assert memory.p99 < 1.15 * memory.p50
    assert grounds(told).method is Method.ANALYTIC
    assert "the tensors of 6 layers were replayed" in grounds(told).why


def test_its_process_has_room_for_the_library_that_trains_it() -> None:
    unknown, known = (profile(stated, []).peak(Resource.MEMORY) for stated in ({}, STATED))
    assert known > unknown + 0.75


def test_a_batch_is_no_larger_than_the_rows_that_are_known() -> None:
    assert networks.gib({**STATED, "rows": 100}) < networks.gib(STATED)
    assert networks.gib({**STATED, "rows": 100}) == networks.gib({**STATED, "batch_size": 100})


def test_sums_of_a_network_follow_from_its_layers() -> None:
    assert networks.terms(STATED) == (8_392_704 + 8_192 + 2_097_664, 4 * 4_096 + 1_024, 2_048, 512)
    assert networks.terms({"batch_size": 8}) == (None, None, None, 8.0)


def test_layers_nobody_measured_leave_the_profile_wide() -> None:
    convolution = {**STATED, "network_layers": "conv2d 65536 448, linear 10, Softmax"}
    told = profile(convolution, [])
    memory = told.use[Resource.GPU_MEMORY][0]
    assert memory.p99 > 1.4 * memory.p50
    assert grounds(told).why.startswith("the tensors of 3 layers were replayed")
    assert "never measured for conv2d" in grounds(told).why


def test_layers_that_cannot_be_read_are_as_if_not_stated() -> None:
    assert networks.gib({**STATED, "network_layers": "relu"}) == 0.0
    assert not networks.is_stated({"network_layers": LAYERS})


def test_runs_without_a_gpu_and_of_unknown_networks_do_not_speak() -> None:
    others = [ran(f"cpu-{n}", 0.0, gpus=0.0) for n in range(20)]
    others += [ran(f"unknown-{n}", 20.0, stated={}) for n in range(20)]
    assert (
        profile(STATED, others).use[Resource.GPU_MEMORY]
        == (profile(STATED, []).use[Resource.GPU_MEMORY])
    )


def test_own_runs_correct_the_replay() -> None:
    told = profile(STATED, [ran("new", 3.0, at=float(n)) for n in range(8)])
    assert 3.0 <= told.peak(Resource.GPU_MEMORY) < 3.3
    assert grounds(told).tested == 8
