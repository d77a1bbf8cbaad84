"""Small arithmetic and look-ups of the model types."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import hypothesis
import pytest
from hypothesis import strategies as st

from engine.model.alarms import Cause, CauseKind, Severity, SuperAlarm, SuperAlarmState
from engine.model.dispatches import AttemptState, TaskState
from engine.model.identifiers import PipelineName, SuperAlarmId, TaskName
from engine.model.plans import task_key
from engine.model.profiles import QUANTILE_LEVELS, Quantiles
from engine.model.records import COLLECTIONS, TERMS, Term, task_run_key
from engine.model.resources import Resource, Resources
from engine.model.signals import Layer, Signal
from engine.model.specs import PipelineSpec, Serving, TaskKind, TaskSpec, is_scalar
from engine.testing import samples

rising = st.lists(st.floats(0, 1e6), min_size=5, max_size=5).map(sorted)


def quantiles(values: list[float]) -> Quantiles:
    p50, p80, p90, p95, p99 = values
    return Quantiles(p50=p50, p80=p80, p90=p90, p95=p95, p99=p99)


@pytest.mark.parametrize("value", ["", "ä\n", 0, -(10**300), True, 1.5])
def test_small_values_are_known(value: object) -> None:
    assert is_scalar(value)


@pytest.mark.parametrize("value", ["a\0", "\ud800", 10**301, float("nan"), float("inf"), None, [1]])
def test_what_no_command_or_file_can_hold_is_none(value: object) -> None:
    assert not is_scalar(value)


@pytest.mark.parametrize(
    ("folder", "reads", "outside"),
    [
        ("/pipe", None, False),
        ("/pipe", "rows.csv", False),
        ("/pipe", "a/../rows.csv", False),
        ("/pipe/", "/pipe/rows.csv", False),
        ("/pipe", "../pipe/rows.csv", False),
        ("/pipe", "s3://bucket/../rows.csv", False),
        ("", "s3://bucket/rows.csv", False),
        ("/pipe", "../rows.csv", True),
        ("/pipe", "a/../../rows.csv", True),
        ("/pipe", "/pipes/rows.csv", True),
        ("", "rows.csv", True),
    ],
)
def test_what_lies_outside_of_a_folder_is_told_by_its_path(
    folder: str, reads: str | None, *, outside: bool
) -> None:
    task = TaskSpec(name=TaskName("t"), kind=TaskKind.ETL, reads=reads)
    spec = PipelineSpec(name=PipelineName("p"), tasks=(task,), folder=folder)
    assert spec.reads_outside(task) is outside


def test_values_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        samples.HELD.cpu_cores = 2.0  # type: ignore[misc] # this is the claim


@pytest.mark.parametrize(
    ("resource", "amount", "unit"),
    [
        (Resource.CPU, 1.0, "cores"),
        (Resource.MEMORY, 2.0, "GiB"),
        (Resource.GPU, 3.0, "GPUs"),
        (Resource.GPU_MEMORY, 4.0, "GiB per GPU"),
        (Resource.DISK, 5.0, "GiB"),
        (Resource.NETWORK, 6.0, "Mbit/s"),
    ],
)
def test_each_resource_is_found_with_its_unit(resource: Resource, amount: float, unit: str) -> None:
    has = Resources(
        cpu_cores=1, memory_gib=2, gpu_count=3, gpu_memory_gib=4, disk_gib=5, network_mbps=6
    )
    assert (has.of(resource), resource.unit) == (amount, unit)


def test_totals_add_up_and_memory_of_a_gpu_does_not() -> None:
    both = Resources(cpu_cores=1, gpu_memory_gib=40).plus(Resources(cpu_cores=2, gpu_memory_gib=80))
    assert (both.cpu_cores, both.gpu_memory_gib) == (3, 80)


def test_totals_are_multiplied_and_memory_of_a_gpu_is_not() -> None:
    more = Resources(cpu_cores=1, memory_gib=2, gpu_memory_gib=40).times(3)
    assert (more.cpu_cores, more.memory_gib, more.gpu_memory_gib) == (3, 6, 40)


def test_quantiles_that_cross_are_refused() -> None:
    with pytest.raises(ValueError, match="quantiles cross"):
        quantiles([1, 2, 3, 5, 4])


def test_negative_quantiles_are_refused() -> None:
    with pytest.raises(ValueError, match="is negative"):
        quantiles([-1, 2, 3, 4, 5])


@hypothesis.given(rising)
def test_stated_levels_are_met(values: list[float]) -> None:
    stated = quantiles(values)
    for level, value in zip(QUANTILE_LEVELS, values, strict=True):
        assert stated.at(level) == pytest.approx(value)


@hypothesis.given(rising, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_level_never_has_a_lower_quantile(
    values: list[float], one: float, other: float
) -> None:
    low, high = sorted([one, other])
    assert quantiles(values).at(low) <= quantiles(values).at(high) * (1 + 1e-9) + 1e-9


@hypothesis.given(rising)
def test_the_mean_lies_between_the_ends(values: list[float]) -> None:
    stated = quantiles(values)
    assert stated.p50 / 2 <= stated.mean * (1 + 1e-9) <= stated.p99 * (1 + 1e-9) ** 2 + 1e-9


def test_above_the_last_level_its_value_stands() -> None:
    assert quantiles([1, 2, 3, 4, 5]).at(0.999) == 5


def test_quantiles_are_multiplied() -> None:
    assert quantiles([1, 2, 3, 4, 5]).times(2) == quantiles([2, 4, 6, 8, 10])


def test_what_is_known_is_the_same_at_every_level() -> None:
    assert set(Quantiles.constant(3.0).values) == {3.0}


def test_the_peak_is_that_of_the_largest_slot() -> None:
    profile = samples.profile(TaskSpec(name=TaskName("t"), kind=TaskKind.TRAIN))
    slots = (Quantiles.constant(1.0), Quantiles.constant(7.0))
    uneven = replace(profile, use={Resource.CPU: slots})
    assert (uneven.peak(Resource.CPU), uneven.peak(Resource.GPU)) == (7.0, 0.0)


def test_clusters_and_pools_are_found_by_name() -> None:
    fleet = samples.fleet("a", "b")
    assert fleet.cluster("b").pool("nodes").name == "nodes"
    with pytest.raises(KeyError):
        fleet.cluster("c")
    with pytest.raises(KeyError):
        fleet.cluster("a").pool("gpus")


def test_a_node_has_its_shape() -> None:
    shape = samples.fleet("a").clusters[0].pools[0].shape
    assert (shape.resources.cpu_cores, shape.resources.memory_gib) == (2, 4)


def test_tasks_are_found_by_name() -> None:
    assert samples.chain().task("train").kind is TaskKind.TRAIN
    with pytest.raises(KeyError):
        samples.chain().task("zzz")


def test_a_task_says_what_is_known_before_it_runs() -> None:
    task = TaskSpec(
        name=TaskName("t"),
        kind=TaskKind.TRAIN,
        rows=3,
        volume_gib=0.5,
        trials=8,
        model=("knn", "svm"),
        serving=Serving(requests_per_second_peak=20.0),
        parameters={"depth": 4, "trials": 99},
    )
    known = {"rows": 3, "volume_gib": 0.5, "trials": 8, "model": "knn+svm", "requests": 20.0}
    known |= {"depth": 4}
    assert task.attributes == known
    assert TaskSpec(name=TaskName("t"), kind=TaskKind.TRAIN).attributes == {}


def test_assignments_are_found_by_pipeline_and_task() -> None:
    plan = samples.plan(samples.chain(), samples.fleet("a"))
    found = plan.assignment("heart", "etl")
    assert found is not None
    assert found.cluster == "a"
    assert plan.assignment("heart", "zzz") is None
    assert plan.assignment("other", "etl") is None


def test_keys_name_pipeline_and_task() -> None:
    assert task_key("heart", "etl") == task_run_key("heart", "etl") == "heart/etl"


def test_harm_has_an_order() -> None:
    assert [severity.rank for severity in Severity] == [0, 1, 2]


def test_the_likely_cause_is_the_first() -> None:
    group = SuperAlarm(
        super_alarm_id=SuperAlarmId("SA-1"),
        title="t",
        severity=Severity.INFO,
        state=SuperAlarmState.OPEN,
        opened_at=0.0,
        updated_at=0.0,
        alarms=(),
    )
    cause = Cause(kind=CauseKind.DATA, subject="s", title="t", belief=1.0)
    assert group.likely is None
    assert replace(group, causes=(cause,)).likely is cause


@pytest.mark.parametrize("state", TaskState)
def test_tasks_that_wait_or_run_are_not_over(state: TaskState) -> None:
    assert state.is_terminal is (state not in {TaskState.WAITING, TaskState.RUNNING})


@pytest.mark.parametrize("state", AttemptState)
def test_attempts_that_are_to_run_or_go_on_are_not_over(state: AttemptState) -> None:
    ends = {AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.LOST, AttemptState.STOPPED}
    assert state.is_terminal is (state in ends)


@pytest.mark.parametrize("state", AttemptState)
def test_a_suspended_attempt_holds_no_room(state: AttemptState) -> None:
    is_off = state is AttemptState.SUSPENDED
    assert state.holds_room is not (state.is_terminal or is_off)


def test_a_series_is_a_subject_and_a_name() -> None:
    signal = Signal(name="rows", layer=Layer.ETL, subject="task:heart/etl", at=0.0, value=1.0)
    assert signal.series == "task:heart/etl|rows"


def test_collections_have_names_of_their_own() -> None:
    assert len({collection.name for collection in COLLECTIONS}) == len(COLLECTIONS)


def test_there_is_one_term() -> None:
    assert TERMS.key(Term(number=3, started_at=0.0, process="p")) == "engine"
